"""Loads rows, and builds indexes and constraints, by sessions of this process.

A run of pg_restore for each of them would connect and learn the catalog anew, and rows would pass
one more process.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg

from airflow_provider_pgclone.core.archive import Piece, TocEntry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, RestoreError
from airflow_provider_pgclone.core.executing.messages import message_of_server
from airflow_provider_pgclone.core.executing.sinks import Feed
from airflow_provider_pgclone.core.postgres import SAFE_PATH, Database, Session, connect
from airflow_provider_pgclone.core.watching import LoadWork

# Otherwise the server may count the rows of a COPY only seconds later, after those of an ANALYZE by
# another session: pgstat_report_stat() in pgstat.c.
_COUNT_NOW = "SELECT pg_stat_force_next_flush()"
# What pg_restore sets as well, in _doSetFixedOutputState(). The rest of it is in LOADING.
_AS_PG_RESTORE = b"SET xmloption = content; SET row_security = off"


class Sessions:
    """As many sessions as threads load a database at once, which stay open until all is loaded.

    :param database: with the settings of sessions that load it.
    :param setup: the entries that set how others are read, such as the encoding of the archive.
    """

    def __init__(
        self, database: Database, setup: Sequence[TocEntry], cancellation: Cancellation
    ) -> None:
        self._database = database
        self._setup = b"".join(map(_statement, setup))
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """Lend a session to this thread. After an error it is not used again.

        What was done in it is in the counts of the server then. Before PostgreSQL 15 only the end
        of a session does that.

        :raises ServerError: when the server fails a statement, or cannot be reached.
        """
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = self._open()
        with session.explaining_failure():
            session.execute(SAFE_PATH)  # what it did before may have set another one
            yield session
            if session.major < 15:
                session.connection.close()
                return
            session.execute(_COUNT_NOW)
        self._idle.append(session)

    def _open(self) -> Session:
        session = self._stack.enter_context(connect(self._database, self._cancellation))
        with session.explaining_failure():
            session.execute(_AS_PG_RESTORE)
            if self._setup:
                session.execute(self._setup)
        return session


class CopySink:
    """A COPY that waits for the rows of an entry."""

    holds_large_objects = False

    def __init__(self, copy: psycopg.Copy, entry: TocEntry, cancellation: Cancellation) -> None:
        self._copy = copy
        self._entry = entry
        self.check = cancellation.check

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        """Write the rows of a table."""
        for piece in pieces:
            self.check()
            self._copy.write(piece)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        """Refuse large objects.

        :raises ArchiveError: always.
        """
        raise ArchiveError(f"{self._entry.display_name} has large objects in place of rows")


def execute_entries(
    session: Session, entries: Sequence[TocEntry], feed: Feed, work: LoadWork
) -> None:
    """Restore entries that are one statement each, in their order.

    :param feed: called for each entry with data.
    :param work: is told which entry is worked on.
    :raises RestoreError: when the server refuses one. The restore ends there.
    :raises PgCloneError: the error of ``feed``.
    """
    for entry in entries:
        work.begin(entry.dump_id)
        try:
            _execute(session, entry, feed)
        except psycopg.Error as error:
            session.cancellation.check()
            if session.connection.broken:
                raise
            raise RestoreError(f"cannot restore {message_of_server(error, entry)}") from error
        work.end(entry.dump_id)


def _execute(session: Session, entry: TocEntry, feed: Feed) -> None:
    statement = _statement(entry)
    if not entry.has_data:
        session.execute(statement)
        return
    with session.connection.cursor() as cursor, cursor.copy(statement) as copy:
        feed(entry.dump_id, CopySink(copy, entry, session.cancellation))


def _statement(entry: TocEntry) -> bytes:
    """Return the statement of an entry as it is in the archive."""
    text = entry.copy_statement if entry.has_data else entry.definition
    return text.encode(errors="surrogateescape")
