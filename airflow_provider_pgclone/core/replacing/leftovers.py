"""Drops databases of ours that nobody needs any more; their markers identify them.

Failed attempts leave them, and each swap leaves the database that it has replaced.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import BusyError, PgCloneError
from airflow_provider_pgclone.core.postgres import (
    Database,
    Session,
    connect,
    drop_database,
    is_standby,
)
from airflow_provider_pgclone.core.replacing.locks import is_locked_by_others, target_lock
from airflow_provider_pgclone.core.replacing.marker import Marker, read_markers, unmarked_newborn
from airflow_provider_pgclone.core.replacing.names import attempt_database_name
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

GivenUp = Callable[[Marker], bool]
# The roles of databases that an attempt needs only while it runs.
_PASSING = ("temp", "post_temp", "old", "drill")
# The names that attempt_database_name() creates for these. A drill is its own target.
_ATTEMPT = re.compile(r"(.+)__(temp|post|drill)_([0-9a-f]{8})", re.DOTALL)


def remove_leftovers(session: Session, target: str, *, maker: str) -> None:
    """Drop what failed attempts on a target left; the caller holds the target's lock.

    What cannot be dropped stays: anybody who may create databases may give one of theirs a comment
    that makes it look like ours.

    :param maker: the maker of the new attempt. Databases that it left ready for a swap are dropped
        too, because the new attempt replaces them.
    """

    def is_given_up(marker: Marker) -> bool:
        return bool(maker) and marker.maker == maker

    for name in _leftovers(session, is_given_up).get(target, ()):
        _try_drop(session, name)


def remove_all_leftovers(
    maintenance: Database, *, given_up_before: datetime, preview: bool, cancellation: Cancellation
) -> list[str]:
    """Drop what failed attempts left on a server, and return the names of the databases.

    For each target that has leftovers, this takes the target's lock. A restore of the same target
    fails during that time unless it waits. A database that cannot be dropped stays.

    :param given_up_before: also drop databases that have waited for their swap since before this
        time.
    :param preview: return the names only, without dropping or locking anything.
    """

    def is_given_up(marker: Marker) -> bool:
        made_at = marker.made_at
        return made_at is not None and made_at < given_up_before

    with connect(maintenance, cancellation) as session:
        if is_standby(session):
            log.info("not dropping any database: the server is a standby")
            return []
        found = _leftovers(session, is_given_up)
        if preview:
            free = [one for one in sorted(found) if not is_locked_by_others(session, one)]
            names = [name for target in free for name in found[target]]
            for name in names:
                log.info("would drop leftover database %r", name)
            return names
        return [
            name for target in sorted(found) for name in _remove_dead(session, target, is_given_up)
        ]


def remove_dead_drills(session: Session) -> None:
    """Drop the databases of drills that were killed. A running drill holds its lock."""
    found = _leftovers(session, _never)
    for target in (target for target, names in found.items() if target in names):
        _remove_dead(session, target, _never)


def drop_attempt(session: Session, dropped: Marker) -> None:
    """Drop the temporary database of an attempt, and the copy that was to become *post*.

    Where the attempt has made no copy, others may have taken its name.
    """
    for name, marker in read_markers(session).items():
        same = (marker.target, marker.attempt) == (dropped.target, dropped.attempt)
        if not same or not marker.fits(name):
            continue
        if marker.role == "temp":
            drop_database(session, name)
            log.info("dropped database %r", name)
        elif marker.role == "post_temp":
            _try_drop(session, name)


def drop_old(session: Session, target: str) -> None:
    """Drop the databases that were swapped out for this target.

    This does not raise database errors. The swap is done, and a retry would treat the new database
    as the old one. The next attempt drops what cannot be dropped now.
    """
    try:
        made = _made_by_attempts(session)
    except psycopg.Error as error:
        log.warning("leaving the swapped-out databases for the next attempt to drop: %s", error)
        return
    for name, marker in made.items():
        if marker.role != "old" or marker.target != target:
            continue
        try:
            drop_database(session, name)
            log.info("dropped swapped-out database %r", name)
        except psycopg.Error as error:
            log.warning("leaving database %r for the next attempt to drop: %s", name, error)


@contextmanager
def dropped_on_error(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Drop the databases of an attempt if the block fails.

    If they cannot be dropped, the next attempt drops them.

    :param session: the session of the attempt. If it is still running a statement, the statement is
        cancelled and the session closed.
    """
    try:
        yield
    except BaseException:
        if not session.is_idle:
            session.connection.cancel()
            session.connection.close()
        try:
            # A cancellation of the attempt does not cancel the clean-up.
            with connect(session.database, Cancellation()) as cleaner:
                for name in names:
                    drop_database(cleaner, name)
        except PgCloneError as error:
            log.warning("leaving %s for the next attempt to drop: %s", ", ".join(names), error)
        raise


def _remove_dead(session: Session, target: str, is_given_up: GivenUp) -> list[str]:
    """Drop the leftovers of a target unless its lock is held, and return their names."""
    try:
        with target_lock(session, target, wait_seconds=0):
            # Search again under the lock: a database may have been swapped in since then.
            names = _leftovers(session, is_given_up).get(target, [])
            return [name for name in names if _try_drop(session, name)]
    except BusyError:
        log.info("skipping the leftovers of %r: a restore, swap or copy into it is running", target)
    return []


def _try_drop(session: Session, name: str) -> bool:
    """Drop a database, and return whether it could be dropped."""
    try:
        drop_database(session, name)
    except psycopg.Error as error:
        session.cancellation.check()
        if session.connection.broken:
            raise
        log.warning("leftover database %r cannot be dropped: %s", name, error)
        return False
    log.info("dropped leftover database %r", name)
    return True


def _leftovers(session: Session, is_given_up: GivenUp) -> dict[str, list[str]]:
    """Return the names of leftover databases by target, unless a running attempt uses them.

    A running attempt holds the lock of its target; the caller must check the lock. If nobody holds
    it, a database that is not ready is a leftover. A database that is ready waits for its swap
    until it is given up, and so does the copy that becomes *post*.
    """
    ours = _made_by_attempts(session)
    waiting = {
        (marker.target, marker.attempt)
        for marker in ours.values()
        if marker.role == "temp" and marker.ready and not is_given_up(marker)
    }
    found: dict[str, list[str]] = {}
    for name, marker in ours.items():
        is_waiting = (marker.target, marker.attempt) in waiting
        if marker.role in _PASSING and not (is_waiting and marker.role in ("temp", "post_temp")):
            found.setdefault(marker.target, []).append(name)
    for name in unmarked_newborn(session):
        if target := _target_of_newborn(name):
            found.setdefault(target, []).append(name)
    return found


def _made_by_attempts(session: Session) -> dict[str, Marker]:
    """Return our databases that still have the name that an attempt gave them.

    A database keeps its marker when it is renamed. A database that a user renamed is in use.
    """
    return {
        name: marker
        for name, marker in read_markers(session).items()
        if name.endswith(f"_{marker.attempt}")
    }


def _target_of_newborn(name: str) -> str | None:
    """Return the target of a database that has our birthmark and no marker yet.

    :return: ``None`` if the name does not contain the target, or not the whole of it.
    """
    match = _ATTEMPT.fullmatch(name)
    if match is None:
        return None
    target, role, attempt = match.groups()
    if role == "drill":
        return name
    return target if name == attempt_database_name(target, role, attempt) else None


def _never(marker: Marker) -> bool:
    return False
