"""Read the ranges of a plan by several psql at once, and hand them over in the order of the plan.

psql, since psycopg gives COPY row by row and two threads of it hold each other up on the
interpreter's lock. Each range has a queue that is bounded in bytes: memory is ``jobs`` queues,
however large the tables or their rows are.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.compression import COPY_END, Chunk, Compressor
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.pg_tools import (
    ClientTools,
    connection_arguments,
    tool_environment,
)
from airflow_provider_pgclone.core.plan import PageRange, PlannedRange, copy_query
from airflow_provider_pgclone.core.process import run_child

QUEUE_BYTES = 24 * 1024 * 1024
POLL_SECONDS = 0.5

# What pg_dump sets for itself: setup_connection() in pg_dump.c.
_SESSION = (
    "SET DATESTYLE = ISO; SET INTERVALSTYLE = POSTGRES; SET extra_float_digits = 3; "
    "SET synchronize_seqscans = off; SET statement_timeout = 0; SET lock_timeout = 0; "
    "SET idle_in_transaction_session_timeout = 0; SET row_security = off; "
    "SELECT pg_catalog.set_config('search_path', '', false) \\g /dev/null\n"
    # Against functions that a malicious owner hides in a view: CVE-2024-7348.
    "SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'restrict_nonsystem_relation_kind' \\g /dev/null\n"
)


class RangeQueue:
    """What one worker has read of a range and the writer has not yet taken."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._done = False
        self._failure: BaseException | None = None

    def put(self, chunk: Chunk, cancellation: Cancellation) -> None:
        """Add a chunk; waits while the queue is full."""
        with self._changed:
            while self._bytes >= QUEUE_BYTES:
                cancellation.check()
                self._changed.wait(POLL_SECONDS)
            self._chunks.append(chunk)
            self._bytes += len(chunk.payload)
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Say that no more chunks come, or why."""
        with self._changed:
            self._done, self._failure = True, failure
            self._changed.notify_all()

    def chunks(self, cancellation: Cancellation) -> Iterator[Chunk]:
        """Yield the chunks as they come; raises what the worker raised."""
        while True:
            with self._changed:
                while not self._chunks and not self._done:
                    cancellation.check()
                    self._changed.wait(POLL_SECONDS)
                if not self._chunks:
                    if self._failure is not None:
                        raise self._failure
                    return
                chunk = self._chunks.popleft()
                self._bytes -= len(chunk.payload)
                self._changed.notify_all()
            yield chunk


class RangeReader:
    """Runs the COPY of a range in the snapshot of a dump.

    :param snapshot: as ``pg_export_snapshot()`` named it.
    """

    def __init__(
        self,
        database: Database,
        tools: ClientTools,
        snapshot: str,
        cancellation: Cancellation,
    ) -> None:
        self._program = tools.path("psql")
        self._connection = connection_arguments(database)
        self._environment = tool_environment(database)
        self._snapshot = snapshot
        self._cancellation = cancellation

    def pieces(self, pages: PageRange) -> Iterator[bytes]:
        """Yield the rows of a range as COPY writes them, and their end.

        :raises ToolError: when psql failed.
        """
        argv = [
            *(self._program, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            *("--tuples-only", "--file=-"),
            *self._connection,
        ]
        script = (
            f"{_SESSION}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
            f"SET TRANSACTION SNAPSHOT '{self._snapshot}';\n"
            f"{copy_query(pages)};\n"
        )
        with run_child(
            argv,
            environment=self._environment,
            cancellation=self._cancellation,
            stdin=True,
            stdout=True,
        ) as psql:
            with suppress(BrokenPipeError):  # its exit code tells why it has ended
                psql.stdin.write(script.encode())
                psql.stdin.close()
            yield from psql.output()
            psql.wait_for_success()
        yield COPY_END


@contextmanager
def reading_ranges(
    ranges: Sequence[PlannedRange],
    read: Callable[[PageRange], Iterator[bytes]],
    new_compressor: Callable[[], Compressor],
    *,
    jobs: int,
    cancellation: Cancellation,
) -> Iterator[list[RangeQueue]]:
    """Start ``jobs`` workers, and yield a queue for each range, in the order of the plan.

    :param read: gives the rows of a range; called in the workers.
    :param cancellation: ends the workers and what they wait for.
    """
    queues = [RangeQueue() for _ in ranges]
    waiting = deque(zip(ranges, queues, strict=True))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                planned, queue = waiting.popleft()
            except IndexError:
                return
            try:
                for chunk in new_compressor().chunks(read(planned.pages)):
                    queue.put(chunk, cancellation)
                queue.finish()
            except BaseException as error:  # noqa: BLE001  # the writer raises it
                queue.finish(error)
                return

    threads = [
        threading.Thread(target=work, name=f"range-{number}", daemon=True)
        for number in range(min(jobs, len(ranges)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield queues
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        stop.set()
        for thread in threads:
            thread.join()
