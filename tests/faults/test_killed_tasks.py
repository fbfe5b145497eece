"""Tasks that are killed by a real signal: they end failed and leave nothing behind."""

import os
import signal
from collections.abc import Callable

import pytest

from example_dags.services import S3Server
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.servers import BUCKET, unfinished_uploads
from tests.support.fixtures.tasks import Tasks

pytestmark = pytest.mark.long

FOLDER = "killed-tasks/"
LOCATION = f"s3://{BUCKET}/{FOLDER}"


def test_killed_tasks_fail_and_leave_nothing(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    s3: S3Server,
    s3_connection: str,
    run_tasks: Callable[..., Tasks],
) -> None:
    """One process for all cases, since Airflow takes long to start."""
    big = make_database(
        "CREATE EXTENSION pgcrypto; "
        "CREATE TABLE noise AS SELECT n, gen_random_bytes(1024) AS noise "
        "FROM generate_series(1, 100000) n; ALTER TABLE noise ADD PRIMARY KEY (n)"
    )
    storage = {"storage_location": LOCATION, "storage_conn_id": s3_connection}
    key = make_hook(big, **storage).dump(instance="kept")
    common = {"postgres_conn_id": "pg", "database": big}
    restore = {**common, **storage, "key": key}
    tasks = run_tasks(
        ("PgCloneDumpOperator", {**common, **storage}),
        ("PgCloneDumpOperator", {**common, **storage, "execution_timeout_seconds": 1}),
        ("PgCloneRestoreOperator", restore),
        ("PgCloneRestoreOperator", {**restore, "key": ":template1"}),
        ("PgCloneRestoreOperator", restore),
    )

    def is_uploading() -> bool:
        # Of these tasks: other tests leave uploads in the bucket that are not completed.
        return bool(unfinished_uploads(s3, FOLDER))

    def is_swapping() -> bool:
        query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' "
        return bool(server.rows("postgres", query + "AND state = 'active'"))

    def check_nothing_left() -> None:
        assert not is_uploading()
        assert [dump.key for dump in make_hook(big, **storage).ls()] == [key]
        assert server.names() == {big}
        assert server.value(big, "SELECT count(*) FROM noise") == 100000
        for program in ("pg_dump", "pg_restore", "psql"):
            assert not tasks.is_running(program)
        if tasks.process.poll() is None:
            tasks.go_on()

    tasks.wait_until(is_uploading)
    tasks.terminate()
    assert tasks.state() == "failed", tasks.said()
    check_nothing_left()

    assert tasks.state() == "failed", tasks.said()
    check_nothing_left()

    tasks.wait_until(lambda: tasks.is_running("pg_restore"))
    tasks.terminate()
    assert tasks.state() == "failed", tasks.said()
    check_nothing_left()

    # A database that another session is renaming holds the swap up.
    with server.connect("postgres") as other:
        other.execute("BEGIN")
        other.execute(f"ALTER DATABASE {big} CONNECTION LIMIT 100".encode())
        tasks.wait_until(is_swapping)
        tasks.terminate()
        assert tasks.state() == "failed", tasks.said()
        other.execute("ROLLBACK")
    check_nothing_left()

    tasks.wait_until(lambda: tasks.is_running("pg_restore"))
    os.kill(tasks.process.pid, signal.SIGKILL)
    tasks.process.wait()
    leftovers = server.names() - {big}
    assert len(leftovers) == 1
    assert server.value(big, "SELECT count(*) FROM noise") == 100000
    make_hook(big, **storage).restore(key)
    check_nothing_left()
