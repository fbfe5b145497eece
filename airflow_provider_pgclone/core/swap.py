"""Put a restored database in the place of the one that the application uses, in one transaction."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import (
    Database,
    connect,
    database_exists,
)
from airflow_provider_pgclone.core.dump_key import (
    LOCAL_MARK,
    POST,
    PRE,
    attempt_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.leftovers import drop_old
from airflow_provider_pgclone.core.marker import Marker, read_markers, set_comment
from airflow_provider_pgclone.core.properties import (
    Properties,
    apply_properties,
    read_properties,
)
from airflow_provider_pgclone.core.sessions import (
    check_nothing_bound,
    existing_oids,
    naming_what_is_bound,
    target_lock,
    terminate_connecting,
    terminating,
)
from airflow_provider_pgclone.core.target import check_replaceable, open_database

log = logging.getLogger(__name__)

# While we wait for this lock every new connection of the server waits behind us.
CATALOG_LOCK_TIMEOUT_MS = 200
CATALOG_LOCK_TRIES = 10
# Two looks with nobody waiting: one may fall between a client's look-up of the name and its wait.
QUIET_LOOKS = 2
QUIET_LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Swap:
    """What a swap renames.

    :param new: the database that takes the target's place.
    :param target: its place, which may be free.
    :param retired: the name that the target's present database gets, and its marker there.
    :param moved_aside: kept databases of the last reversible restore, and the names under which
        they are dropped after the swap.
    :param post: the copy of ``new`` that becomes *post*, and that name; ``None``.
    :param may_replace: whether the target may exist.
    """

    new: str
    target: str
    retired: str
    retired_marker: Marker
    moved_aside: Mapping[str, str] = field(default_factory=dict)
    post: tuple[str, str] | None = None
    may_replace: bool = True


def swap(
    maintenance: Database,
    temp_name: str,
    *,
    wait_seconds: float,
    cancellation: Cancellation,
) -> str:
    """Swap in a database that a restore left ready, as its marker says.

    :param temp_name: the database that the restore named.
    :param wait_seconds: how long to wait for another restore of the target.
    :return: the name of the target.
    :raises NotFoundError: when there is no such database.
    :raises InvalidInputError: when it is not one that a restore left ready.
    :raises UnsupportedError: when the target's sessions, slots or subscriptions forbid it.
    """
    with connect(maintenance, cancellation) as connection:
        target = read_ready_marker(connection, temp_name).target
        with target_lock(connection, target, wait_seconds=wait_seconds, cancellation=cancellation):
            # Another swap may have taken it while we waited.
            marker = read_ready_marker(connection, temp_name)
            swap_in(connection, maintenance, temp_name, marker, cancellation)
    return target


def read_ready_marker(connection: psycopg.Connection, temp_name: str) -> Marker:
    marker = read_markers(connection).get(temp_name)
    if marker is None and not database_exists(connection, temp_name):
        raise NotFoundError(
            f"database {temp_name!r} does not exist",
            hint="It was swapped in or dropped already, or another restore has replaced it.",
        )
    if marker is None or marker.role != "temp" or not marker.ready:
        raise InvalidInputError(
            f"database {temp_name!r} is not one that a restore has left ready for its swap"
        )
    return marker


def swap_in(
    connection: psycopg.Connection,
    maintenance: Database,
    temp_name: str,
    marker: Marker,
    cancellation: Cancellation,
    *,
    may_replace: bool = True,
) -> None:
    """Swap under the target's lock, then drop what is no longer kept.

    :param may_replace: whether the target may exist.
    """
    plan = replace(_plan(connection, temp_name, marker), may_replace=may_replace)
    for name in (plan.target, *plan.moved_aside):
        check_nothing_bound(connection, name)
    properties = target_properties(connection, plan.target)
    exchange(connection, maintenance, plan, properties, cancellation)
    drop_old(connection, marker.target)


def exchange(
    connection: psycopg.Connection,
    maintenance: Database,
    plan: Swap,
    properties: Properties | None,
    cancellation: Cancellation,
) -> None:
    """Do the renames of a plan in one transaction, while a second session ends all others.

    The rename holds the lock of the target's database, so that new clients wait. A client that has
    looked the name up before the commit would find, after it, that its database was renamed away,
    and be told that the database does not exist (InitPostgres() in postinit.c). So before the
    commit we lock the catalog that they look names up in, and end the few that already wait.

    :param properties: what the database that is swapped in gets; ``None`` leaves it its own.
    """
    started = time.monotonic()
    renamed = [plan.new, plan.target, *plan.moved_aside, *(plan.post or ())[:1]]
    oids = existing_oids(connection, renamed)
    check_replaceable(connection, plan.target, replace=plan.may_replace)
    takes_place = plan.may_replace and database_exists(connection, plan.target)
    with connect(maintenance, cancellation) as watcher, connection.transaction():
        if properties is not None:
            carry_over(connection, plan.new, properties)
        open_database(connection, plan.new)
        # The watcher sees what was bound since the last look, and the names before the renames.
        with terminating(maintenance, oids, cancellation), naming_what_is_bound(watcher, renamed):
            _rename_all(connection, plan, takes_place=takes_place)
        for name in (plan.target, *plan.moved_aside):
            check_nothing_bound(watcher, name)
        set_comment(connection, plan.target, properties.comment if properties else None)
        if properties is not None and not properties.allows_connections:
            _refuse_connections(connection, plan.target)
        if takes_place:
            _keep_new_clients_out(connection)
            _end_waiting_clients(connection, watcher, oids, cancellation)
    log.info(
        "swapped database %r in for %r in %.2f s",
        plan.new,
        plan.target,
        time.monotonic() - started,
    )


def check_kept_names_are_ours(connection: psycopg.Connection, target: str) -> None:
    """Refuse to take ``__pre`` or ``__post`` from a database that somebody else made.

    :raises UnsupportedError: naming the database.
    """
    markers = read_markers(connection)
    for role in (PRE, POST):
        name = kept_database_name(target, role)
        if name not in markers and database_exists(connection, name):
            raise UnsupportedError(
                f"database {name!r} exists and was not made by a restore of this package",
                hint="Rename or drop it; a reversible restore keeps its own database there.",
            )


def _plan(connection: psycopg.Connection, temp_name: str, marker: Marker) -> Swap:
    target, attempt = marker.target, marker.attempt
    from_dump = bool(marker.key) and not marker.key.startswith(LOCAL_MARK)  # a copy has no key
    markers = read_markers(connection)
    pre, post = kept_database_name(target, PRE), kept_database_name(target, POST)
    keep = from_dump and marker.reversible
    if keep:
        check_kept_names_are_ours(connection, target)
    # As in django-pgclone 3.8: a restore of a dump renews both or drops both, a restore of a
    # local database leaves them alone, and so does a copy. Where no target is there to renew it,
    # pre stays. Nor does a retry take what its first attempt has swapped in for the database
    # before.
    is_retry = keep and pre in markers and marker.run and _same_run(markers[pre], marker)
    keeps_old = keep and not is_retry
    has_target = database_exists(connection, target)
    renewed = [pre, post] if not keep or (keeps_old and has_target) else [post]
    aside = {
        name: attempt_database_name(target, "old_" + name.rpartition("__")[2], attempt)
        for name in renewed
        if from_dump and name in markers
    }
    post_temp = attempt_database_name(target, "post", attempt)
    return Swap(
        new=temp_name,
        target=target,
        retired=pre if keeps_old else attempt_database_name(target, "old", attempt),
        retired_marker=replace(marker, role="pre" if keeps_old else "old", ready=False),
        moved_aside=aside,
        post=(post_temp, post) if keep else None,
    )


def _same_run(one: Marker, other: Marker) -> bool:
    return (one.maker, one.run) == (other.maker, other.run)


def target_properties(connection: psycopg.Connection, target: str) -> Properties | None:
    """Return the properties that a target hands on, ``None`` where it does not exist."""
    return read_properties(connection, target) if database_exists(connection, target) else None


def carry_over(connection: psycopg.Connection, new: str, properties: Properties) -> None:
    """Give a new database the properties of the one whose place it takes.

    :raises UnsupportedError: when the user has no right to.
    """
    try:
        apply_properties(connection, new, properties)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UnsupportedError(
            f"the owner, rights or settings of the target cannot be given to {new!r}: "
            f"{error.diag.message_primary}",
            hint="The user must be a member of the target's owner, and may need a right for one of "
            "its settings.",
        ) from error


def _rename_all(connection: psycopg.Connection, plan: Swap, *, takes_place: bool) -> None:
    for name, aside in plan.moved_aside.items():
        _rename(connection, name, aside)
        marker = Marker("old", plan.target, plan.retired_marker.attempt)
        set_comment(connection, aside, marker.text())
    if takes_place:
        _rename(connection, plan.target, plan.retired)
        set_comment(connection, plan.retired, plan.retired_marker.text())
    _rename(connection, plan.new, plan.target)
    if plan.post is not None:
        _rename(connection, *plan.post)
        marker = Marker("post", plan.target, plan.retired_marker.attempt)
        set_comment(connection, plan.post[1], marker.text())


def _rename(connection: psycopg.Connection, name: str, new_name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(new_name)))


def _refuse_connections(connection: psycopg.Connection, name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    connection.execute(statement.format(sql.Identifier(name)))


def _keep_new_clients_out(connection: psycopg.Connection) -> None:
    """Lock the catalog of databases until the commit, which is milliseconds away.

    Without the right, or while another session creates a database, we go on without: then a client
    that connects in these milliseconds may be told that the database does not exist.
    """
    reason = ""
    for _ in range(CATALOG_LOCK_TRIES):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {CATALOG_LOCK_TIMEOUT_MS}")
                connection.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
                return
        except psycopg.errors.InsufficientPrivilege:
            reason = "the user of the connection is no superuser"
            break
        except psycopg.errors.LockNotAvailable:
            reason = "another session holds it, perhaps by CREATE DATABASE"
    log.warning(
        "pg_database cannot be locked (%s): a client that connects during the swap may be told "
        "that the database does not exist, and must connect again",
        reason,
    )


def _end_waiting_clients(
    connection: psycopg.Connection,
    watcher: psycopg.Connection,
    oids: list[int],
    cancellation: Cancellation,
) -> None:
    quiet = 0
    spare = [connection.info.backend_pid, watcher.info.backend_pid]
    deadline = time.monotonic() + 1
    while quiet < QUIET_LOOKS and time.monotonic() < deadline:
        cancellation.check()
        try:
            ended = terminate_connecting(watcher, oids, spare=spare)
        except psycopg.errors.InsufficientPrivilege:
            log.warning("a superuser's client that waits for the swap must connect again")
            return
        quiet = 0 if ended else quiet + 1
        time.sleep(QUIET_LOOK_SECONDS)
