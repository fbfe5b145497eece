"""Restore a dump or a local database: into a temporary database first, then swapped in."""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from airflow_provider_pgclone.core.attempt import (
    Attempt,
    Fill,
    check_kept_names,
    replace_database,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.check_sql import check_sql
from airflow_provider_pgclone.core.database import Database, connect, database_exists
from airflow_provider_pgclone.core.dump_key import LOCAL_MARK, LocalKey, check_database_name
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.leftovers import drop_attempt
from airflow_provider_pgclone.core.listing import Dump, find_dump
from airflow_provider_pgclone.core.load import analyze
from airflow_provider_pgclone.core.load_dump import load_dump
from airflow_provider_pgclone.core.loading import LoadOptions, creation_for, loading_for
from airflow_provider_pgclone.core.marker import Marker, read_markers
from airflow_provider_pgclone.core.masking.required import check_masked
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.sessions import target_lock
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.stored_archive import Archive, open_archive
from airflow_provider_pgclone.core.target import check_source, check_target
from airflow_provider_pgclone.core.verify import check_verified

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore.

    :param key: a dump key, a prefix (its newest dump), or a local key.
    :param reversible: whether to keep the databases before and after as ``:pre`` and ``:post``;
        without a meaning for a local key.
    :param swap: whether to swap the restored database in; otherwise it is left ready for a swap.
    :param load: how a dump is loaded.
    :param checksums: whether its rows are compared with the checksums that it has of them.
    :param check_sql: what must be true of the restored database before it is swapped in.
    :param require_verified: whether only a dump is restored that a verification has found whole.
    :param require_masked: whether only a dump is restored that is masked.
    :param wait_seconds: how long to wait for another restore of the target.
    :param maker: who restores; what it left ready at an earlier time is dropped.
    :param run: which of its runs; a retry does not take what the first attempt swapped in for the
        database before.
    """

    key: str
    reversible: bool = False
    swap: bool = True
    load: LoadOptions = field(default_factory=LoadOptions)
    checksums: bool = False
    check_sql: Sequence[str] = ()
    require_verified: bool = False
    require_masked: bool = False
    wait_seconds: float = 0.0
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
    if is_local and options.require_masked and not LocalKey.parse(options.key).is_reserved:
        raise UnsupportedError(
            f"nothing tells that {options.key} is masked, and only what is may be restored",
            hint="Restore a masked dump; :pre and :post, which were restored, may come back.",
        )
    if is_local and (options.require_verified or options.require_masked or options.checksums):
        log.warning(
            "%s is no dump: it has no verification, no checksums and no account of masks",
            options.key,
        )
    storage = None if is_local else open_storage()
    dump = None if storage is None else find_dump(storage, options.key)
    with connect(maintenance, cancellation) as connection:
        check_target(connection, maintenance, target.name)
        if storage is None or dump is None:
            key = options.key
            fill = _local_source(connection, maintenance, target.name, LocalKey.parse(key))
        else:
            key = dump.key
            archive = _open_archive(storage, dump, options)
            fill = _dump_source(connection, target.name, archive, options, on_progress)
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
            check_kept_names(connection, target.name)
        attempt = Attempt(connection, maintenance, marker, cancellation)

        def fill_and_check(attempt: Attempt) -> None:
            fill(attempt)
            check_sql(attempt.temp, options.check_sql, cancellation)

        replace_database(
            attempt, fill_and_check, swap=options.swap, wait_seconds=options.wait_seconds
        )
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
) -> Fill:
    """Return the step that copies a local database, once it is known to be there."""
    source = key.database_name(target)
    check_source(connection, maintenance, source, target)

    def fill(attempt: Attempt) -> None:
        attempt.clone_temp(source)

    return fill


def _open_archive(storage: Storage, dump: Dump, options: RestoreOptions) -> Archive:
    """Open a dump, unless what is known or asked of it forbids to restore it."""
    if dump.finding == "damaged":
        raise ArchiveError(
            f"{dump.key} was found to be damaged by a verification",
            hint="Restore another dump, or verify it again.",
        )
    archive = open_archive(storage, dump)
    if options.require_verified:
        check_verified(archive)
    if options.require_masked:
        check_masked(archive)
    if options.checksums and "checksums" not in archive.account.facts:
        raise InvalidInputError(
            f"{dump.key} has no checksums",
            hint="Dump with checksums=True, or restore with checksums=False.",
        )
    return archive


def _dump_source(
    connection: psycopg.Connection,
    target: str,
    archive: Archive,
    options: RestoreOptions,
    on_progress: ProgressCallback,
) -> Fill:
    """Return the step that loads a dump, once it is known how."""
    loading = loading_for(connection, archive.toc, options.load)
    creation = creation_for(connection, target, archive.toc)

    def fill(attempt: Attempt) -> None:
        attempt.create_temp(creation)
        load_dump(
            archive,
            attempt.temp,
            loading,
            checksums=options.checksums,
            on_progress=on_progress,
            cancellation=attempt.cancellation,
        )
        analyze(attempt.temp, loading, attempt.cancellation)

    return fill
