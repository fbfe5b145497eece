"""Replaces a database: fills a temporary database beside it, then swaps it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from airflow_provider_pgclone.core.replacing.properties import Properties, properties_of_new
from airflow_provider_pgclone.core.replacing.target import (
    check_kept_names_are_ours,
    check_makeable,
    check_replaceable,
)


@dataclass(frozen=True)
class Attempt:
    """The values that the steps of an attempt share.

    :param session: a session on the maintenance database of the target's server.
    :param marker: the marker of the temporary database; it names the target. A drill has its own
        database as its target.
    :param new_properties: returns the properties of the new database if there is no target to take
        them from; ``None`` leaves it its own.
    :param may_replace: whether the target may exist; by default it may.
    """

    session: Session
    marker: Marker
    new_properties: Callable[[], Properties] | None = None
    may_replace: bool = True

    @property
    def temp(self) -> Database:
        """The temporary database."""
        if self.marker.role == "drill":
            return self.session.database.named(self.marker.target)
        name = attempt_database_name(self.marker.target, "temp", self.marker.attempt)
        return self.session.database.named(name)

    @property
    def post_temp_name(self) -> str:
        """The name, until the swap, of the copy that becomes *post*."""
        return attempt_database_name(self.marker.target, "post", self.marker.attempt)

    def create_temp(self, creation: Mapping[str, str]) -> None:
        """Create an empty temporary database.

        It gets the target's settings before it is loaded, and its owner and rights afterwards: who
        may create objects in it could otherwise exchange a table for one whose triggers then run
        with our rights.

        :param creation: the options of CREATE DATABASE.
        """
        create_database(self.session, self.temp.name, creation)
        mark_newborn(self.session, self.temp.name, self.marker)
        self._set_properties_while_filled()

    def clone_temp(self, source: str) -> None:
        """Create the temporary database as a copy of another database on the same server."""
        clone_database(self.session, source, self.temp.name, strategy=None, spares_ours=True)
        mark_newborn(self.session, self.temp.name, self.marker)
        self._set_properties_while_filled()

    def clone_closed(self, source: str, *, strategy: str | None) -> None:
        """Create the temporary database as a copy that nobody can connect to before the swap.

        The swap gives it its properties and opens it, in one transaction.

        :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
        """
        clone_database(self.session, source, self.temp.name, strategy=strategy, spares_ours=True)
        mark_newborn(self.session, self.temp.name, self.marker)

    def keep_post(self) -> None:
        """Copy the restored database before hooks change it. The copy becomes *post*."""
        marker = Marker("post_temp", self.marker.target, self.marker.attempt)
        name = self.post_temp_name
        clone_database(self.session, self.temp.name, name, strategy=None, spares_ours=False)
        mark_newborn(self.session, name, marker)
        self._set_properties(name)

    def leave_temp(self) -> None:
        """Let the complete temporary database wait for its swap, with the target's properties."""
        self._set_properties(self.temp.name)
        set_comment(self.session, self.temp.name, self.marker.made_ready().text())

    def _set_properties(self, name: str) -> None:
        """Give a database the properties of the target, then let sessions connect.

        All in one transaction: if a statement fails after the owner was changed, we could neither
        go on nor drop the database.
        """
        with self.session.transaction():
            if properties := self.properties():
                carry_over(self.session, name, properties)
            open_database(self.session, name)

    def _set_properties_while_filled(self) -> None:
        """Give the temporary database the target's settings, and let only our user connect.

        The attempt fails here if our user may not give the database its owner and rights later.
        More sessions may load it than its connection limit allows.
        """
        name = self.temp.name
        with self.session.transaction():
            if self.marker.role != "drill" and (properties := self.properties()):
                with self.session.transaction(rolled_back=True):
                    carry_over(self.session, name, properties)
                own = properties_of_new(self.session, ())
                carry_over(self.session, name, replace(own, settings=properties.settings))
            else:
                close_to_public(self.session, name)
            open_database(self.session, name)

    def properties(self) -> Properties | None:
        """Return what the database is to have: the target's properties, otherwise the new ones."""
        of_target = target_properties(self.session, self.marker.target)
        return of_target or (self.new_properties() if self.new_properties else None)


# Creates the temporary database of an attempt, loads it and checks it.
Fill = Callable[[Attempt], None]
# How an attempt ends: swap the temporary database in, leave it for a later swap, or drop it.
Ending = Literal["swap", "leave", "drop"]


def check_kept_names(session: Session, target: str) -> None:
    """Refuse a reversible restore if its ``:pre`` and ``:post`` cannot be kept.

    :raises InvalidInputError: when a name is too long.
    :raises UnsupportedError: when a database that has one of the names is not what a restore kept,
        or belongs to another owner than the target.
    """
    for role in (PRE, POST):
        check_database_name(kept_database_name(target, role))
    check_kept_names_are_ours(session, target)


def replace_database(attempt: Attempt, fill: Fill, *, ending: Ending, wait_seconds: float) -> None:
    """Fill a temporary database under the target's lock, then swap it in, leave it or drop it.

    The target stays unchanged until the swap.

    :param fill: creates the temporary database, loads it and checks it.
    :param ending: what to do with the temporary database when it is complete.
    :param wait_seconds: the time to wait for another restore, swap or copy into the target, and
        before the swap for a dump of it.
    :raises BusyError: when the other one has not finished by then.
    """
    session, marker = attempt.session, attempt.marker
    with target_lock(session, marker.target, wait_seconds=wait_seconds):
        check_replaceable(session, marker.target, replace=attempt.may_replace)
        check_makeable(session, marker.target, create=marker.may_create)
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
                        attempt.properties,
                        may_replace=attempt.may_replace,
                        wait_seconds=wait_seconds,
                    )
                case "leave":
                    attempt.leave_temp()
                case "drop":
                    drop_database(session, attempt.temp.name)
