"""``python -m bench.floor <plan> <database> <sessions>`` does the tasks of a plan.

The plan is a file of JSON that ``write_plan()`` makes. ``note`` as a fourth argument adds how long
each task took, by which later runs choose what comes first.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import psycopg

from bench.commands import copy_out
from bench.floor_plan import Task, read_plan, urgencies
from example_dags.services import PostgresServer

READ_BYTES = 512 * 1024
# As much as the sessions of the package have, or the floor could be above it.
_MEMORY = """
SELECT set_config('maintenance_work_mem', greatest(
    pg_size_bytes(current_setting('maintenance_work_mem')),
    least(pg_size_bytes('1GB'), pg_size_bytes(current_setting('shared_buffers')) / 4 / %s)
) / 1024 || 'kB', false)
"""


class Work:
    """The tasks that are left, for sessions that take one after the other."""

    def __init__(self, tasks: list[Task], seconds: dict[str, float]) -> None:
        urgency = urgencies(tasks, {task.name: seconds.get(task.name, 0.0) for task in tasks})
        self._left = sorted(tasks, key=lambda task: -urgency[task.name])
        self._done: set[str] = set()
        self._changed = Condition()
        self.seconds: dict[str, float] = {}
        self.failure: Exception | None = None

    def take(self) -> Task | None:
        """Return the most urgent task whose needs are done; ``None`` when none is left."""
        with self._changed:
            while self._left and self.failure is None:
                for task in self._left:
                    if self._done.issuperset(task.needs):
                        self._left.remove(task)
                        return task
                self._changed.wait()
            return None

    def finish(self, task: Task, seconds: float) -> None:
        with self._changed:
            self._done.add(task.name)
            self.seconds[task.name] = seconds
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        with self._changed:
            self.failure = error
            self._changed.notify_all()


def write_plan(server: PostgresServer, name: str, folder: Path) -> tuple[Path, list[str]]:
    """Write the plan of a database, and return commands of a shell that make the text it reads."""
    folder.mkdir(exist_ok=True)
    plan = read_plan(server, name)
    path = folder / "plan.json"
    path.write_text(json.dumps({"tasks": [asdict(task) for task in plan.tasks], "seconds": {}}))
    commands = [
        f"psql --quiet {copy_out(part.source)} > {folder / file}"
        for file, part in plan.texts.items()
    ]
    return path, commands


def do(path: Path, database: str, sessions: int) -> dict[str, float]:
    """Do all tasks of a plan, and return what each took."""
    plan: dict[str, Any] = json.loads(path.read_text())
    work = Work([Task(**task) for task in plan["tasks"]], plan["seconds"])

    def session() -> None:
        try:
            with psycopg.connect(dbname=database, autocommit=True) as connection:
                connection.execute(_MEMORY, [sessions])
                while (task := work.take()) is not None:
                    started = time.monotonic()
                    _do_task(connection, task, path.parent)
                    work.finish(task, time.monotonic() - started)
        except Exception as error:  # noqa: BLE001  # raised below
            work.fail(error)

    threads = [Thread(target=session) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if work.failure is not None:
        raise work.failure
    return work.seconds


def _do_task(connection: psycopg.Connection, task: Task, folder: Path) -> None:
    if task.file is None:
        connection.execute(task.statement.encode())
        return
    with (
        open(folder / task.file, "rb") as file,
        connection.cursor().copy(task.statement.encode()) as copy,
    ):
        while data := file.read(READ_BYTES):
            copy.write(data)


def main() -> None:
    plan, database, sessions, *note = sys.argv[1:]
    path = Path(plan)
    seconds = do(path, database, int(sessions))
    if note:
        path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": seconds}))


if __name__ == "__main__":
    main()
