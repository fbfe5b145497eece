"""Explains what keeps a dump from reading: a missing right, or a lock of another session."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    MissingRight,
    Selection,
    describe_missing,
    display_name,
    missing_rights,
)
from airflow_provider_pgclone.core.errors import (
    BusyError,
    PgCloneError,
    RestoreError,
    ToolError,
)
from airflow_provider_pgclone.core.postgres import Database, Session, connect

_LOCKED = """
SELECT nspname, relname, pid FROM pg_locks
JOIN pg_class c ON c.oid = relation
JOIN pg_namespace n ON n.oid = relnamespace
WHERE granted AND mode = 'AccessExclusiveLock' AND relkind IN ('r', 'p', 'm')
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY nspname, relname
"""


@contextmanager
def telling_locked(session: Session) -> Iterator[None]:
    """Raise an error that names a locked table, and who holds it, if the session waited too long.

    :raises BusyError: when a lock was waited for longer than the session's ``lock_timeout``.
    """
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        found = None
        # What fails here must not hide the error.
        with suppress(PgCloneError), session.beside() as other:
            found = other.execute(_LOCKED).fetchone()
        what, who = "a table", "another session"
        if found is not None:
            schema, name, pid = found
            what = f"the table {display_name(schema, name)}"
            who = f"session {pid}" if pid else "a prepared transaction"
        raise BusyError(
            f"{what} of {session.database.name!r} is locked by {who}",
            hint="Try again when its transaction has ended, such as an ALTER TABLE or a VACUUM "
            "FULL.",
        ) from error


@contextmanager
def telling_missing_rights(database: Database, selection: Selection) -> Iterator[None]:
    """Add to an error of a program what the user has no right to read, and what to do about it."""
    try:
        yield
    except RestoreError:
        raise
    except ToolError as error:
        if error.hint is not None:
            raise
        missing: list[MissingRight] = []
        # The session of the snapshot may be cancelled. What fails here must not hide the error.
        with suppress(PgCloneError), connect(database, Cancellation()) as session:
            missing = missing_rights(session, selection)
        if not missing:
            raise
        what, hint = describe_missing(missing)
        raise ToolError(
            error.message, hint=f"The user of the connection cannot read {what}. {hint}"
        ) from error
