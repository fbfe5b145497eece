"""The lock of a target. Only one restore, swap or copy into it can run at a time."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.postgres import Session

LOCK_POLL_SECONDS = 0.5

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
    """Hold the lock of a target while the block runs.

    The lock ends with the session, so a killed task does not leave a lock. It is an advisory lock.
    PostgreSQL keeps these per database, so this also looks for the lock in other databases.

    :param session: a session on the maintenance database; it must stay open during the block.
    :param wait_seconds: the time to wait for the lock; 0 does not wait.
    :raises BusyError: when another session still holds the lock after this time.
    """
    key = _lock_key(target)
    deadline = time.monotonic() + wait_seconds
    pause = threading.Event()
    while not _try_lock(session, key):
        session.cancellation.check()
        if time.monotonic() >= deadline:
            raise BusyError(
                f"another restore, swap or copy into database {target!r} is running",
                hint="Wait until it has finished, or set wait_seconds.",
            )
        pause.wait(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        # If the session is broken or busy, its end releases the lock.
        with suppress(psycopg.Error):
            session.execute("SELECT pg_advisory_unlock(%s)", [key])


def is_locked_by_others(session: Session, target: str) -> bool:
    """Tell whether another session holds the lock of a target, in any database."""
    return _is_held_by_others(session, _lock_key(target))


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
