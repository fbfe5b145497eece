"""Verify a dump byte by byte, or by a restore, and store the verdict beside it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from airflow_provider_pgclone.core.archive import required_signing_key
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, MismatchError, StorageError
from airflow_provider_pgclone.core.executing import LoadOptions, loading_for
from airflow_provider_pgclone.core.loading import load_archive
from airflow_provider_pgclone.core.meter import REPORT_SECONDS, ProgressMeter
from airflow_provider_pgclone.core.postgres import Database, connect
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.replacing import (
    Attempt,
    Marker,
    attempt_database_name,
    check_may_create,
    check_primary,
    creation_for,
    remove_dead_drills,
    replace_database,
)
from airflow_provider_pgclone.core.repository import (
    Archive,
    Dump,
    DumpKey,
    Record,
    check_bytes,
    check_masked,
    check_signed,
    find_dump,
    open_archive,
    remove_record,
    write_record,
)
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.core.watching import limit_of_load, watching

log = get_log(__name__)

Level = Literal["archive", "restore"]


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify.

    :param level: ``archive`` checks every byte; ``restore`` restores the dump into a new database
        and drops that afterwards.
    :param load: how to restore.
    :param record: whether to store the verdict beside the dump.
    :param require_masked: whether to refuse to restore a dump that is not masked.
    :param require_signed: whether to refuse a dump that was not signed with the signing key.
    :param signing_key: the secret with which dumps were signed.
    """

    level: Level
    load: LoadOptions
    record: bool
    require_masked: bool = False
    require_signed: bool = False
    signing_key: str | None = field(default=None, repr=False)


def verify(
    storage: Storage,
    text: str,
    maintenance: Database,
    options: VerifyOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
    report_seconds: float = REPORT_SECONDS,
) -> str:
    """Verify a dump, and return its key.

    :param text: a dump key, or a prefix; the newest dump under a prefix is verified.
    :param maintenance: a database of the server to restore on.
    :param report_seconds: the time between two reports of the progress of a restore.
    :raises ArchiveError: when the dump is damaged.
    :raises MismatchError: when the restored database differs from what was dumped, also when it is
        restored again by one job.
    :raises RestoreError: when the dump cannot be restored here; no verdict is stored then.
    :raises UnsupportedError: when the bytes of a dump that this package did not write are to be
        checked.
    """
    if options.record:
        storage.check_writable()
    dump = find_dump(storage, text)
    details = {}
    try:
        archive = open_archive(storage, dump)
        if options.require_signed:
            check_signed(archive, required_signing_key(options.signing_key))
        if options.level == "archive":
            check_bytes(archive, cancellation)
        else:
            if options.require_masked:
                check_masked(archive)
            details = _drill_twice_if_different(
                archive,
                maintenance,
                options.load,
                lambda: ProgressMeter(on_progress, interval_seconds=report_seconds),
                cancellation,
            )
    except MismatchError as error:
        if options.record:
            _record_damage(storage, dump.key, error)
        raise
    except ArchiveError as error:
        # A bit may have flipped between storage and here.
        if options.record and not _is_whole(storage, dump, cancellation):
            _record_damage(storage, dump.key, error)
        raise
    log.info("verified %s, level %s", dump.key, options.level)
    if options.record:
        _record_success(archive, options.level, details)
    return dump.key


def _is_whole(storage: Storage, dump: Dump, cancellation: Cancellation) -> bool:
    """Read a dump once more, and tell whether it is whole."""
    try:
        archive = open_archive(storage, dump)
        if archive.manifest is not None:
            check_bytes(archive, cancellation)
    except ArchiveError as error:
        log.info("read again: %s", error)
        return False
    log.warning("%s is whole when it is read again, so no verdict is stored", dump.key)
    return True


def _record_damage(storage: Storage, key: str, error: Exception) -> None:
    try:
        write_record(storage, key, Record("damaged", "", {"error": str(error)}))
    except StorageError as unwritten:  # must not hide the damage itself
        log.warning("%s is damaged, but the verdict could not be stored: %s", key, unwritten)


def _record_success(archive: Archive, level: Level, details: Mapping[str, str]) -> None:
    storage, key = archive.storage, archive.dump.key
    if archive.manifest is None:
        log.warning(
            "no verdict is stored for %s, which this package did not write: it has no manifest by "
            "which its bytes could be recognized",
            key,
        )
        remove_record(storage, key, "damaged")
        return
    write_record(storage, key, Record(level, archive.manifest_sha256, details))


def _drill_twice_if_different(
    archive: Archive,
    maintenance: Database,
    load: LoadOptions,
    new_meter: Callable[[], ProgressMeter],
    cancellation: Cancellation,
) -> dict[str, str]:
    """Drill, and drill once more by one job if the rows of a table differ.

    A dump that is noted as damaged is not restored any more. One job has one order, in which
    nothing runs beside anything else.

    :raises MismatchError: when the rows of a table differ again.
    """
    try:
        return drill(archive, maintenance, load, new_meter(), cancellation)
    except MismatchError as error:
        log.warning("%s: %s; restoring it again by one job", archive.dump.key, error)
    return drill(archive, maintenance, replace(load, jobs=1), new_meter(), cancellation)


def drill(
    archive: Archive,
    maintenance: Database,
    load: LoadOptions,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> dict[str, str]:
    """Restore a dump into a new database, compare that with the manifest, and drop it.

    :param maintenance: a database of the server to restore on.
    :return: the version of that server, and whether checksums were compared.
    :raises RestoreError: when the dump cannot be restored, or the rows of a table differ.
    :raises ArchiveError: when a byte of the dump differs from what was written.
    """
    token = secrets.token_hex(4)
    name = attempt_database_name(DumpKey.parse(archive.dump.key).database, "drill", token)
    marker = Marker("drill", target=name, attempt=token, key=archive.dump.key)
    has_checksums = archive.manifest is not None and bool(archive.manifest.checksums)
    with (
        cancellation.own() as own,
        meter.reporting(own),
        connect(maintenance, own) as session,
    ):
        check_primary(session)
        check_may_create(session)
        loading = loading_for(session, archive.toc, load)
        creation = creation_for(session, name, archive.toc.database_options)
        remove_dead_drills(session)

        def fill(attempt: Attempt) -> None:
            attempt.create_temp(creation)
            with watching(meter, attempt.temp):
                load_archive(
                    archive,
                    attempt.temp,
                    loading,
                    checksums=has_checksums,
                    meter=meter,
                    cancellation=own,
                )

        replace_database(Attempt(session, marker), fill, ending="drop", wait_seconds=0)
        version = session.connection.info.parameter_status("server_version") or "?"
    title = f"restored {archive.dump.key} to verify it"
    log.info("%s", meter.summary(title, limit=limit_of_load(meter)))
    return {"server_version": version, "checksums": "compared" if has_checksums else "none"}
