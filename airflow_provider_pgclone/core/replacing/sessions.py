"""Ends other sessions of a server, and finds what keeps a database from being renamed."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.postgres import Session, database_oid

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


@contextmanager
def terminating(session: Session, oids: Sequence[int]) -> Iterator[None]:
    """Keep ending all sessions on some databases while the block runs, from a session of its own.

    Meanwhile the block's statement takes the databases' lock, which keeps new sessions waiting.

    :raises UnsupportedError: when the block fails and a session could not be ended for want of
        rights; it names the session.
    """
    refused: list[str] = []
    done = threading.Event()

    def terminate(ender: Session) -> None:
        while not done.is_set():
            try:
                refused[:] = _terminate_all(ender, oids)
            except psycopg.Error:
                return
            done.wait(TERMINATE_POLL_SECONDS)

    with session.beside() as ender:
        thread = threading.Thread(target=terminate, args=[ender], name="terminate-sessions")
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


def _terminate_all(session: Session, oids: Sequence[int]) -> list[str]:
    """End the sessions on some databases, and return why some could not be."""
    refused = []
    for (pid,) in session.execute(_SESSIONS, [list(oids)]).fetchall():
        try:
            session.execute("SELECT pg_terminate_backend(%s)", [pid])
        except psycopg.errors.InsufficientPrivilege as error:
            refused.append(f"process {pid}: {error.diag.message_primary}")
    return refused


def terminate_connecting(session: Session, oids: Sequence[int], *, spare: Sequence[int]) -> int:
    """End the backends that wait for the lock of a database to connect to it.

    :param spare: process ids to leave alone.
    :return: how many there were.
    """
    cursor = session.execute(_TERMINATE_CONNECTING, [list(oids), list(spare)])
    return cursor.rowcount


def check_nothing_bound(session: Session, name: str) -> None:
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
        names = [row[0] for row in session.execute(query, [name])]
        if names:
            raise UnsupportedError(
                f"database {name!r} has {kind}: {', '.join(names)}",
                hint="Finish or drop them first; they cannot follow a database that is replaced.",
            )


@contextmanager
def naming_what_is_bound(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Say by name what keeps a block from renaming databases, where it is more than a session.

    :param session: another session than that of the block.
    :raises UnsupportedError: naming the prepared transactions.
    """
    try:
        yield
    except psycopg.errors.ObjectInUse:
        for name in names:
            check_nothing_bound(session, name)
        raise


def existing_oids(session: Session, names: Sequence[str]) -> list[int]:
    found = (database_oid(session, name) for name in names)
    return [oid for oid in found if oid is not None]
