"""Restore a dump or a local database into a temporary database, and swap that in."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from airflow_provider_pgclone.core.archive import rights_on_database
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.checking import check_sql
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError
from airflow_provider_pgclone.core.executing import LoadOptions, loading_for
from airflow_provider_pgclone.core.loading import Analysis, load_archive
from airflow_provider_pgclone.core.meter import REPORT_SECONDS, ProgressMeter
from airflow_provider_pgclone.core.postgres import Database, Session, connect, database_exists
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.replacing import (
    LOCAL_MARK,
    AllowedTargets,
    Attempt,
    Ending,
    Fill,
    LocalKey,
    Marker,
    Properties,
    check_database_name,
    check_kept_names,
    check_local_source,
    check_makeable,
    check_target,
    creation_for,
    drop_attempt,
    properties_of_new,
    read_markers,
    read_properties,
    replace_database,
    target_lock,
    wait_for_readers,
)
from airflow_provider_pgclone.core.repository import (
    Archive,
    Dump,
    check_data,
    check_required,
    find_dump,
    log_left_out,
    open_archive,
)
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.core.watching import (
    expect_analyze,
    limit_of_load,
    table_sizes,
    watching,
)

log = get_log(__name__)


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore.

    :param key: a dump key, a prefix (the newest dump under it is restored), or a local key.
    :param reversible: whether to keep the target as it was before as ``:pre``, and a copy of the
        restored database as ``:post``; ignored for a local key.
    :param swap: whether to swap the restored database in; otherwise it waits for a later swap.
    :param restore_over: which targets are allowed.
    :param create_target: whether the target is made if it does not exist.
    :param load: how to load a dump.
    :param checksums: whether to compare the restored rows with the checksums in the dump.
    :param analyze: whether to analyze the restored tables.
    :param check_sql: queries about the restored database that must be true before the swap.
    :param require_verified: whether to refuse a dump that no verification has found whole.
    :param require_masked: whether to refuse a dump that is not masked.
    :param require_signed: whether to refuse a dump that was not signed with the signing key.
    :param signing_key: the secret with which dumps were signed.
    :param wait_seconds: the longest wait for another restore of the target, and for a dump of it,
        in seconds.
    :param maker: a name for who restores. A database that the same maker left waiting for its swap
        is dropped.
    :param run: a name for this run of the maker. A retry uses the same name, and so does not keep
        what the first try swapped in as ``:pre``.
    """

    key: str
    reversible: bool = False
    swap: bool = True
    restore_over: AllowedTargets = field(default_factory=AllowedTargets)
    create_target: bool = True
    load: LoadOptions = field(default_factory=LoadOptions)
    checksums: bool = False
    analyze: bool = True
    check_sql: Sequence[str] = ()
    require_verified: bool = False
    require_masked: bool = False
    require_signed: bool = False
    signing_key: str | None = field(default=None, repr=False)
    wait_seconds: float = 0.0
    maker: str = ""
    run: str = ""


@dataclass(frozen=True)
class Restored:
    """What was restored.

    :param key: the dump key or local key, even if a prefix was given.
    :param temp_database: the database that waits for its swap; ``None`` if it was swapped in.
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
    report_seconds: float = REPORT_SECONDS,
) -> Restored:
    """Restore into a temporary database and swap it in, or leave the target untouched.

    :param target: the database that the application uses; it need not exist.
    :param maintenance: another database of the target's server.
    :param open_storage: returns the storage; not called for a local key.
    :param report_seconds: the time between two reports of the progress.
    :raises NotAllowedError: when a setting does not allow the target.
    :raises NotFoundError: when the dump or the local database does not exist, or the target does
        not and may not be made.
    :raises RestoreError: when an entry cannot be restored.
    """
    meter = ProgressMeter(on_progress, interval_seconds=report_seconds)
    with cancellation.own() as own, meter.reporting(own):
        restored = _restore(target, maintenance, open_storage, options, meter, own)
    log.info("restored %s to %r", restored.key, restored.temp_database or target.name)
    if not options.key.startswith(LOCAL_MARK):
        log.info("%s", meter.summary(f"restored {restored.key}", limit=limit_of_load(meter)))
    return restored


def _restore(
    target: Database,
    maintenance: Database,
    open_storage: Callable[[], Storage],
    options: RestoreOptions,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> Restored:
    check_database_name(target.name)
    options.restore_over.check(target.name)
    if options.key.startswith(LOCAL_MARK):
        storage = None
        _check_local(options)
    else:
        storage = open_storage()
    dump = None if storage is None else find_dump(storage, options.key)
    with connect(maintenance, cancellation) as session:
        check_target(session, target.name)
        check_makeable(session, target.name, create=options.create_target)
        if storage is None or dump is None:
            key = options.key
            source = LocalKey.parse(key).database_name(target.name)
            fill = _local_source(session, target.name, options, meter)
            new_properties: Callable[[], Properties] = partial(read_properties, session, source)
        else:
            key = dump.key
            archive = _open_archive(storage, dump, options)
            fill = _dump_source(session, target.name, archive, options, meter)
            # Without its rights, a new database is closed to PUBLIC.
            rights = None if options.load.no_acl else rights_on_database(archive.toc)
            new_properties = partial(properties_of_new, session, rights)
        attempt = Attempt(
            session,
            _marker(target.name, key, options),
            new_properties=new_properties,
        )
        if attempt.marker.reversible:
            check_kept_names(session, target.name)

        def fill_and_check(attempt: Attempt) -> None:
            fill(attempt)
            if options.check_sql:
                meter.enter("check", "running check_sql")
                check_sql(attempt.temp, options.check_sql, cancellation)
            if options.swap:
                meter.enter("swap", f"swapping the database in for {target.name!r}")

        ending: Ending = "swap" if options.swap else "leave"
        replace_database(attempt, fill_and_check, ending=ending, wait_seconds=options.wait_seconds)
    return Restored(key, None if options.swap else attempt.temp.name)


def drop_temp(maintenance: Database, temp_name: str, *, cancellation: Cancellation) -> None:
    """Drop a temporary database instead of swapping it in; it is not an error if it is missing.

    :raises InvalidInputError: when no restore of this package created it.
    """
    with connect(maintenance, cancellation) as session:
        marker = read_markers(session).get(temp_name)
        if marker is None and not database_exists(session, temp_name):
            log.info("database %r does not exist", temp_name)
            return
        if marker is None or marker.role != "temp" or not marker.fits(temp_name):
            raise InvalidInputError(f"database {temp_name!r} is not the temporary one of a restore")
        if marker.ready:
            # Nobody fills it, and no other attempt has its names: another restore of the target,
            # which may take hours, need not end first.
            drop_attempt(session, marker)
            return
        with target_lock(session, marker.target, wait_seconds=0):
            drop_attempt(session, marker)


def check_restore_over(
    target: str,
    maintenance: Database,
    restore_over: AllowedTargets,
    *,
    create_target: bool,
    cancellation: Cancellation,
) -> None:
    """Refuse a target that a restore would refuse, before a person is asked what to restore.

    :raises NotAllowedError: when a setting does not allow it.
    :raises NotFoundError: when it does not exist and may not be made.
    :raises UnsupportedError: when it cannot be replaced.
    """
    check_database_name(target)
    restore_over.check(target)
    with connect(maintenance, cancellation) as session:
        check_target(session, target)
        check_makeable(session, target, create=create_target)


def check_local_key(
    target: str,
    maintenance: Database,
    key: str,
    *,
    is_kept: bool,
    require_masked: bool,
    cancellation: Cancellation,
) -> str:
    """Return a local key if it can be restored over a target.

    :param is_kept: whether to refuse all but ``:pre`` and ``:post``.
    :raises InvalidInputError: when it is another one.
    :raises NotFoundError: when its database does not exist.
    :raises UnsupportedError: when it must be masked, which is not known of it, or when others may
        have made it in the name of ``:pre`` or ``:post``.
    """
    local_key = LocalKey.parse(key)
    if is_kept and not local_key.is_reserved:
        raise InvalidInputError(
            f"{key} is a database of the server, and not a dump under the prefix",
            hint="Choose a dump under the prefix, :pre or :post, or change the prefix in the DAG.",
        )
    if require_masked:
        local_key.check_masked()
    with connect(maintenance, cancellation) as session:
        check_local_source(session, local_key, target, require_masked=require_masked)
    return key


def _marker(target: str, key: str, options: RestoreOptions) -> Marker:
    return Marker(
        role="temp",
        target=target,
        attempt=secrets.token_hex(4),
        maker=options.maker,
        run=options.run,
        key=key,
        reversible=options.reversible and not key.startswith(LOCAL_MARK),
        may_create=options.create_target,
    )


def _check_local(options: RestoreOptions) -> None:
    """Refuse a local database if it must be masked, and warn of options that it ignores."""
    if options.reversible:
        log.warning(":pre and :post stay as they are: a local restore is not reversible")
    if options.require_masked:
        LocalKey.parse(options.key).check_masked()
    wanted = (
        *(options.require_verified, options.require_masked, options.require_signed),
        options.checksums,
    )
    if any(wanted):
        log.warning(
            "%s is not a dump: it has no verification, signature, checksums or manifest",
            options.key,
        )


def _local_source(
    session: Session, target: str, options: RestoreOptions, meter: ProgressMeter
) -> Fill:
    """Return the step that copies a local database.

    It is checked before anything else, and again after each wait, in which another database may
    have taken its name.
    """
    key = LocalKey.parse(options.key)
    source = key.database_name(target)
    check = partial(check_local_source, session, key, target, require_masked=options.require_masked)
    check()

    def fill(attempt: Attempt) -> None:
        check()
        wait_for_readers(session, source, wait_seconds=options.wait_seconds)
        check()
        meter.enter("load", f"the server copies the database {source!r}")
        attempt.clone_temp(source)

    return fill


def _open_archive(storage: Storage, dump: Dump, options: RestoreOptions) -> Archive:
    """Open a dump, unless its verdict or an option forbids the restore."""
    if dump.finding == "damaged":
        raise ArchiveError(
            f"{dump.key} was found to be damaged by a verification",
            hint="Restore another dump, or verify it again.",
        )
    archive = open_archive(storage, dump)
    check_required(
        archive,
        masked=options.require_masked,
        verified=options.require_verified,
        signed=options.require_signed,
        signing_key=options.signing_key,
    )
    if options.checksums and archive.required_manifest.checksums is None:
        raise InvalidInputError(
            f"{dump.key} has no checksums",
            hint="Dump with checksums=True, or restore with checksums=False.",
        )
    if options.key != dump.key:
        check_data(archive)
    log_left_out(archive)
    return archive


def _dump_source(
    session: Session,
    target: str,
    archive: Archive,
    options: RestoreOptions,
    meter: ProgressMeter,
) -> Fill:
    """Return the step that loads a dump."""
    loading = loading_for(session, archive.toc, options.load)
    creation = creation_for(session, target, archive.toc.database_options)

    def fill(attempt: Attempt) -> None:
        attempt.create_temp(creation)
        analysis = None
        if options.analyze:
            analysis = Analysis(attempt.temp, loading, meter, session.cancellation)
            if archive.manifest is not None:
                expect_analyze(meter, table_sizes(archive.manifest).values())
        with watching(meter, attempt.temp):
            load_archive(
                archive,
                attempt.temp,
                loading,
                checksums=options.checksums,
                analysis=analysis,
                meter=meter,
                cancellation=session.cancellation,
            )
            if analysis is not None:
                analysis.finish()

    return fill
