"""Databases of ours that nobody waits for any more, known by their markers."""

import logging
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
from airflow_provider_pgclone.core.replacing.names import MAX_DATABASE_NAME_BYTES

log = logging.getLogger(__name__)

GivenUp = Callable[[Marker], bool]
# The roles of databases that somebody is at work on, or that nobody wants.
_PASSING = ("temp", "post_temp", "old", "drill")
# The names of attempt_database_name() for these; a drill is a target of its own.
_ATTEMPT = re.compile(r"(.+)__(temp|post|drill)_[0-9a-f]{8}", re.DOTALL)
# A name is cut between two characters, which have 4 bytes at the most.
_SURELY_UNCUT_BYTES = MAX_DATABASE_NAME_BYTES - 4


def remove_leftovers(session: Session, target: str, *, maker: str) -> None:
    """Drop what dead attempts have left, under the lock of their target.

    :param maker: who takes the place of what it left ready at an earlier time.
    """

    def is_given_up(marker: Marker) -> bool:
        return bool(maker) and marker.maker == maker

    for name in _leftovers(session, is_given_up).get(target, ()):
        log.info("dropping %r, which an earlier attempt has left", name)
        drop_database(session, name)


def remove_all_leftovers(
    maintenance: Database, *, given_up_before: datetime, preview: bool, cancellation: Cancellation
) -> list[str]:
    """Drop what dead attempts have left on a server, and return the names.

    It takes the lock of one target after another, of those alone that have something to drop: a
    restore that wants it meanwhile is refused unless it waits. What cannot be dropped is left.

    :param given_up_before: what has been waiting for its swap since before then is dropped as well.
    :param preview: whether to drop nothing and take no lock.
    """

    def is_given_up(marker: Marker) -> bool:
        made_at = marker.made_at
        return made_at is not None and made_at < given_up_before

    with connect(maintenance, cancellation) as session:
        if is_standby(session):
            log.info("no database is dropped: the server is a standby")
            return []
        found = _leftovers(session, is_given_up)
        if preview:
            free = [one for one in sorted(found) if not is_locked_by_others(session, one)]
            names = [name for target in free for name in found[target]]
            for name in names:
                log.info("would drop database %r, which was left over", name)
            return names
        return [
            name for target in sorted(found) for name in _remove_dead(session, target, is_given_up)
        ]


def remove_dead_drills(session: Session) -> None:
    """Drop the databases of drills that were killed; one at work holds the lock of its own."""
    found = _leftovers(session, _never)
    for target in (target for target, names in found.items() if target in names):
        _remove_dead(session, target, _never)


def drop_attempt(session: Session, dropped: Marker) -> None:
    """Drop the databases of one attempt."""
    for name, marker in read_markers(session).items():
        same = (marker.target, marker.attempt) == (dropped.target, dropped.attempt)
        if same and marker.role in ("temp", "post_temp"):
            drop_database(session, name)
            log.info("dropped database %r", name)


def drop_old(session: Session, target: str) -> None:
    """Drop the databases that swaps of this target have retired.

    It raises nothing: the swap is done, and a retry of it would take the new database for the old
    one. What cannot be dropped now is dropped by the next attempt.
    """
    try:
        for name, marker in _made_by_attempts(session).items():
            if marker.role == "old" and marker.target == target:
                drop_database(session, name)
                log.info("dropped database %r, which was swapped out", name)
    except psycopg.Error as error:
        log.warning("a database that was swapped out is left for the next attempt: %s", error)


def _remove_dead(session: Session, target: str, is_given_up: GivenUp) -> list[str]:
    """Drop what is dead of a target, unless somebody is at work on it, and return the names."""
    try:
        with target_lock(session, target, wait_seconds=0):
            # Looked for again: what was there before may have been swapped in since.
            names = _leftovers(session, is_given_up).get(target, [])
            return [name for name in names if _is_dropped(session, name)]
    except BusyError:
        log.info("the databases of %r are left: a restore, swap or copy into it is running", target)
    return []


def _is_dropped(session: Session, name: str) -> bool:
    """Drop a database, and return whether that was possible."""
    try:
        drop_database(session, name)
    except psycopg.Error as error:
        session.cancellation.check()
        if session.connection.broken:
            raise
        log.warning("database %r, which was left over, cannot be dropped: %s", name, error)
        return False
    log.info("dropped database %r, which was left over", name)
    return True


def _leftovers(session: Session, is_given_up: GivenUp) -> dict[str, list[str]]:
    """Return, by their targets, the databases that are dead unless the lock of the target is held.

    One that is not ready is dead, since its maker held the lock. One that is ready waits for a
    swap, until it is given up; the copy that is to be *post* with it goes when it goes.
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
    """Return our databases that have the name that an attempt gave them.

    A marker goes with a rename. One that somebody has put into another place by hand is in use.
    """
    return {
        name: marker
        for name, marker in read_markers(session).items()
        if name.endswith(f"_{marker.attempt}")
    }


def _target_of_newborn(name: str) -> str | None:
    """Return the target of a database that has our birthmark and no marker yet.

    :return: ``None`` where the name may have been cut, so that it tells no target.
    """
    match = _ATTEMPT.fullmatch(name)
    if match is None:
        return None
    target, role = match.groups()
    if role == "drill":
        return name
    return target if len(name.encode()) <= _SURELY_UNCUT_BYTES else None


def _never(marker: Marker) -> bool:
    return False


@contextmanager
def dropped_on_error(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Drop the databases of an attempt that fails; where even that fails, the next one does it.

    :param session: the session of the attempt; a statement that it still runs is stopped.
    """
    try:
        yield
    except BaseException:
        if not session.is_idle:
            session.connection.cancel()
            session.connection.close()
        try:
            # The work may have been cancelled; the clean-up is not.
            with connect(session.database, Cancellation()) as cleaner:
                for name in names:
                    drop_database(cleaner, name)
        except PgCloneError as error:
            log.warning("%s are left for the next attempt to drop: %s", ", ".join(names), error)
        raise
