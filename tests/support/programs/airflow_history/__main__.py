"""Migrate Airflow's metadata database and fill it: settings of users, and a DAG that has run.

A process of its own, because Airflow binds itself to one metadata database when it is imported.
"""

from airflow.cli import cli_parser
from airflow.models import Connection, Pool, Variable
from airflow.utils.session import create_session

from tests.support.programs.airflow_history.dags.history import history_dag


def fill() -> None:
    command = cli_parser.get_parser().parse_args(["db", "migrate"])
    command.func(command)
    Variable.set("greeting", "Grüße \\ \t 'quoted'\nsecond line")
    Pool.create_or_update_pool("restores", slots=3, description="", include_deferred=True)
    with create_session() as session:
        session.add(Connection("shop", conn_type="postgres", password="secret", extra={"a": None}))
    state = history_dag.test().state
    assert state == "success", state


if __name__ == "__main__":
    fill()
