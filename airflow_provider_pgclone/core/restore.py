"""Restore a dump or a local database: into a temporary database first, then swapped in."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import (
    Database,
    connect,
    database_exists,
    server_major,
)
from airflow_provider_pgclone.core.dump_key import (
    LOCAL_MARK,
    POST,
    PRE,
    LocalKey,
    attempt_database_name,
    check_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.leftovers import (
    drop_attempt,
    dropped_on_error,
    remove_leftovers,
)
from airflow_provider_pgclone.core.listing import Dump, find_dump
from airflow_provider_pgclone.core.load import Loading, analyze, load_archive
from airflow_provider_pgclone.core.marker import (
    Marker,
    mark_newborn,
    read_markers,
    set_comment,
)
from airflow_provider_pgclone.core.pg_tools import tools_for_restore
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.sessions import target_lock
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.swap import (
    carry_over,
    check_kept_names_are_ours,
    swap_in,
    target_properties,
)
from airflow_provider_pgclone.core.target import (
    check_source,
    check_target,
    clone_database,
    create_database,
    creation_options,
)
from airflow_provider_pgclone.core.verify import (
    check_rows,
    checked,
    read_dump_toc,
    read_trailer,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore.

    :param key: a dump key, a prefix (its newest dump), or a local key.
    :param reversible: whether to keep the databases before and after as ``:pre`` and ``:post``;
        without a meaning for a local key.
    :param swap: whether to swap the restored database in; otherwise it is left ready for a swap.
    :param no_owner: ``None`` keeps the owners where the server has them and the user may act for
        them.
    :param no_acl: ``None`` does as ``no_owner``.
    :param jobs: how many sessions analyze at once.
    :param wait_seconds: how long to wait for another restore of the target.
    :param maker: who restores; what it left ready at an earlier time is dropped.
    :param run: which of its runs; a retry does not take what the first attempt swapped in for the
        database before.
    """

    key: str
    reversible: bool = False
    swap: bool = True
    no_owner: bool | None = None
    no_acl: bool | None = None
    jobs: int = 2
    wait_seconds: float = 0.0
    pg_bin_dir: str | None = None
    maker: str = ""
    run: str = ""


@dataclass(frozen=True)
class Restored:
    """What was restored.

    :param key: the key, also where a prefix was given.
    :param temp_database: the database that waits for its swap; ``None`` once it is swapped in.
    """

    key: str
    temp_database: str | None


@dataclass(frozen=True)
class _Attempt:
    """One try to restore a target: its temporary database and all that its steps share."""

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

    def clone(self, source: str, name: str) -> None:
        clone_database(
            self.connection,
            self.maintenance,
            source,
            name,
            strategy=None,
            cancellation=self.cancellation,
        )


_Fill = Callable[[_Attempt], None]


def restore(
    target: Database,
    maintenance: Database,
    open_storage: Callable[[], Storage],
    options: RestoreOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> Restored:
    """Restore into a temporary database and swap it in, or leave the target untouched.

    :param target: the database that the application uses; it need not exist.
    :param maintenance: another database of its server.
    :param open_storage: called unless the key is a local one.
    :raises NotFoundError: when there is no such dump or local database.
    :raises RestoreError: when pg_restore reported an error that is not harmless.
    """
    check_database_name(target.name)
    is_local = options.key.startswith(LOCAL_MARK)
    if is_local and options.reversible:
        log.warning(":pre and :post stay as they are: a local restore is not reversible")
    storage = None if is_local else open_storage()
    dump = None if storage is None else find_dump(storage, options.key)
    with connect(maintenance, cancellation) as connection:
        check_target(connection, maintenance, target.name)
        if storage is None or dump is None:
            key = options.key
            fill = _local_source(connection, maintenance, target.name, LocalKey.parse(key))
        else:
            key = dump.key
            fill = _dump_source(connection, target.name, storage, dump, options, on_progress)
        marker = Marker(
            role="temp",
            target=target.name,
            attempt=secrets.token_hex(4),
            maker=options.maker,
            run=options.run,
            key=key,
            reversible=options.reversible and not is_local,
        )
        if marker.reversible:
            _check_kept_names(connection, target.name)
        attempt = _Attempt(connection, maintenance, marker, cancellation)
        with target_lock(
            connection,
            target.name,
            wait_seconds=options.wait_seconds,
            cancellation=cancellation,
        ):
            remove_leftovers(connection, target.name, maker=options.maker)
            with dropped_on_error(
                connection, maintenance, [attempt.temp.name, attempt.post_temp_name]
            ):
                fill(attempt)
                _keep_post(attempt)
                set_comment(connection, attempt.temp.name, marker.made_ready().text())
                if options.swap:
                    swap_in(connection, maintenance, attempt.temp.name, marker, cancellation)
    log.info("restored %s to %r", key, target.name if options.swap else attempt.temp.name)
    return Restored(key, None if options.swap else attempt.temp.name)


def drop_temp(maintenance: Database, temp_name: str, *, cancellation: Cancellation) -> None:
    """Drop a temporary database that is not to be swapped in; no error where it does not exist.

    :raises InvalidInputError: when it is not one of ours.
    """
    with connect(maintenance, cancellation) as connection:
        marker = read_markers(connection).get(temp_name)
        if marker is None and not database_exists(connection, temp_name):
            log.info("database %r does not exist", temp_name)
            return
        if marker is None or marker.role != "temp":
            raise InvalidInputError(f"database {temp_name!r} is not a temporary one of a restore")
        with target_lock(connection, marker.target, wait_seconds=0, cancellation=cancellation):
            drop_attempt(connection, marker)


def _local_source(
    connection: psycopg.Connection, maintenance: Database, target: str, key: LocalKey
) -> _Fill:
    """Return the step that copies a local database, once it is known to be there."""
    source = key.database_name(target)
    check_source(connection, maintenance, source, target)

    def fill(attempt: _Attempt) -> None:
        attempt.clone(source, attempt.temp.name)
        mark_newborn(attempt.connection, attempt.temp.name, attempt.marker)
        _dress(attempt, attempt.temp.name)

    return fill


def _dump_source(
    connection: psycopg.Connection,
    target: str,
    storage: Storage,
    dump: Dump,
    options: RestoreOptions,
    on_progress: ProgressCallback,
) -> _Fill:
    """Return the step that loads a dump, once its archive is known to be readable."""
    toc = read_dump_toc(storage, dump)
    trailer = read_trailer(storage, dump, toc)
    major = server_major(connection)
    tools = tools_for_restore(major, toc.first_reader, options.pg_bin_dir)
    no_owner, no_acl = options.no_owner, options.no_acl
    if no_owner is None:
        no_owner = not _may_act_for(connection, toc.owners)
    if no_acl is None:
        no_acl = no_owner or not _knows(connection, toc.grantees)
    log.info("restoring owners: %s, rights: %s", not no_owner, not no_acl)
    loading = Loading(tools=tools, server_major=major, no_owner=no_owner, no_acl=no_acl)
    creation = _creation(connection, target, toc)

    def fill(attempt: _Attempt) -> None:
        create_database(attempt.connection, attempt.temp.name, creation)
        mark_newborn(attempt.connection, attempt.temp.name, attempt.marker)
        # Before it is loaded, so that nobody gets in who may not, and no right is missed too late.
        _dress(attempt, attempt.temp.name)
        meter = ProgressMeter(on_progress, bytes_total=dump.size_bytes)
        log.info(
            "restoring %s into %r with pg_restore %s", dump.key, attempt.temp.name, tools.major
        )
        chunks = storage.read(dump.key)
        load_archive(
            checked(chunks, trailer, attempt.cancellation) if trailer else chunks,
            attempt.temp,
            loading,
            meter=meter,
            cancellation=attempt.cancellation,
        )
        log.info("loaded %s: %s", dump.key, meter.finish())
        if trailer is not None and trailer.has_rows:
            with connect(attempt.temp, attempt.cancellation) as restored:
                check_rows(restored, trailer)
        analyze(attempt.temp, tools, jobs=options.jobs, cancellation=attempt.cancellation)

    return fill


def _may_act_for(connection: psycopg.Connection, owners: frozenset[str]) -> bool:
    """Whether all owners are roles of this server that the user may give objects to."""
    row = connection.execute(
        "SELECT bool_and(rolname IS NOT NULL AND pg_has_role(current_user, rolname, 'MEMBER')) "
        "FROM unnest(%s::text[]) AS owner LEFT JOIN pg_roles ON rolname = owner",
        [sorted(owners)],
    ).fetchone()
    return row is not None and row[0] is not False


def _knows(connection: psycopg.Connection, roles: frozenset[str]) -> bool:
    """Whether all of these are roles of this server."""
    rows = connection.execute("SELECT rolname FROM pg_roles").fetchall()
    return roles <= {name for (name,) in rows}


def _creation(connection: psycopg.Connection, target: str, toc: Toc) -> dict[str, str]:
    """Return the encoding and locale of the temporary database: the target's, else the dump's."""
    of_dump = toc.database_options
    if not database_exists(connection, target):
        return of_dump
    of_target = creation_options(connection, target)
    for option in ("ENCODING", "LOCALE_PROVIDER"):
        if option in of_dump and option in of_target and of_dump[option] != of_target[option]:
            log.warning(
                "%s of the dump is %s and that of %r is %s, which stays",
                option,
                of_dump[option],
                target,
                of_target[option],
            )
    return of_target


def _check_kept_names(connection: psycopg.Connection, target: str) -> None:
    for role in (PRE, POST):
        check_database_name(kept_database_name(target, role))
    check_kept_names_are_ours(connection, target)


def _dress(attempt: _Attempt, name: str) -> None:
    """Give a database what the target has, so that hooks meet the same rights and settings."""
    properties = target_properties(attempt.connection, attempt.marker.target)
    if properties is not None:
        carry_over(attempt.connection, name, properties)


def _keep_post(attempt: _Attempt) -> None:
    """Copy what was restored, before hooks change it; the swap gives the copy its name."""
    if attempt.marker.reversible:
        attempt.clone(attempt.temp.name, attempt.post_temp_name)
        marker = Marker("post_temp", attempt.marker.target, attempt.marker.attempt)
        mark_newborn(attempt.connection, attempt.post_temp_name, marker)
        _dress(attempt, attempt.post_temp_name)
