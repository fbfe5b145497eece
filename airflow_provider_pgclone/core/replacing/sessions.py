"""Terminates other sessions, and finds what prevents a database from being renamed."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from airflow_provider_pgclone.core.errors import BusyError, UnsupportedError
from airflow_provider_pgclone.core.postgres import APPLICATION_NAME, Session, database_oid

# PostgreSQL waits for other sessions to end for 5 s, and looks every 100 ms: CountOtherDBBackends()
# in procarray.c.
TERMINATE_POLL_SECONDS = 0.02
# A session that was closed may be there a moment longer. As long as PostgreSQL waits for it.
CLOSED_SESSION_SECONDS = 5.0
READER_POLL_SECONDS = 0.1

# The view pg_stat_activity would wait for pg_database, which a swap locks; this function does not.
# Every user can see the database, the role and the application of other roles' sessions:
# pg_stat_get_activity() in pgstatfuncs.c. Autovacuum has no role.
_SESSIONS = """
SELECT pid, datid, application_name FROM pg_stat_get_activity(NULL)
WHERE datid = ANY(%s) AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
  AND backend_type IS DISTINCT FROM 'parallel worker'
"""

# A backend that is still connecting does not show a database yet, only a wait for the lock of one.
# 1262 is the OID of pg_database, from pg_class.dat.
_TERMINATE_CONNECTING = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE NOT granted AND locktype = 'object' AND classid = 1262 AND objid = ANY(%s) AND pid <> ALL(%s)
"""


@contextmanager
def terminating(
    session: Session, oids: Sequence[int], *, spare_ours_on: Sequence[str] = ()
) -> Iterator[None]:
    """Terminate all sessions on some databases, again and again, while the block runs.

    A second session does this. A statement of the block locks the databases, so that new sessions
    wait.

    :param spare_ours_on: the databases on which sessions of this package are left alone.
    :raises BusyError: when the block fails because of such a session.
    :raises UnsupportedError: when the block fails because the user has no right to terminate a
        session; names the session.
    """
    refused: list[str] = []
    spared = existing_oids(session, spare_ours_on)
    done = threading.Event()

    def terminate(ender: Session) -> None:
        while not done.is_set():
            try:
                refused[:] = _terminate_all(ender, oids, spare_ours_on=spared)
            except psycopg.Error:
                return
            done.wait(TERMINATE_POLL_SECONDS)

    with session.beside() as ender:
        thread = threading.Thread(target=terminate, args=[ender], name="terminate-sessions")
        thread.start()
        try:
            yield
        except psycopg.errors.ObjectInUse as error:
            for name in spare_ours_on:
                if _has_readers(ender, name):
                    raise _read_by_others(name) from error
            if not refused:
                raise
            raise UnsupportedError(
                f"a session on the database cannot be ended: {refused[0]}",
                hint="Grant pg_signal_backend to the user of the connection, or end it yourself.",
            ) from error
        finally:
            done.set()
            thread.join()


def terminate_connecting(session: Session, oids: Sequence[int], *, spare: Sequence[int]) -> int:
    """Terminate the backends that wait for the lock of a database to connect to it.

    :param spare: the process ids of backends to leave alone.
    :return: the number of terminated backends.
    """
    cursor = session.execute(_TERMINATE_CONNECTING, [list(oids), list(spare)])
    return cursor.rowcount


def check_nothing_bound(session: Session, name: str) -> None:
    """Refuse a database with objects that prevent its replacement or would be lost by it.

    :raises UnsupportedError: names the prepared transactions, replication slots or subscriptions.
    """
    queries = {
        "prepared transactions": "SELECT gid FROM pg_prepared_xacts WHERE database = %s",
        "replication slots": "SELECT slot_name FROM pg_replication_slots WHERE database = %s",
        "subscriptions": (
            "SELECT subname FROM pg_subscription JOIN pg_database ON subdbid = pg_database.oid "
            "WHERE datname = %s"
        ),
    }
    for kind, query in queries.items():
        names = [row[0] for row in session.execute(query, [name])]
        if names:
            raise UnsupportedError(
                f"database {name!r} has {kind}: {', '.join(names)}",
                hint="Finish or drop them first. They cannot move to the new database.",
            )


@contextmanager
def naming_what_is_bound(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Explain by name why the block cannot rename databases, if it is not because of a session.

    :param session: a session other than that of the block.
    :raises UnsupportedError: names the prepared transactions, replication slots or subscriptions.
    """
    try:
        yield
    except psycopg.errors.ObjectInUse:
        for name in names:
            check_nothing_bound(session, name)
        raise


def existing_oids(session: Session, names: Sequence[str]) -> list[int]:
    """Return the OIDs of those of the databases that exist."""
    found = (database_oid(session, name) for name in names)
    return [oid for oid in found if oid is not None]


def wait_for_readers(session: Session, name: str, *, wait_seconds: float) -> None:
    """Wait until no dump or copy of ours reads a database.

    :param wait_seconds: the longest wait; a few seconds at least.
    :raises BusyError: when one still reads it after this time.
    """
    deadline = time.monotonic() + max(wait_seconds, CLOSED_SESSION_SECONDS)
    pause = threading.Event()
    while _has_readers(session, name):
        session.cancellation.check()
        if time.monotonic() >= deadline:
            raise _read_by_others(name)
        pause.wait(READER_POLL_SECONDS)


def _has_readers(session: Session, name: str) -> bool:
    """Tell whether another session of this package is on a database."""
    found = session.execute(_SESSIONS, [existing_oids(session, [name])]).fetchall()
    return any(application == APPLICATION_NAME for *_, application in found)


def _read_by_others(name: str) -> BusyError:
    """Return the error that a database cannot be cloned or swapped out now."""
    return BusyError(
        f"a dump or a copy of database {name!r} is running, and would be ended",
        hint="Wait until it has finished, or set wait_seconds. To copy the database meanwhile, "
        "set method to stream.",
    )


def _terminate_all(
    session: Session, oids: Sequence[int], *, spare_ours_on: Sequence[int]
) -> list[str]:
    """Terminate the sessions on some databases, and return an error for each that we may not."""
    refused = []
    for pid, oid, application in session.execute(_SESSIONS, [list(oids)]).fetchall():
        if oid in spare_ours_on and application == APPLICATION_NAME:
            continue
        try:
            session.execute("SELECT pg_terminate_backend(%s)", [pid])
        except psycopg.errors.InsufficientPrivilege as error:
            refused.append(f"process {pid}: {error.diag.message_primary}")
    return refused
