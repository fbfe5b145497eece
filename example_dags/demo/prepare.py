"""Set up Airflow's own database and its connections, and at the first start a week of dumps.

It runs in a process of its own: Airflow reads its settings when it is imported.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from example_dags.demo.environment import connection_variables
from example_dags.demo.history import make_history
from example_dags.services import PostgresServer

if TYPE_CHECKING:
    from airflow.models.connection import Connection


def prepare(
    environment: Mapping[str, str],
    connections: Mapping[str, str],
    history: tuple[PostgresServer, Path] | None,
) -> None:
    """Prepare the Airflow of an environment.

    :param connections: by their ids, as JSON or URIs; those of an earlier start are replaced.
    :param history: the server and the folder of dumps to make a week of dumps in.
    :raises RuntimeError: when that fails; the reason is in the output of the process.
    """
    task: dict[str, Any] = {"connections": dict(connections)}
    if history is not None:
        server, dumps = history
        task["history"] = {"server": vars(server), "dumps": dumps}
    # Passwords are not for the arguments of a process. Outside of tasks Airflow looks for
    # connections in the environment alone.
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**environment, **connection_variables(connections)},
        input=json.dumps(task, default=str),
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError("Airflow could not be set up")


def main() -> None:
    from airflow.models.connection import Connection
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    task = json.load(sys.stdin)
    initdb()
    given = task["connections"]
    with create_session() as session:
        # PostgreSQL has another port at each start.
        session.execute(delete(Connection).where(Connection.conn_id.in_(given)))
        session.add_all(_connection(conn_id, value) for conn_id, value in given.items())
    if "history" in task:
        values = task["history"]["server"]
        folders = {name: Path(values[name]) for name in ("bin_dir", "data_dir")}
        server = PostgresServer(**{**values, **folders})
        make_history(server, Path(task["history"]["dumps"]), datetime.now(UTC))


def _connection(conn_id: str, value: str) -> "Connection":
    from airflow.models.connection import Connection

    if value.startswith("{"):
        return Connection.from_json(value, conn_id=conn_id)
    return Connection(conn_id=conn_id, uri=value)


if __name__ == "__main__":
    main()
