"""One try to replace a database: a temporary one beside it is filled, then swapped in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.dump_key import (
    POST,
    PRE,
    attempt_database_name,
    check_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.leftovers import dropped_on_error, remove_leftovers
from airflow_provider_pgclone.core.marker import Marker, mark_newborn, set_comment
from airflow_provider_pgclone.core.properties import Properties
from airflow_provider_pgclone.core.sessions import target_lock
from airflow_provider_pgclone.core.swap import (
    carry_over,
    check_kept_names_are_ours,
    swap_in,
    target_properties,
)
from airflow_provider_pgclone.core.target import (
    check_replaceable,
    clone_database,
    create_database,
    open_database,
)


@dataclass(frozen=True)
class Attempt:
    """What the steps of a try share.

    :param connection: a session on the maintenance database.
    :param marker: of the temporary database; names the target.
    """

    connection: psycopg.Connection
    maintenance: Database
    marker: Marker
    cancellation: Cancellation

    @property
    def temp(self) -> Database:
        name = attempt_database_name(self.marker.target, "temp", self.marker.attempt)
        return self.maintenance.named(name)

    @property
    def post_temp_name(self) -> str:
        return attempt_database_name(self.marker.target, "post", self.marker.attempt)

    def create_temp(
        self, creation: Mapping[str, str], properties: Properties | None = None
    ) -> None:
        """Make an empty temporary database.

        It has the target's rights and settings before it is loaded, so that nobody gets in who may
        not, and no right is missed too late.

        :param properties: what it has where there is no target.
        """
        create_database(self.connection, self.temp.name, creation)
        mark_newborn(self.connection, self.temp.name, self.marker)
        self._dress(self.temp.name, properties)

    def clone_temp(self, source: str) -> None:
        """Make the temporary database as a copy of another on its server."""
        self._clone(source, self.temp.name, self.marker)

    def keep_post(self) -> None:
        """Copy what was restored, before hooks change it; the swap gives the copy its name."""
        marker = Marker("post_temp", self.marker.target, self.marker.attempt)
        self._clone(self.temp.name, self.post_temp_name, marker)

    def _clone(self, source: str, name: str, marker: Marker) -> None:
        clone_database(
            self.connection,
            self.maintenance,
            source,
            name,
            strategy=None,
            cancellation=self.cancellation,
        )
        mark_newborn(self.connection, name, marker)
        self._dress(name)

    def _dress(self, name: str, default: Properties | None = None) -> None:
        """Give a database what the target has, so that hooks meet the same rights and settings."""
        properties = target_properties(self.connection, self.marker.target) or default
        if properties is not None:
            carry_over(self.connection, name, properties)
        open_database(self.connection, name)


Fill = Callable[[Attempt], None]


def check_kept_names(connection: psycopg.Connection, target: str) -> None:
    """Refuse a reversible restore whose ``:pre`` and ``:post`` cannot be.

    :raises InvalidInputError: when a name is too long, or that of a database that is not ours.
    """
    for role in (PRE, POST):
        check_database_name(kept_database_name(target, role))
    check_kept_names_are_ours(connection, target)


def replace_database(
    attempt: Attempt, fill: Fill, *, swap: bool, wait_seconds: float, replace: bool = True
) -> None:
    """Fill a temporary database, and swap it in or leave it ready; the target is whole in any case.

    :param fill: makes the temporary database.
    :param swap: whether to swap it in.
    :param wait_seconds: how long to wait for another restore of the target.
    :param replace: whether the target may exist.
    """
    connection, marker, cancellation = attempt.connection, attempt.marker, attempt.cancellation
    with target_lock(
        connection, marker.target, wait_seconds=wait_seconds, cancellation=cancellation
    ):
        check_replaceable(connection, marker.target, replace=replace)
        remove_leftovers(connection, marker.target, maker=marker.maker)
        with dropped_on_error(
            connection, attempt.maintenance, [attempt.temp.name, attempt.post_temp_name]
        ):
            fill(attempt)
            if marker.reversible:
                attempt.keep_post()
            if not swap:
                set_comment(connection, attempt.temp.name, marker.made_ready().text())
                return
            swap_in(
                connection,
                attempt.maintenance,
                attempt.temp.name,
                marker,
                cancellation,
                may_replace=replace,
            )
