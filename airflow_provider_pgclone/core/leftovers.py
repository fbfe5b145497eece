"""Databases of ours that nobody waits for any more, known by their markers."""

import logging

import psycopg

from airflow_provider_pgclone.core.database import drop_database
from airflow_provider_pgclone.core.marker import Marker, read_markers

log = logging.getLogger(__name__)


def remove_leftovers(connection: psycopg.Connection, target: str, *, run: str) -> None:
    """Drop what dead attempts have left, under the lock of their target.

    A database that is not ready is dead, since its maker held the lock. One that is ready waits for
    a swap, unless this run made it: then this attempt takes its place.
    """
    ours = {name: m for name, m in read_markers(connection).items() if m.target == target}
    waiting = {
        marker.attempt
        for marker in ours.values()
        if marker.role == "temp" and marker.ready and not (run and marker.run == run)
    }
    for name, marker in ours.items():
        is_dead = marker.role in ("temp", "post_temp") and marker.attempt not in waiting
        if is_dead or marker.role == "old":
            log.info("dropping %r, which an earlier attempt has left", name)
            drop_database(connection, name)


def drop_attempt(connection: psycopg.Connection, dropped: Marker) -> None:
    """Drop the databases of one attempt."""
    for name, marker in read_markers(connection).items():
        same = (marker.target, marker.attempt) == (dropped.target, dropped.attempt)
        if same and marker.role in ("temp", "post_temp"):
            drop_database(connection, name)
            log.info("dropped database %r", name)


def drop_old(connection: psycopg.Connection, target: str) -> None:
    """Drop the databases that swaps of this target have retired."""
    for name, marker in read_markers(connection).items():
        if marker.role == "old" and marker.target == target:
            drop_database(connection, name)
            log.info("dropped database %r, which was swapped out", name)
