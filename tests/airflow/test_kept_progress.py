"""The progress of a task, in the state store that Airflow has since 3.3."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.hooks.connections import SUPERVISOR_LOCK
from airflow_provider_pgclone.operators import PgCloneDumpOperator
from airflow_provider_pgclone.operators.kept_progress import KeptProgress
from tests.support.fixtures.airflow import serialized

PROGRESS = Progress(2048, 4096, 10, 20, 0.5, 60.4, "load", "loading shop.orders", 0.6666, 40.0)


def test_a_task_keeps_its_progress_where_airflow_has_a_store(
    airflow_database: None, shop: str, postgres_connection: str, local_storage: Path
) -> None:
    models = pytest.importorskip("airflow.models.task_state_store", reason="since Airflow 3.3")
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with DAG(f"kept_{os.urandom(4).hex()}", schedule=None) as dag:
        PgCloneDumpOperator(
            task_id="dump",
            postgres_conn_id=postgres_connection,
            database=shop,
            storage_location=str(local_storage),
        )
    assert serialized(dag).test().state == "success"
    kept = models.TaskStateStoreModel
    with create_session() as session:
        query = select(kept.key, kept.value).where(kept.dag_id == dag.dag_id)
        ((key, value),) = session.execute(query).all()
    assert key == "progress"
    found = json.loads(str(value))
    assert (found["phase"], found["share"], found["rows"]) == ("done", 1.0, 2500)


class Store:
    """A store that keeps what it gets, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: dict[str, Any] = {}
        self.was_locked: list[bool] = []
        self._error = error

    def set(self, key: str, value: Any) -> None:
        self.was_locked.append(SUPERVISOR_LOCK.locked())
        if self._error is not None:
            raise self._error
        self.kept[key] = json.loads(json.dumps(value))


def context_of(store: Store) -> Any:
    return {"task_state_store": store}


def test_what_is_kept() -> None:
    store = Store()
    KeptProgress(context_of(store))(PROGRESS)
    assert store.kept == {
        "progress": {
            "phase": "load",
            "working_on": "loading shop.orders",
            "phase_share": 0.667,
            "share": 0.5,
            "eta_seconds": 40,
            "elapsed_seconds": 60,
            "bytes": 2048,
            "bytes_total": 4096,
            "rows": 10,
            "rows_total": 20,
            "text": str(PROGRESS),
        }
    }


def test_only_one_thread_asks_the_supervisor_at_a_time() -> None:
    store = Store()
    keep = KeptProgress(context_of(store))
    thread = threading.Thread(target=keep, args=(PROGRESS,))
    with SUPERVISOR_LOCK:  # as a thread has that asks for the connection of a token
        thread.start()
        thread.join(0.05)
        assert not store.kept
    thread.join(10)
    assert store.was_locked == [True]
    assert not SUPERVISOR_LOCK.locked()


def test_a_store_that_fails_does_not_fail_the_task(caplog: pytest.LogCaptureFixture) -> None:
    keep = KeptProgress(context_of(Store(OSError("no supervisor"))))
    keep(PROGRESS)
    keep(PROGRESS)
    assert not SUPERVISOR_LOCK.locked()
    (warning,) = [one.getMessage() for one in caplog.records]
    assert "cannot be kept in the task state store: OSError('no supervisor')" in warning


def test_an_airflow_without_a_store_keeps_nothing() -> None:
    context: Any = {}
    KeptProgress(context)(PROGRESS)
