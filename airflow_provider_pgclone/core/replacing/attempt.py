"""One attempt to replace a database: a temporary one beside it is filled, then swapped in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_provider_pgclone.core.postgres import Database, Session, drop_database
from airflow_provider_pgclone.core.replacing.creation import (
    clone_database,
    close_to_public,
    create_database,
    open_database,
)
from airflow_provider_pgclone.core.replacing.exchange import (
    carry_over,
    check_kept_names_are_ours,
    swap_in,
    target_properties,
)
from airflow_provider_pgclone.core.replacing.leftovers import dropped_on_error, remove_leftovers
from airflow_provider_pgclone.core.replacing.locks import target_lock
from airflow_provider_pgclone.core.replacing.marker import Marker, mark_newborn, set_comment
from airflow_provider_pgclone.core.replacing.names import (
    POST,
    PRE,
    attempt_database_name,
    check_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.replacing.properties import Properties
from airflow_provider_pgclone.core.replacing.target import check_replaceable


@dataclass(frozen=True)
class Attempt:
    """What the steps of an attempt share.

    :param session: on the maintenance database of the target's server.
    :param marker: that of the temporary database; it names the target. A drill is a target of its
        own, which nobody else may use.
    :param new_properties: what the database gets where there is no target to take them from.
    :param may_replace: whether the target may exist.
    """

    session: Session
    marker: Marker
    new_properties: Properties | None = None
    may_replace: bool = True

    @property
    def temp(self) -> Database:
        if self.marker.role == "drill":
            return self.session.database.named(self.marker.target)
        name = attempt_database_name(self.marker.target, "temp", self.marker.attempt)
        return self.session.database.named(name)

    @property
    def post_temp_name(self) -> str:
        return attempt_database_name(self.marker.target, "post", self.marker.attempt)

    def create_temp(self, creation: Mapping[str, str]) -> None:
        """Create an empty temporary database.

        It has the target's rights and settings before it is loaded, so that nobody gets in who may
        not, and a missing right is found early.

        :param creation: options of CREATE DATABASE.
        """
        create_database(self.session, self.temp.name, creation)
        mark_newborn(self.session, self.temp.name, self.marker)
        self._dress(self.temp.name)

    def clone_temp(self, source: str, *, strategy: str | None = None) -> None:
        """Create the temporary database as a copy of another one on its server.

        :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
        """
        self._clone(source, self.temp.name, self.marker, strategy)

    def keep_post(self) -> None:
        """Copy what was restored, before hooks change it; the swap gives the copy its name."""
        marker = Marker("post_temp", self.marker.target, self.marker.attempt)
        self._clone(self.temp.name, self.post_temp_name, marker, None)

    def _clone(self, source: str, name: str, marker: Marker, strategy: str | None) -> None:
        clone_database(self.session, source, name, strategy=strategy)
        mark_newborn(self.session, name, marker)
        self._dress(name)

    def _dress(self, name: str) -> None:
        """Give a database what the target has, so that hooks meet the same rights and settings.

        A drill has the rows of a production database, and nobody's rights.
        """
        if self.marker.role == "drill":
            close_to_public(self.session, name)
        else:
            properties = target_properties(self.session, self.marker.target) or self.new_properties
            if properties is not None:
                carry_over(self.session, name, properties)
        open_database(self.session, name)


Fill = Callable[[Attempt], None]
# What becomes of the temporary database: it is swapped in, is left ready for a swap, or is dropped.
Ending = Literal["swap", "leave", "drop"]


def check_kept_names(session: Session, target: str) -> None:
    """Refuse a reversible restore whose ``:pre`` and ``:post`` cannot be kept.

    :raises InvalidInputError: when a name is too long, or belongs to a database that is not ours.
    """
    for role in (PRE, POST):
        check_database_name(kept_database_name(target, role))
    check_kept_names_are_ours(session, target)


def replace_database(attempt: Attempt, fill: Fill, *, ending: Ending, wait_seconds: float) -> None:
    """Fill a temporary database under the target's lock, and end as asked.

    Until the swap the target is as it was, whatever fails.

    :param fill: creates the temporary database, loads it and checks it.
    :param wait_seconds: how long to wait for another restore, swap or copy into the target.
    """
    session, marker = attempt.session, attempt.marker
    with target_lock(session, marker.target, wait_seconds=wait_seconds):
        check_replaceable(session, marker.target, replace=attempt.may_replace)
        remove_leftovers(session, marker.target, maker=marker.maker)
        with dropped_on_error(session, [attempt.temp.name, attempt.post_temp_name]):
            fill(attempt)
            if marker.reversible:
                attempt.keep_post()
            match ending:
                case "swap":
                    swap_in(
                        session,
                        attempt.temp.name,
                        marker,
                        new_properties=attempt.new_properties,
                        may_replace=attempt.may_replace,
                    )
                case "leave":
                    set_comment(session, attempt.temp.name, marker.made_ready().text())
                case "drop":
                    drop_database(session, attempt.temp.name)
