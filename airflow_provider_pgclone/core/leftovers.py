"""Databases of ours that nobody waits for any more, known by their markers."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database, connect, drop_database
from airflow_provider_pgclone.core.dump_key import attempt_database_name
from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.core.marker import Marker, read_markers, unmarked_newborn

log = logging.getLogger(__name__)


def remove_leftovers(connection: psycopg.Connection, target: str, *, maker: str) -> None:
    """Drop what dead attempts have left, under the lock of their target.

    A database that is not ready is dead, since its maker held the lock. One that is ready waits for
    a swap, unless the same maker made it: then this attempt takes its place.
    """
    ours = {name: m for name, m in read_markers(connection).items() if m.target == target}
    waiting = {
        marker.attempt
        for marker in ours.values()
        if marker.role == "temp" and marker.ready and not (maker and marker.maker == maker)
    }
    for name, marker in ours.items():
        is_dead = marker.role in ("temp", "post_temp") and marker.attempt not in waiting
        if is_dead or marker.role == "old":
            log.info("dropping %r, which an earlier attempt has left", name)
            drop_database(connection, name)
    for name in _newborn(connection, target):
        log.info("dropping %r, whose maker was killed before it could mark it", name)
        drop_database(connection, name)


def drop_attempt(connection: psycopg.Connection, dropped: Marker) -> None:
    """Drop the databases of one attempt."""
    for name, marker in read_markers(connection).items():
        same = (marker.target, marker.attempt) == (dropped.target, dropped.attempt)
        if same and marker.role in ("temp", "post_temp"):
            drop_database(connection, name)
            log.info("dropped database %r", name)


def drop_old(connection: psycopg.Connection, target: str) -> None:
    """Drop the databases that swaps of this target have retired.

    It raises nothing: the swap is done, and a retry of it would take the new database for the old
    one. What cannot be dropped now is dropped by the next attempt.
    """
    try:
        for name, marker in read_markers(connection).items():
            if marker.role == "old" and marker.target == target:
                drop_database(connection, name)
                log.info("dropped database %r, which was swapped out", name)
    except psycopg.Error as error:
        log.warning("a database that was swapped out is left for the next attempt: %s", error)


def _newborn(connection: psycopg.Connection, target: str) -> list[str]:
    """Return the databases of dead attempts that have our birthmark and no marker yet."""
    shapes = [
        re.escape(attempt_database_name(target, role, "")) + "[0-9a-f]{8}"
        for role in ("temp", "post")
        # A name that was cut may be one of another target.
        if attempt_database_name(target, role, "0" * 8).startswith(f"{target}__")
    ]
    return [
        name
        for name in unmarked_newborn(connection)
        if any(re.fullmatch(shape, name) for shape in shapes)
    ]


@contextmanager
def dropped_on_error(
    connection: psycopg.Connection, maintenance: Database, names: Sequence[str]
) -> Iterator[None]:
    """Drop the databases of an attempt that fails; where even that fails, the next one does it.

    :param connection: the session of the attempt; a statement that it still runs is stopped.
    """
    try:
        yield
    except BaseException:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.cancel()
            connection.close()
        try:
            # The work may have been cancelled; the clean-up is not.
            with connect(maintenance, Cancellation()) as cleaner:
                for name in names:
                    drop_database(cleaner, name)
        except PgCloneError as error:
            log.warning("%s are left for the next attempt to drop: %s", ", ".join(names), error)
        raise
