"""Locks of targets, and of the moment in which databases of a server are exchanged.

They end with the session, so that a killed task leaves none. They are advisory locks. PostgreSQL
keeps these per database, so other databases are searched for them too.
"""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.postgres import Session

LOCK_POLL_SECONDS = 0.5
# An exchange takes a fraction of a second.
TURN_POLL_SECONDS = 0.05
TURN_WAIT_SECONDS = 600
_TURN = "\0swap"  # no database has this name

# pg_locks shows a key of 64 bits in two columns: "pg_locks" in PostgreSQL's documentation.
_LOCK_OF_OTHERS = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
      AND (classid::bigint << 32 | objid::bigint) = %s::bigint
)
"""


@contextmanager
def target_lock(
    session: Session,
    target: str,
    *,
    wait_seconds: float,
) -> Iterator[None]:
    """Hold the lock of a target while the block runs. Only one restore, swap or copy into it can.

    :param session: a session on the maintenance database; it must stay open during the block.
    :param wait_seconds: the time to wait for the lock; 0 does not wait.
    :raises BusyError: when another session still holds the lock after this time.
    """
    busy = BusyError(
        f"another restore, swap or copy into database {target!r} is running",
        hint="Wait until it has finished, or set wait_seconds.",
    )
    with _held(session, _lock_key(target), busy, wait_seconds, LOCK_POLL_SECONDS):
        yield


@contextmanager
def turn_to_exchange(session: Session) -> Iterator[None]:
    """Let no other session of ours exchange databases of the server while the block runs.

    Each exchange holds rows of pg_database, and then wants to lock the whole of it: two of them
    would wait for each other.

    :raises BusyError: when the others have not finished in ten minutes.
    """
    busy = BusyError(
        "other swaps on the server have not finished", hint="Look for sessions that wait for locks."
    )
    with _held(session, _lock_key(_TURN), busy, TURN_WAIT_SECONDS, TURN_POLL_SECONDS):
        yield


def is_locked_by_others(session: Session, target: str) -> bool:
    """Tell whether another session holds the lock of a target, in any database."""
    return _is_held_by_others(session, _lock_key(target))


@contextmanager
def _held(
    session: Session, key: int, busy: BusyError, wait_seconds: float, poll_seconds: float
) -> Iterator[None]:
    deadline = time.monotonic() + wait_seconds
    pause = threading.Event()
    while not _try_lock(session, key):
        session.cancellation.check()
        if time.monotonic() >= deadline:
            raise busy
        # Two sessions in different databases that try in step would go on to turn each other away.
        pause.wait(poll_seconds * random.uniform(0.5, 1.5))  # noqa: S311
    try:
        yield
    finally:
        # If the session is broken or busy, its end releases the lock.
        with suppress(psycopg.Error):
            session.execute("SELECT pg_advisory_unlock(%s)", [key])


def _try_lock(session: Session, key: int) -> bool:
    """Try to take a lock. If two sessions take it at the same time, neither may get it."""
    if session.fetch_row("SELECT pg_try_advisory_lock(%s)", [key]) != (True,):
        return False
    if _is_held_by_others(session, key):
        session.execute("SELECT pg_advisory_unlock(%s)", [key])
        return False
    return True


def _is_held_by_others(session: Session, key: int) -> bool:
    return session.fetch_row(_LOCK_OF_OTHERS, [key]) == (True,)


def _lock_key(target: str) -> int:
    digest = hashlib.sha256(f"airflow-provider-pgclone:{target}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
