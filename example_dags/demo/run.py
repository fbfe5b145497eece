"""Run the nightly dump and the staging refresh once, and show what they did."""

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from example_dags.demo import shop
from example_dags.demo.environment import (
    airflow_environment,
    connection_variables,
    connections,
)
from example_dags.demo.folders import server_folder
from example_dags.demo.terminal import Terminal, terminal_beside_log
from example_dags.services import PostgresServer, postgres_server

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

STEPS = 6
Counts = dict[str, object]


class DemoError(Exception):
    """The DAGs have not done what they are there for."""


def run(folder: Path) -> None:
    """Do all steps; the process ends with 1 where one fails.

    :param folder: an empty one, for all files.
    """
    log = folder / "airflow.log"
    with terminal_beside_log(log, STEPS) as terminal, ExitStack() as stack:
        terminal.say("The shop is dumped without its users' data, and staging refreshed from that.")
        terminal.say(f"What Airflow logs is in {log}\n")
        with terminal.step("Start PostgreSQL"):
            server = stack.enter_context(
                postgres_server(stack.enter_context(server_folder(folder)))
            )
        with terminal.step("Fill the databases shop and shop_staging"):
            shop.create_shop(server)
            production, before = (
                shop.count(server, name) for name in (shop.PRODUCTION, shop.STAGING)
            )
        # Airflow reads them when it is first imported, which is why the imports below are late.
        os.environ.update(airflow_environment(folder, server))
        of_dags = connections(server, secrets.token_urlsafe(32))
        os.environ.update(connection_variables(of_dags))
        with terminal.step("Set up Airflow's own database"):
            _migrate()
        with terminal.step("Run the DAG nightly_masked_dump"):
            key = _dump_shop()
        with terminal.step("Run staging_refresh, triggered by that dump"):
            _refresh_staging(key)
        with terminal.step("Check the rows"):
            after = shop.count(server, shop.STAGING)
            _check(server, production, before, after)
        _show(terminal, key, production, before, after)


def _migrate() -> None:
    from airflow.utils.db import initdb

    initdb()


def _dump_shop() -> str:
    from example_dags.nightly_masked_dump import dag

    dag_run = dag.test()
    _check_succeeded(dag_run)
    return _result(dag_run, "dump")


def _refresh_staging(key: str) -> None:
    from example_dags.demo.asset_run import run_by_asset
    from example_dags.staging_refresh import dag

    dag_run: Any = run_by_asset(dag)
    _check_succeeded(dag_run)
    chosen = _result(dag_run, "refresh.choose_dump")
    if chosen != key:
        raise DemoError(f"staging was refreshed from {chosen} and not from the dump {key}")


def _result(dag_run: Any, task_id: str) -> str:
    return str(dag_run.get_task_instance(task_id).xcom_pull(task_ids=task_id))


def _check_succeeded(dag_run: "DagRun") -> None:
    failed = [task.task_id for task in dag_run.get_task_instances() if task.state == "failed"]
    if dag_run.state != "success":
        raise DemoError(f"the DAG {dag_run.dag_id} failed in {', '.join(failed)}")


def _check(server: PostgresServer, production: Counts, before: Counts, after: Counts) -> None:
    test_user = 1
    expected = {
        "users": int(str(production["users"])) + test_user,
        "users with a real email": 0,
        "orders": production["orders"],
        "mails in the outbox": 0,
        "payments": "test",
    }
    if after != expected:
        raise DemoError(f"staging has {after} instead of {expected}")
    if shop.count(server, shop.PRODUCTION) != production:
        raise DemoError("production has changed")
    if shop.count(server, shop.BEFORE) != before:
        raise DemoError("the staging database before the refresh was not kept as it was")


def _show(terminal: Terminal, key: str, production: Counts, before: Counts, after: Counts) -> None:
    from airflow_provider_pgclone.hooks import PgCloneHook

    terminal.say(f"\nThe dump key:\n  {key}\n\nAll dumps in storage:")
    dumps = PgCloneHook(postgres_conn_id="prod").ls()
    terminal.table([(dump.key, f"{dump.size_bytes:,} bytes") for dump in dumps])
    terminal.say("\nRows:")
    terminal.table(
        [
            ("", "production", "staging before", "staging after"),
            *((name, production[name], before[name], after[name]) for name in shop.COUNTS),
        ]
    )
    terminal.say(
        "\nThe DAG staging_refresh works on the restored database before it swaps it in. It adds a"
        "\ntest user, so staging has one user more than production. It also empties the outbox and"
        "\nswitches the payments to test. The masked emails are no real ones."
    )
    terminal.say(
        f"\nThe old staging database is kept as {shop.BEFORE}; restoring :pre brings it back."
        "\nNext: make ui shows the same DAGs in Airflow's web interface."
    )
