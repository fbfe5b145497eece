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

# Whoever waits for this lock keeps others from their locks too. A prepared transaction has no pid.
_LOCKED = """
SELECT nspname, relname, pid, bool_or(granted) FROM pg_locks
LEFT JOIN pg_index ON indexrelid = relation
JOIN pg_class c ON c.oid = coalesce(indrelid, relation)
JOIN pg_namespace n ON n.oid = relnamespace
WHERE mode = 'AccessExclusiveLock' AND relkind IN ('r', 'p') AND pid IS DISTINCT FROM %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY nspname, relname, pid ORDER BY nspname, relname
"""
_NAMED = 10


@contextmanager
def explaining_lock(session: Session) -> Iterator[None]:
    """Raise an error that names locked tables, and who locks them, if the session waited too long.

    :raises BusyError: when a lock was waited for longer than the session's ``lock_timeout``, or by
        each for the other.
    """
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise locked_error(session) from error


def locked_error(session: Session) -> BusyError:
    """Return the error of a wait for a table that another session locks, or waits to lock.

    The server does not tell for which table. It is one of those that are locked now.

    :param session: has waited itself, or its database is the one of the table.
    """
    locked: list[tuple[str, str]] = []
    # What fails here must not hide the error.
    with suppress(PgCloneError), session.beside() as other:
        for schema, name, pid, is_granted in other.execute(_LOCKED, [session.pid]):
            who = f"session {pid}" if pid else "a prepared transaction"
            how = "locked" if is_granted else "about to be locked"
            locked.append((display_name(schema, name), f"{how} by {who}"))
    of = f"of {session.database.name!r}"
    if len(locked) == 1:
        [(name, how)] = locked
        message = f"the table {name} {of} is {how}"
    elif locked:
        some = ", ".join(f"{name} ({how})" for name, how in locked[:_NAMED])
        message = f"one of the tables {of} that others lock could not be read: {some}"
    else:
        message = f"a table {of} is locked by another session"
    return BusyError(
        message,
        hint="Try again when the other transaction has ended, such as an ALTER TABLE or a VACUUM "
        "FULL.",
    )


@contextmanager
def explaining_missing_rights(database: Database, selection: Selection) -> Iterator[None]:
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
