"""Tasks of Airflow that run out of time, or are told to stop, in a restore, a swap or a copy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.tasks import Tasks

NOISE_SQL = """
CREATE EXTENSION pgcrypto;
CREATE TABLE noise AS SELECT n, gen_random_bytes(1024) AS noise FROM generate_series(1, 100000) n;
ALTER TABLE noise ADD PRIMARY KEY (n);
"""
PROGRAMS = ("pg_dump", "pg_restore", "psql")


@contextmanager
def renames_held_up(server: Server, database: str) -> Iterator[None]:
    """Hold the lock of a database that its rename needs."""
    with server.connect("postgres") as other:
        other.execute("BEGIN")
        other.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 100".encode())
        yield
        other.execute("ROLLBACK")


@pytest.mark.long
def test_tasks_that_are_stopped_leave_the_target_as_it_was(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
    run_tasks: Callable[..., Tasks],
) -> None:
    """One process for all cases, since Airflow takes long to start."""
    source = make_database(NOISE_SQL)
    target = make_database("CREATE TABLE mine AS SELECT 1 AS a")
    before = fingerprint(server, target)
    hook = make_hook(target)
    storage = {"storage_location": str(local_storage)}
    key = make_hook(source).dump()
    hook.restore(key, swap=False)
    temp = hook.temp_database
    on_target = {"postgres_conn_id": "pg", "database": target}
    swap = {"postgres_conn_id": "pg", "temp_database": temp}
    copy = {"postgres_conn_id": "pg", "database": source, "target": target, "method": "stream"}

    def check_failed() -> None:
        assert tasks.state() == "failed", tasks.said()
        assert server.names() == {source, target, temp}
        assert fingerprint(server, target) == before
        assert not [program for program in PROGRAMS if tasks.is_running(program)]

    # However fast the machine is, none of them swaps before its time is over.
    with renames_held_up(server, target):
        tasks = run_tasks(
            ("PgCloneRestoreOperator", {**on_target, **storage, "key": key, **seconds(1)}),
            ("PgCloneSwapOperator", {**swap, **seconds(3)}),
            ("PgCloneCopyOperator", copy),
            ("PgCloneCopyOperator", {**copy, **seconds(1)}),
            ("PgCloneSwapOperator", swap),
        )
        check_failed()
        tasks.go_on()
        check_failed()
    tasks.go_on()
    tasks.wait_until(lambda: tasks.is_running("pg_restore"))
    tasks.terminate()
    tasks.terminate()
    check_failed()
    with renames_held_up(server, target):
        tasks.go_on()
        check_failed()
    tasks.go_on()
    assert tasks.state() == "success", tasks.said()
    assert fingerprint(server, target) == fingerprint(server, source)
    assert server.names() == {source, target}


def seconds(count: int) -> dict[str, int]:
    return {"execution_timeout_seconds": count}
