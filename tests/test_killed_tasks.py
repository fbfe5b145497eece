"""Tasks that are killed by a real signal: they end failed and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.children import running
from tests.fixtures.databases import MakeDatabase, Server
from tests.fixtures.hooks import MakeHook
from tests.fixtures.servers import BUCKET
from tests.services.seaweedfs import S3Server

WAIT_SECONDS = 120
LOCATION = f"s3://{BUCKET}/killed-tasks/"


class Tasks:
    """A process that runs tasks one after another."""

    def __init__(self, scenarios: list[tuple[str, dict[str, Any]]], log: Path) -> None:
        argv = [sys.executable, "-m", "tests.programs.run_tasks", json.dumps(scenarios)]
        self._log = log.open("w+")
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()

    def terminate(self) -> None:
        """Send what Airflow sends to a task that it stops."""
        self.process.send_signal(signal.SIGTERM)

    def state(self) -> str:
        """Return how the present task ended, once it did."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("STATE "):
                return line.split()[1]
        raise AssertionError(self.said())

    def go_on(self) -> None:
        """Let the next task start."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")

    def said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:]

    def is_running(self, program: str) -> bool:
        return bool(running(program, self.process.pid))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._log.close()


@pytest.fixture
def run_tasks(airflow_database: None, tmp_path: Path) -> Iterator[Callable[..., Tasks]]:
    started: list[Tasks] = []

    def start(*scenarios: tuple[str, dict[str, Any]]) -> Tasks:
        started.append(Tasks(list(scenarios), tmp_path / "tasks.log"))
        return started[-1]

    yield start
    for tasks in started:
        tasks.close()


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
    client = s3.client()

    def is_uploading() -> bool:
        return bool(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads"))

    def is_swapping() -> bool:
        query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' "
        return bool(server.rows("postgres", query + "AND state = 'active'"))

    def check_nothing_left() -> None:
        assert not is_uploading()
        assert [dump.key for dump in make_hook(big, **storage).ls()] == [key]
        assert server.names() == {big}
        assert server.value(big, "SELECT count(*) FROM noise") == 100000
        for program in ("pg_dump", "pg_restore", "psql", "vacuumdb"):
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
