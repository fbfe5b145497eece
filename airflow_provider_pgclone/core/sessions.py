"""Other sessions of a server: keeping them out of a target, and ending those on a database."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database, connect, database_oid, fetch_row
from airflow_provider_pgclone.core.errors import BusyError, UnsupportedError

LOCK_POLL_SECONDS = 0.5
# PostgreSQL looks for other sessions every 100 ms for 5 s: CountOtherDBBackends() in procarray.c.
TERMINATE_POLL_SECONDS = 0.02

# pg_stat_activity would wait for pg_database, which a swap locks; this function does not. Of other
# roles' sessions it shows all users the database and the role alone, which autovacuum has not.
_SESSIONS = """
SELECT pid FROM pg_stat_get_activity(NULL)
WHERE datid = ANY(%s) AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
  AND backend_type IS DISTINCT FROM 'parallel worker'
"""
# A backend that is still connecting has no database yet: it shows only as a wait for its lock.
# 1262 is the OID of pg_database, fixed in pg_class.dat.
_TERMINATE_CONNECTING = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE NOT granted AND locktype = 'object' AND classid = 1262 AND objid = ANY(%s) AND pid <> ALL(%s)
"""

# How pg_locks shows a key of 64 bits: the view's page in PostgreSQL's documentation.
_LOCK_OF_OTHERS = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
      AND (classid::bigint << 32 | objid::bigint) = %s::bigint
)
"""


@contextmanager
def target_lock(
    connection: psycopg.Connection,
    target: str,
    *,
    wait_seconds: float,
    cancellation: Cancellation,
) -> Iterator[None]:
    """Hold the lock of a target: two restores, swaps or copies into it never run at once.

    The lock ends with the session, so a killed task leaves none. It is an advisory lock, which
    PostgreSQL keeps per database: so it is looked for in the others as well.

    :param connection: a session on the maintenance database, open for as long as the work takes.
    :param wait_seconds: how long to wait for another holder; 0 does not wait.
    :raises BusyError: when another session holds it for longer.
    """
    key = _lock_key(target)
    deadline = time.monotonic() + wait_seconds
    pause = threading.Event()
    while not _try_lock(connection, key):
        cancellation.check()
        if time.monotonic() >= deadline:
            raise BusyError(
                f"another restore, swap or copy into database {target!r} is running",
                hint="Wait for it to end, or give wait_seconds.",
            )
        pause.wait(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        # Where the session is broken or busy, its end frees the lock.
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock(%s)", [key])


def is_locked_by_others(connection: psycopg.Connection, target: str) -> bool:
    """Return whether another session holds the lock of a target, in whichever database it is."""
    return _is_held_by_others(connection, _lock_key(target))


def _try_lock(connection: psycopg.Connection, key: int) -> bool:
    """Take a lock unless another session has it; of two that take it at once neither may."""
    if fetch_row(connection, "SELECT pg_try_advisory_lock(%s)", [key]) != (True,):
        return False
    if _is_held_by_others(connection, key):
        connection.execute("SELECT pg_advisory_unlock(%s)", [key])
        return False
    return True


def _is_held_by_others(connection: psycopg.Connection, key: int) -> bool:
    return fetch_row(connection, _LOCK_OF_OTHERS, [key]) == (True,)


def _lock_key(target: str) -> int:
    digest = hashlib.sha256(f"airflow-provider-pgclone:{target}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def terminating(
    maintenance: Database, oids: Sequence[int], cancellation: Cancellation
) -> Iterator[None]:
    """Keep ending all sessions on some databases while the block runs, from a session of its own.

    Meanwhile the block's statement takes the databases' lock, which keeps new sessions waiting.

    :raises UnsupportedError: when the block fails and a session could not be ended for want of
        rights; it names the session.
    """
    refused: list[str] = []
    done = threading.Event()

    def terminate(connection: psycopg.Connection) -> None:
        while not done.is_set():
            try:
                refused[:] = _terminate_all(connection, oids)
            except psycopg.Error:
                return
            done.wait(TERMINATE_POLL_SECONDS)

    with connect(maintenance, cancellation) as connection:
        thread = threading.Thread(target=terminate, args=[connection], name="terminate-sessions")
        thread.start()
        try:
            yield
        except psycopg.errors.ObjectInUse as error:
            if not refused:
                raise
            raise UnsupportedError(
                f"a session on the database cannot be ended: {refused[0]}",
                hint="Grant pg_signal_backend to the user of the connection, or end it by hand.",
            ) from error
        finally:
            done.set()
            thread.join()


def _terminate_all(connection: psycopg.Connection, oids: Sequence[int]) -> list[str]:
    """End the sessions on some databases, and return why some could not be."""
    refused = []
    for (pid,) in connection.execute(_SESSIONS, [list(oids)]).fetchall():
        try:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        except psycopg.errors.InsufficientPrivilege as error:
            refused.append(f"process {pid}: {error.diag.message_primary}")
    return refused


def terminate_connecting(
    connection: psycopg.Connection, oids: Sequence[int], *, spare: Sequence[int]
) -> int:
    """End the backends that wait for the lock of a database to connect to it.

    :param spare: process ids to leave alone.
    :return: how many there were.
    """
    cursor = connection.execute(_TERMINATE_CONNECTING, [list(oids), list(spare)])
    return cursor.rowcount


def check_nothing_bound(connection: psycopg.Connection, name: str) -> None:
    """Refuse a database whose rename or drop PostgreSQL would refuse, or that would lose its slot.

    :raises UnsupportedError: naming the prepared transactions, replication slots or subscriptions.
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
        names = [row[0] for row in connection.execute(query, [name])]
        if names:
            raise UnsupportedError(
                f"database {name!r} has {kind}: {', '.join(names)}",
                hint="Finish or drop them first; they cannot follow a database that is replaced.",
            )


@contextmanager
def naming_what_is_bound(connection: psycopg.Connection, names: Sequence[str]) -> Iterator[None]:
    """Say by name what keeps a block from renaming databases, where it is more than a session.

    :param connection: another session than that of the block.
    :raises UnsupportedError: naming the prepared transactions.
    """
    try:
        yield
    except psycopg.errors.ObjectInUse:
        for name in names:
            check_nothing_bound(connection, name)
        raise


def existing_oids(connection: psycopg.Connection, names: Sequence[str]) -> list[int]:
    found = (database_oid(connection, name) for name in names)
    return [oid for oid in found if oid is not None]
