"""Runs COPY TO in a snapshot, by psql.

psycopg would return the rows of COPY one by one, and threads that use it would wait for each other
for the lock of the interpreter.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from signal import SIGINT

from airflow_provider_pgclone.core.archive import RowCount
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Table, table_name
from airflow_provider_pgclone.core.errors import BusyError, ToolError
from airflow_provider_pgclone.core.postgres import (
    MASKING_TRANSACTION,
    NO_LOCK_TIMEOUT,
    NO_TRANSACTION_TIMEOUT,
    NO_VIEWS,
    READING_SESSION,
    SAFE_PATH,
    Child,
    connection_arguments,
    hint_for_room,
    open_service_pipe,
    qualified,
    run_child,
    short_lock_timeout,
)
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, copy_query
from airflow_provider_pgclone.core.reading.snapshot import Snapshot

# Otherwise psql's own output, such as a notification of the server, would be taken for rows.
_SAY_NOTHING = "\\o /dev/null\n"
# A database could have messages of its own plans fill the error.
_FEW_MESSAGES = "SET client_min_messages = error"
# The message of an error in a masked row may quote a value from before masking, so psql shows only
# the code.
_CODES_ALONE, _MESSAGES = "\\set VERBOSITY sqlstate\n", "\\set VERBOSITY default\n"
_CODES_AND_MESSAGES = "\\set VERBOSITY verbose\n"
# 55P03 is lock_not_available, 40P01 deadlock_detected.
_NO_LOCK = re.compile(
    r"^(psql exited with 3: )?psql:<stdin>:\d+: \w+: +(55P03|40P01)\b", re.MULTILINE
)
# Where COPY has a file of its own, psql knows the number of rows: HandleCopyResult() in common.c,
# and ProcessResult() of psql 14.
_TO_OUTPUT = "\\g /dev/stdout"
# The digits of a number of rows, and a line break.
_COUNT_BYTES = 21


class CopySession:
    """A psql that reads one range after another: its start takes longer than a small table."""

    def __init__(self, psql: Child) -> None:
        self._psql = psql
        # psql writes it after the rows of a range. It is chosen after the snapshot was taken, so
        # that no row can have it.
        self._mark = f"{secrets.token_hex(16)} "
        self._locked: Table | None = None

    def end(self) -> None:
        """Let psql end, and with it its transaction."""
        with suppress(BrokenPipeError):
            self._psql.stdin.close()

    def finish(self) -> None:
        """Let psql end, and wait for that.

        :raises ToolError: when psql failed.
        """
        self.end()
        self._psql.wait_for_success()

    def pieces(self, pages: PageRange, count: RowCount) -> Iterator[bytearray]:
        """Yield the rows of a range as COPY writes them, without an end marker.

        Each piece is valid only until the next is asked for. If they are not read to the end, the
        session cannot be used any more.

        :param count: gets the number of rows at the end, as the server counted them.
        :raises BusyError: when the table stayed locked, or another session waits to alter it.
        :raises ToolError: when psql failed.
        """
        script = ""
        if self._locked is not pages.table:
            script = _lock(pages.table)
            self._locked = pages.table
        # The rollback releases the locks on the indexes and the TOAST table: a server has room for
        # few locks, and a REINDEX waits for them, and the next range of others for the REINDEX.
        script += (
            f"{copy_query(pages)} {_TO_OUTPUT}\n"
            f"\\echo '{self._mark}':ROW_COUNT\n"
            f"{_at_once('ROLLBACK TO SAVEPOINT range')}"
        )
        with _explaining(pages):
            with suppress(BrokenPipeError):  # its exit code says why it ended
                self._psql.stdin.write(script.encode())
                self._psql.stdin.flush()
            rows = yield from self._psql.output_until(self._mark.encode(), _COUNT_BYTES)
            if rows is None or not rows.isdigit():
                self._psql.wait_for_success()
                raise ToolError(
                    f"psql did not read the table {pages.table.display_name} to its end"
                )
            count.rows += int(rows)


class RangeReader:
    """Reads ranges in a snapshot, as many at once as it has sessions."""

    def __init__(self, sessions: Sequence[CopySession]) -> None:
        self._sessions = sessions
        self._free = SimpleQueue[CopySession]()
        for session in sessions:
            self._free.put(session)

    def pieces(self, pages: PageRange, count: RowCount) -> Iterator[bytearray]:
        """Yield the rows of a range, as :meth:`CopySession.pieces` does."""
        session = self._free.get_nowait()
        yield from session.pieces(pages, count)
        self._free.put(session)  # not after an error, when it may still be at work

    def end(self) -> None:
        """Let the sessions end, and with them their transactions."""
        for session in self._sessions:
            session.end()

    def finish(self) -> None:
        """Let the sessions end, and wait for that.

        :raises ToolError: when a psql failed.
        """
        for session in self._sessions:
            session.finish()


@contextmanager
def open_range_reader(
    snapshot: Snapshot, cancellation: Cancellation, *, sessions: int
) -> Iterator[RangeReader]:
    """Run some psql in the snapshot while the block runs.

    They start in this thread, because a child process ends with the thread that started it.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(_psql(snapshot, cancellation)) for _ in range(sessions)]
        yield RangeReader([CopySession(psql) for psql in opened])


@contextmanager
def _psql(snapshot: Snapshot, cancellation: Cancellation) -> Iterator[Child]:
    argv = [
        *(snapshot.tools.path("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
        *("--tuples-only", "--file=-"),
        *connection_arguments(snapshot.database),
    ]
    start = (
        _SAY_NOTHING
        + _at_once(SAFE_PATH, _FEW_MESSAGES, *_each(READING_SESSION))
        + _at_once(NO_VIEWS, NO_TRANSACTION_TIMEOUT)
        + _at_once(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            f"SET TRANSACTION SNAPSHOT '{snapshot.name}'",
            "SAVEPOINT in_table",
        )
    )
    with (
        _hidden_options(snapshot) as (environment, inherited),
        run_child(
            argv,
            environment=environment,
            cancellation=cancellation,
            stdin=True,
            stdout=True,
            inherited=inherited,
            # At this signal it ends its statement on the server, which may wait for a lock.
            end_signal=SIGINT,
        ) as psql,
    ):
        with suppress(BrokenPipeError):
            psql.stdin.write(start.encode())
        yield psql


@contextmanager
def _hidden_options(snapshot: Snapshot) -> Iterator[tuple[dict[str, str], Sequence[int]]]:
    """Yield the environment of psql, and the descriptors through which it gets the mask key."""
    database = snapshot.session.database
    if not snapshot.has_mask_key:
        yield snapshot.tool_environment(database), []
        return
    with open_service_pipe(database) as service:
        environment = snapshot.tool_environment(database.without_options())
        yield {**environment, **service.variables}, [service.descriptor]


@contextmanager
def _explaining(pages: PageRange) -> Iterator[None]:
    """Name the table in an error that does not: of a wait for a lock, and of masked rows."""
    name = pages.table.display_name
    try:
        yield
    except ToolError as error:
        if _NO_LOCK.search(error.message):
            raise BusyError(
                f"the table {name} could not be read: another session has locked it, or one that "
                "its masks read, or waits to alter it",
                hint="Try again when the other session has finished. An ALTER TABLE that has a "
                "lock_timeout of a few seconds does not end a dump.",
            ) from error
        if pages.table.masked is None or hint_for_room(error.message) is not None:
            raise
        raise ToolError(
            f"the masked rows of {name} could not be read: {error.message}",
            hint="If the error is only a code, SQL in your masks or conditions failed for a row. "
            "Look up the code in PostgreSQL's list of error codes.",
        ) from error


def _lock(table: Table) -> str:
    """Return the script that locks a table, and gives back the lock of the table before.

    The session of the snapshot has locked it already, with those that its masks and condition read.
    If COPY took the locks, it could wait behind an ALTER TABLE that waits for that session,
    forever. pg_dump does not wait at all: lockTableForWorker() in parallel.c.
    """
    masked = table.masked
    beside = () if masked is None else (qualified(*name) for name in masked.reads)
    names = ", ONLY ".join((table_name(table), *beside))
    locking = _at_once(
        "ROLLBACK TO SAVEPOINT in_table",
        short_lock_timeout(),
        f"LOCK TABLE ONLY {names} IN ACCESS SHARE MODE",
        # COPY may wait for a REINDEX, which does not wait for us. But it must not wait for an ALTER
        # TABLE of a table that only a function reads, which waits for the snapshot's session.
        *([] if masked is not None and masked.may_read_more else [NO_LOCK_TIMEOUT]),
        *([] if masked is None else _each(MASKING_TRANSACTION)),
        "SAVEPOINT range",
    )
    return f"{_CODES_AND_MESSAGES}{locking}{_MESSAGES if masked is None else _CODES_ALONE}"


def _at_once(*statements: str) -> str:
    """Return a line by which psql sends statements together, in one round trip to the server."""
    return "\\; ".join(statements) + ";\n"


def _each(settings: str) -> list[str]:
    return settings.split("; ")
