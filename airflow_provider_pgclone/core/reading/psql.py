"""COPY TO in the snapshot of a dump, by psql.

psql, since psycopg gives COPY row by row and two threads of it hold each other up on the
interpreter's lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_pgclone.core.archive import COPY_END
from airflow_provider_pgclone.core.catalog import table_name
from airflow_provider_pgclone.core.errors import ToolError
from airflow_provider_pgclone.core.postgres import (
    MASKING_TRANSACTION,
    NO_TRANSACTION_TIMEOUT,
    NO_VIEWS,
    READING_SESSION,
    Child,
    ReaderGoneError,
    connection_arguments,
    run_child,
)
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, copy_query
from airflow_provider_pgclone.core.reading.snapshot import Snapshot

_SESSION = f"{READING_SESSION};\n{NO_VIEWS} \\g /dev/null\n{NO_TRANSACTION_TIMEOUT} \\g /dev/null\n"
# An error of a masked row may quote what it was before: its code alone is told.
_CODES_ALONE = "\\set VERBOSITY sqlstate\n"


class RangeReader:
    """Runs the COPY of a range in the snapshot of a dump, each by a psql of its own."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def pieces(self, pages: PageRange) -> Iterator[bytes]:
        """Yield the rows of a range as COPY writes them, and their end.

        :raises ToolError: when psql failed.
        """
        psql_of_range = _psql(self._snapshot)
        with _naming_masked(pages), psql_of_range as psql:
            with suppress(BrokenPipeError):  # its exit code tells why it has ended
                psql.stdin.write(f"{_before(pages)}{copy_query(pages)};\n".encode())
                psql.stdin.close()
            yield from psql.output()
            psql.wait_for_success()
        yield COPY_END


class CopySession:
    """A psql that writes range after range to where it is told, past this process."""

    def __init__(self, psql: Child) -> None:
        self._psql = psql

    def end(self) -> None:
        """Let it end, and its transaction with it."""
        with suppress(BrokenPipeError):
            self._psql.stdin.close()

    def copy(self, pages: PageRange, path: Path) -> int:
        """Write the rows of a range to a file, and return how many they were.

        :raises ReaderGoneError: when the file is a pipe that is not read to its end.
        :raises ToolError: when psql failed.
        """
        # To where \o leads psql would not count the rows. The savepoint gives the locks back: on a
        # table, its indexes and its TOAST table; a server has few.
        script = (
            f"SAVEPOINT range;\n{_before(pages)}"
            f"{copy_query(pages)} \\g {_quoted(path)}\n"
            "\\set PGCLONE_ROWS :ROW_COUNT\n"
            "ROLLBACK TO SAVEPOINT range;\nRELEASE SAVEPOINT range;\n"
            "\\echo :PGCLONE_ROWS\n"
        )
        with suppress(BrokenPipeError):
            self._psql.stdin.write(script.encode())
            self._psql.stdin.flush()
        line = self._psql.read_line()
        if not line:
            if self._psql.ended_by_broken_pipe():
                raise ReaderGoneError
            with _naming_masked(pages):
                self._psql.wait_for_success()
        if not line.isdecimal():
            raise ToolError(f"psql has not counted the rows of {pages.table.display_name}")
        return int(line)


@contextmanager
def open_copy_session(snapshot: Snapshot) -> Iterator[CopySession]:
    """Start a psql in the snapshot, for as long as the block runs."""
    with _psql(snapshot) as psql:
        yield CopySession(psql)


@contextmanager
def _psql(snapshot: Snapshot) -> Iterator[Child]:
    database = snapshot.session.database
    argv = [
        *(snapshot.tools.path("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
        *("--tuples-only", "--file=-"),
        *connection_arguments(database),
    ]
    start = (
        f"{_SESSION}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
        f"SET TRANSACTION SNAPSHOT '{snapshot.name}';\n"
    )
    with run_child(
        argv,
        environment=snapshot.tool_environment(database),
        cancellation=snapshot.cancellation,
        stdin=True,
        stdout=True,
    ) as psql:
        with suppress(BrokenPipeError):
            psql.stdin.write(start.encode())
        yield psql


@contextmanager
def _naming_masked(pages: PageRange) -> Iterator[None]:
    """Name the table in an error of its masks, of which psql tells no more than a code."""
    try:
        yield
    except ToolError as error:
        if pages.table.masked is None:
            raise
        raise ToolError(
            f"the masked rows of {pages.table.display_name} could not be read: {error.message}",
            hint="Where an error is a code alone, SQL of yours does not fit some row; the code is "
            "in PostgreSQL's list of error codes.",
        ) from error


def _before(pages: PageRange) -> str:
    if pages.table.masked is None:
        return _lock(pages)
    return f"{_lock(pages)}{MASKING_TRANSACTION};\n{_CODES_ALONE}"


def _lock(pages: PageRange) -> str:
    """Return the statement that takes the lock which the snapshot's session has already.

    Were a COPY to take it, it would wait behind an ALTER TABLE that waits for that session, and
    neither would ever end. pg_dump has the same: lockTableForWorker() in parallel.c.
    """
    return f"LOCK TABLE ONLY {table_name(pages.table)} IN ACCESS SHARE MODE NOWAIT;\n"


def _quoted(path: Path) -> str:
    """Return a path as an argument of psql's commands."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
