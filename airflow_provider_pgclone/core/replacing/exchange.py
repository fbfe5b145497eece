"""Swaps a restored database in for its target, in one transaction."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.postgres import Session, database_exists
from airflow_provider_pgclone.core.replacing.creation import open_database
from airflow_provider_pgclone.core.replacing.leftovers import drop_old
from airflow_provider_pgclone.core.replacing.locks import turn_to_exchange
from airflow_provider_pgclone.core.replacing.marker import Marker, set_comment
from airflow_provider_pgclone.core.replacing.names import (
    LOCAL_MARK,
    POST,
    PRE,
    attempt_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.replacing.origin import Origin, read_origins
from airflow_provider_pgclone.core.replacing.properties import (
    Properties,
    apply_properties,
    read_properties,
)
from airflow_provider_pgclone.core.replacing.sessions import (
    check_nothing_bound,
    existing_oids,
    naming_what_is_bound,
    terminate_connecting,
    terminating,
    wait_for_readers,
)
from airflow_provider_pgclone.core.replacing.target import (
    check_kept_names_are_ours,
    check_makeable,
    check_replaceable,
    kept_names,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# While we wait for the lock on pg_database, every new connection to the server waits as well.
CATALOG_LOCK_TIMEOUT_MS = 200
CATALOG_LOCK_TRIES = 10
EXCHANGE_TRIES = 5
# The commit does not wait for a synchronous standby, which may be gone while the catalog is locked:
# nobody could log in. If our process is stopped, the server ends the session.
_BOUNDED = (
    "SET LOCAL synchronous_commit = local; SET LOCAL idle_in_transaction_session_timeout = '10s'"
)
# Two looks must find no waiting client: one look alone may miss a client that has looked up the
# name and does not wait yet.
QUIET_LOOKS = 2
QUIET_LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Swap:
    """The databases that a swap renames.

    :param new: the database that becomes the target.
    :param target: the name of the target, which need not exist.
    :param retired: the new name of the present target.
    :param retired_marker: the new marker of the present target.
    :param moved_aside: the kept databases of the last reversible restore, with the new names under
        which they are dropped after the swap.
    :param post: the present and the new name of the copy that becomes *post*; ``None`` if there is
        no copy.
    :param may_replace: whether the target may exist.
    :param may_create: whether the target may be missing.
    """

    new: str
    target: str
    retired: str
    retired_marker: Marker
    moved_aside: Mapping[str, str] = field(default_factory=dict)
    post: tuple[str, str] | None = None
    may_replace: bool = True
    may_create: bool = True

    @property
    def given_up(self) -> list[str]:
        """The databases that lose their names."""
        return [self.target, *self.moved_aside]


def swap_in(
    session: Session,
    temp_name: str,
    marker: Marker,
    new_properties: Callable[[], Properties | None],
    *,
    may_replace: bool = True,
    wait_seconds: float,
) -> None:
    """Swap a database in for its target, then drop the databases that are not kept.

    The caller holds the target's lock.

    :param temp_name: the database to swap in.
    :param marker: its marker, which names the target, and says whether the target may be missing.
    :param new_properties: returns the properties that the database gets, or ``None`` to leave it
        its own. It is called at the last moment: a right may have been revoked meanwhile.
    :param may_replace: whether the target may exist; by default it may.
    :param wait_seconds: the longest wait for a dump or a copy of the target, which the swap would
        end; a few seconds at least.
    :raises BusyError: when one of them has not finished by then.
    :raises InvalidInputError: when the target exists and may not be replaced.
    :raises NotFoundError: when the target does not exist and may not be made.
    :raises UnsupportedError: when something is bound to a database that must be renamed, or the
        user lacks a right.
    """
    plan = replace(
        plan_swap(session, temp_name, marker),
        may_replace=may_replace,
        may_create=marker.may_create,
    )
    for name in plan.given_up:
        check_nothing_bound(session, name)
        wait_for_readers(session, name, wait_seconds=wait_seconds)
    with turn_to_exchange(session):
        _exchange_again_if_deadlocked(session, plan, new_properties())
    drop_old(session, marker.target)


def _exchange_again_if_deadlocked(
    session: Session, plan: Swap, properties: Properties | None
) -> None:
    """Exchange the databases; try again if another tool's statement on databases was in the way.

    What a deadlock ends is rolled back as a whole.
    """
    for tries_left in reversed(range(EXCHANGE_TRIES)):
        try:
            exchange(session, plan, properties)
            return
        except psycopg.errors.DeadlockDetected:
            if not tries_left:
                raise
            log.info("the swap of %r ended in a deadlock, and is tried again", plan.target)


def exchange(session: Session, plan: Swap, properties: Properties | None) -> None:
    """Rename the databases in one transaction, while a second session terminates the others.

    The rename locks the target, so that new clients wait. A client that looked up the name before
    the commit finds the database renamed after it, and fails with "database does not exist"
    (InitPostgres() in postinit.c). So before the commit we lock the catalog in which clients look
    up names, and terminate the few clients that already wait.

    :param properties: the properties of the database that is swapped in; ``None`` leaves it its
        own.
    """
    started = time.monotonic()
    renamed = [plan.new, plan.target, *plan.moved_aside, *(plan.post or ())[:1]]
    oids = existing_oids(session, renamed)
    check_replaceable(session, plan.target, replace=plan.may_replace)
    check_makeable(session, plan.target, create=plan.may_create)
    takes_place = plan.may_replace and database_exists(session, plan.target)
    with session.beside() as watcher, session.transaction():
        session.execute(_BOUNDED)
        if properties is not None:
            carry_over(session, plan.new, properties)
        open_database(session, plan.new)
        # The watcher still sees the old names, and everything that was bound since the last check.
        with (
            terminating(session, oids, spare_ours_on=plan.given_up),
            naming_what_is_bound(watcher, renamed),
        ):
            _rename_all(session, plan, takes_place=takes_place)
        for name in plan.given_up:
            check_nothing_bound(watcher, name)
        made = plan.retired_marker
        origin = Origin(made.key, plan.new, made.maker, made.run)
        own_comment = properties.comment if properties else None
        set_comment(session, plan.target, origin.below(own_comment))
        if properties is not None and not properties.allows_connections:
            _refuse_connections(session, plan.target)
        if takes_place:
            _keep_new_clients_out(session)
            _end_waiting_clients(session, watcher, oids)
    if takes_place:
        text = "swapped database %r in for %r in %.2f s"
    else:
        text = "made database %r the new database %r, which did not exist, in %.2f s"
    log.info(text, plan.new, plan.target, time.monotonic() - started)


def target_properties(session: Session, target: str) -> Properties | None:
    """Return the properties of a target; ``None`` if it does not exist."""
    return read_properties(session, target) if database_exists(session, target) else None


def carry_over(session: Session, new: str, properties: Properties) -> None:
    """Give a new database the properties of the target.

    :raises UnsupportedError: when the user lacks a right.
    """
    try:
        apply_properties(session, new, properties)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UnsupportedError(
            f"cannot apply the owner, rights and settings of the target to {new!r}: "
            f"{error.diag.message_primary}",
            hint="The user must be a member of the target's owner. A setting may require a further "
            "right.",
        ) from error


def plan_swap(session: Session, temp_name: str, marker: Marker) -> Swap:
    """Decide what becomes of the target's present database, and of the databases kept before.

    The present database is kept as *pre* by a reversible restore of a dump, and dropped otherwise.
    As in django-pgclone 3.8, a restore of a dump renews *pre* and *post* or drops both. A restore
    of a local database and a copy leave both as they are.
    """
    target, attempt = marker.target, marker.attempt
    from_dump = bool(marker.key) and not marker.key.startswith(LOCAL_MARK)  # a copy has no key
    markers = _markers_of_ours(session, target) if from_dump else {}
    pre, post = kept_database_name(target, PRE), kept_database_name(target, POST)
    keep = from_dump and marker.reversible
    if keep:
        check_kept_names_are_ours(session, target)
    # In a retry the target is the database that the first attempt swapped in: it is not the one
    # before the restore, so that pre stays. So it does if there is no target to take its place.
    is_retry = keep and pre in markers and marker.run and _same_run(markers[pre], marker)
    keeps_old = keep and not is_retry
    pre_stays = keep and not (keeps_old and database_exists(session, target))
    renewed = [post] if pre_stays else [pre, post]
    aside = {
        name: attempt_database_name(target, "old_" + name.rpartition("__")[2], attempt)
        for name in renewed
        if name in markers
    }
    post_temp = attempt_database_name(target, "post", attempt)
    held = read_origins(session).get(target)
    return Swap(
        new=temp_name,
        target=target,
        retired=pre if keeps_old else attempt_database_name(target, "old", attempt),
        retired_marker=replace(
            marker,
            role="pre" if keeps_old else "old",
            ready=False,
            held_key=held.key if held else "",
            held_since=held.swapped_at if held else "",
        ),
        moved_aside=aside,
        post=(post_temp, post) if keep else None,
    )


def _markers_of_ours(session: Session, target: str) -> dict[str, Marker]:
    """Return the markers of *pre* and *post* that a restore may drop, and log which ones stay."""
    found = {}
    for one in kept_names(session, target):
        if one.marker is None:
            continue
        if (reason := one.why_not_ours()) is None:
            found[one.name] = one.marker
        else:
            log.warning("leaving %s as it is: %s", one.key, reason)
    return found


def _same_run(one: Marker, other: Marker) -> bool:
    return (one.maker, one.run) == (other.maker, other.run)


def _rename_all(session: Session, plan: Swap, *, takes_place: bool) -> None:
    for name, aside in plan.moved_aside.items():
        _rename(session, name, aside)
        marker = Marker("old", plan.target, plan.retired_marker.attempt)
        set_comment(session, aside, marker.text())
    if takes_place:
        _rename(session, plan.target, plan.retired)
        set_comment(session, plan.retired, plan.retired_marker.text())
    _rename(session, plan.new, plan.target)
    if plan.post is not None:
        _rename(session, *plan.post)
        marker = Marker("post", plan.target, plan.retired_marker.attempt)
        set_comment(session, plan.post[1], marker.text())


def _rename(session: Session, name: str, new_name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    session.execute(statement.format(sql.Identifier(name), sql.Identifier(new_name)))


def _refuse_connections(session: Session, name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    session.execute(statement.format(sql.Identifier(name)))


def _keep_new_clients_out(session: Session) -> None:
    """Lock the catalog of databases until the commit, which follows within milliseconds.

    Go on without the lock if the user lacks the right, or another session creates a database. A
    client that connects in these milliseconds may then fail with "database does not exist".
    """
    reason = ""
    for _ in range(CATALOG_LOCK_TRIES):
        try:
            with session.transaction():
                session.execute(f"SET LOCAL lock_timeout = {CATALOG_LOCK_TIMEOUT_MS}")
                session.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
                return
        except psycopg.errors.InsufficientPrivilege:
            reason = "the user of the connection is not a superuser"
            break
        except psycopg.errors.LockNotAvailable:
            reason = "another session holds a lock on it, perhaps by CREATE DATABASE"
    log.warning(
        "cannot lock pg_database (%s): a client that connects during the swap may be told that "
        "the database does not exist, and must connect again",
        reason,
    )


def _end_waiting_clients(session: Session, watcher: Session, oids: list[int]) -> None:
    quiet = 0
    spare = [session.pid, watcher.pid]
    deadline = time.monotonic() + 1
    while quiet < QUIET_LOOKS and time.monotonic() < deadline:
        session.cancellation.check()
        try:
            ended = terminate_connecting(watcher, oids, spare=spare)
        except psycopg.errors.InsufficientPrivilege:
            log.warning(
                "cannot end a superuser's client that waits for the swap: it must connect again"
            )
            return
        quiet = 0 if ended else quiet + 1
        time.sleep(QUIET_LOOK_SECONDS)
