"""Verify a dump, byte by byte or by restoring it, and note beside it what was found."""

import logging
from collections.abc import Mapping
from typing import Literal

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.drill import drill
from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    MismatchError,
    StorageError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.listing import Dump, find_dump
from airflow_provider_pgclone.core.loading import LoadOptions
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.records import Record, read_record, remove_record, write_record
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.stored_archive import Archive, check_bytes, open_archive

log = logging.getLogger(__name__)

Level = Literal["archive", "restore"]


def verify(
    storage: Storage,
    text: str,
    level: Level,
    maintenance: Database,
    load: LoadOptions,
    *,
    record: bool,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> str:
    """Verify a dump, and return its key.

    :param text: a dump key, or a prefix of which the newest dump is meant.
    :param level: ``archive`` checks each byte; ``restore`` restores into a database of its own,
        which is dropped then.
    :param maintenance: a database of the server to restore on.
    :param load: how it is restored.
    :param record: whether the finding is noted beside the dump.
    :raises ArchiveError: when the dump is damaged.
    :raises MismatchError: when what is restored is not what was dumped.
    :raises RestoreError: when it cannot be restored here, of which nothing is noted.
    :raises UnsupportedError: when its bytes are to be checked and this package has not written it.
    """
    if record:
        storage.check_writable()
    dump = find_dump(storage, text)
    details = {}
    try:
        archive = open_archive(storage, dump)
        if level == "archive":
            check_bytes(archive, cancellation)
        else:
            details = drill(
                archive, maintenance, load, on_progress=on_progress, cancellation=cancellation
            )
    except MismatchError as error:
        if record:
            _note_damage(storage, dump.key, error)
        raise
    except ArchiveError as error:
        # A bit may have flipped on its way here.
        if record and not _is_whole(storage, dump, cancellation):
            _note_damage(storage, dump.key, error)
        raise
    log.info("verified %s, level %s", dump.key, level)
    if record:
        _note(archive, level, details)
    return dump.key


def check_verified(archive: Archive) -> None:
    """Refuse a dump that no verification has found whole.

    :raises UnsupportedError: when there is no record of one.
    :raises ArchiveError: when the record is of other bytes.
    """
    dump = archive.dump
    if archive.trailer is None:
        raise UnsupportedError(
            f"{dump.key} was not made by this package, so that no record can tell its bytes",
            hint="Dump with this package, or restore with require_verified=False.",
        )
    if dump.finding is None:
        raise UnsupportedError(
            f"{dump.key} is not verified, and only verified dumps may be restored",
            hint="Verify it first, or name one of those that ls lists with verified=True.",
        )
    record = read_record(archive.storage, dump.key, dump.finding)
    if record.account_sha256 != archive.account_sha256:
        raise ArchiveError(
            f"the record of {dump.key} is that of another archive", hint="Verify the dump again."
        )


def _is_whole(storage: Storage, dump: Dump, cancellation: Cancellation) -> bool:
    """Read a dump once more, and return whether nothing is wrong with it."""
    try:
        archive = open_archive(storage, dump)
        if archive.trailer is not None:
            check_bytes(archive, cancellation)
    except ArchiveError as error:
        log.info("read again: %s", error)
        return False
    log.warning("%s is whole when it is read again, so that nothing is noted", dump.key)
    return True


def _note_damage(storage: Storage, key: str, error: Exception) -> None:
    try:
        write_record(storage, key, Record("damaged", "", {"error": str(error)}))
    except StorageError as unwritten:  # which is not to hide what was found
        log.warning("that %s is damaged could not be noted: %s", key, unwritten)


def _note(archive: Archive, level: Level, details: Mapping[str, str]) -> None:
    storage, key = archive.storage, archive.dump.key
    if archive.trailer is None:
        log.warning(
            "no record is kept of %s, which this package has not made: nothing would tell the "
            "bytes that were verified from others",
            key,
        )
        remove_record(storage, key, "damaged")
        return
    write_record(storage, key, Record(level, archive.account_sha256, details))
