"""Loads rows, and builds indexes and constraints, by sessions of this process.

A run of pg_restore for each of them would connect and learn the catalog anew, and rows would pass
one more process.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, LifoQueue

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.copy import Writer
from psycopg.generators import copy_end, copy_to
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait

from airflow_provider_pgclone.core.archive import Piece, TocEntry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, RestoreError
from airflow_provider_pgclone.core.executing.messages import RestoreMessage, message_of_server
from airflow_provider_pgclone.core.executing.sinks import Feed
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.watching import LoadWork

# Otherwise the server may count the rows of a COPY only seconds later, after those of an ANALYZE by
# another session: pgstat_report_stat() in pgstat.c.
_COUNT_NOW = "SELECT pg_catalog.pg_stat_force_next_flush()"
# What pg_restore sets as well, in _doSetFixedOutputState(). The rest of it is in LOADING. Keys of
# large tables are checked by queries that are worth to be compiled.
_AS_PG_RESTORE = b"SET xmloption = content; SET row_security = off; RESET jit; "
# A server that is still there ends a statement at once when it is asked to. Airflow kills a task
# 5 s after it told it to stop.
ANSWER_SECONDS = 2.0
# libpq cannot hold a piece of any size: MAX_BUFFER_SIZE in psycopg.
_WRITTEN_BYTES = 1024 * 1024


class Sessions:
    """Sessions on the database that is loaded, for threads that use one after another.

    As many are open as threads use at once, until all is loaded. If the server does not end their
    statements soon after a cancel, they are cut off.

    :param database: with the settings of sessions that load it.
    """

    def __init__(self, database: Database, cancellation: Cancellation) -> None:
        self._database = database
        self._cancellation = cancellation
        # Each with what ends it.
        self._idle: LifoQueue[tuple[Session, ExitStack]] = LifoQueue()
        self._lent: dict[int, Session] = {}
        self._cancelled_at: float | None = None
        self._end = ExitStack()

    def __enter__(self) -> "Sessions":
        self._end.enter_context(self._cancellation.ending(self._cut_off_late))
        return self

    def __exit__(self, *error: object) -> None:
        self._end.close()
        for session in [*self._lent.values()]:  # nobody waits for their threads
            session.cut_off()
        while not self._idle.empty():
            self._idle.get()[1].close()

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """Lend a session to this thread, as if it were new. After an error it ends.

        What was done in it is in the counts of the server then. Before PostgreSQL 15 only the end
        of a session does that.

        :raises ServerError: when the server fails a statement, or cannot be reached.
        """
        session, end = self._take()
        with end:
            with session.explaining_failure(), self._noting(session):
                yield session
                if session.major >= 15:
                    session.execute(_COUNT_NOW)
                    session.start_anew()
            if session.major >= 15:
                self._idle.put((session, end.pop_all()))

    @contextmanager
    def _noting(self, session: Session) -> Iterator[None]:
        self._lent[id(session)] = session
        try:
            yield
        finally:
            del self._lent[id(session)]

    def _cut_off_late(self) -> None:
        now = time.monotonic()
        self._cancelled_at = self._cancelled_at or now
        if now - self._cancelled_at > ANSWER_SECONDS:
            for session in [*self._lent.values()]:
                session.cut_off()

    def _take(self) -> tuple[Session, ExitStack]:
        with suppress(Empty):
            return self._idle.get_nowait()
        with ExitStack() as end:
            session = end.enter_context(connect(self._database, self._cancellation))
            session.connection.prepare_threshold = None  # start_anew() would deallocate these
            return session, end.pop_all()


class _RowWriter(Writer):
    """Writes rows to the server, and reads what it sends meanwhile.

    psycopg's own would only write. If the server has a long message, it waits until that is read,
    and reads no rows.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def write(self, data: Buffer) -> None:
        whole = memoryview(data)
        for start in range(0, len(whole), _WRITTEN_BYTES):
            part = whole[start : start + _WRITTEN_BYTES]
            self._send(copy_to(self._connection.pgconn, part))

    def finish(self, exc: BaseException | None = None) -> None:
        """End the rows, or the session if they do not come to their end.

        psycopg would wait for the server, and log what it answers, with the values of a row.
        """
        if exc is None:
            self._send(copy_end(self._connection.pgconn, None))
        else:
            self._connection.close()

    def _send(self, sending: PQGen[object]) -> None:
        self._connection.wait(_sent_and_read(self._connection.pgconn, sending))


def _sent_and_read(pgconn: PGconn, sending: PQGen[object]) -> PQGen[None]:
    """Read from the server where ``sending`` can only wait until the server reads."""
    with suppress(StopIteration):
        wanted = next(sending)
        while True:
            if wanted == Wait.W:
                ready = yield Wait.RW
                if ready == Ready.R:
                    pgconn.consume_input()
                    continue
            else:
                ready = yield wanted
            wanted = sending.send(ready)


class CopySink:
    """A COPY that waits for the rows of an entry."""

    holds_large_objects = False

    def __init__(self, copy: psycopg.Copy, entry: TocEntry, cancellation: Cancellation) -> None:
        self._copy = copy
        self._entry = entry
        self._cancellation = cancellation

    def check(self) -> None:
        """Check that the server waits for more, before and while that is fetched.

        :raises CancelledError: when a stop was requested.
        :raises OperationalError: when the server has ended the session.
        """
        self._cancellation.check()
        self._copy.connection.pgconn.consume_input()

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        """Write the rows of a table."""
        for piece in pieces:
            self._cancellation.check()
            self._copy.write(piece)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        """Refuse large objects.

        :raises ArchiveError: always.
        """
        raise ArchiveError(f"{self._entry.display_name} has large objects in place of rows")


def execute_entries(
    session: Session,
    entries: Sequence[TocEntry],
    feed: Feed,
    work: LoadWork,
    *,
    setup: Sequence[TocEntry],
) -> None:
    """Restore entries that are one statement each, in their order.

    :param feed: called for each entry with data.
    :param work: is told which entry is worked on.
    :param setup: the entries that set how the others are read, such as the encoding of the archive.
    :raises RestoreError: when the server refuses one. The restore ends there.
    :raises PgCloneError: the error of ``feed``.
    """
    session.execute(_AS_PG_RESTORE + b"".join(map(_statement, setup)))
    for entry in entries:
        session.cancellation.check()
        work.begin(entry.dump_id)
        refusal = _execute(session, entry, feed)
        if refusal is not None:  # raised here, since the values of a row are in its cause
            raise RestoreError(f"cannot restore {refusal}", hint=refusal.hint)
        work.end(entry.dump_id)


def _execute(session: Session, entry: TocEntry, feed: Feed) -> RestoreMessage | None:
    """Restore an entry, and return why the server refuses it."""
    try:
        if entry.has_data:
            cursor = session.connection.cursor()
            with cursor.copy(_statement(entry), writer=_RowWriter(session.connection)) as copy:
                feed(entry.dump_id, CopySink(copy, entry, session.cancellation))
        else:
            session.execute(_statement(entry))
    except psycopg.Error as error:
        session.cancellation.check()
        return message_of_server(error, entry, session)
    return None


def _statement(entry: TocEntry) -> bytes:
    """Return the statement of an entry as it is in the archive."""
    text = entry.copy_statement if entry.has_data else entry.definition
    return text.encode(errors="surrogateescape")
