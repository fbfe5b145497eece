"""Verify a dump, byte by byte or by restoring it, and note beside it what was found."""

import logging
from collections.abc import Mapping
from typing import Literal

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.drill import drill
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError
from airflow_provider_pgclone.core.listing import find_dump
from airflow_provider_pgclone.core.loading import LoadOptions
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.records import Finding, read_record, write_record
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
    :raises RestoreError: when it cannot be restored, or has become another in it.
    :raises UnsupportedError: when its bytes are to be checked and this package has not written it.
    """
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
    except ArchiveError as error:
        if record:
            write_record(storage, dump.key, "damaged", "", {"error": str(error)}, cancellation)
        raise
    log.info("verified %s, level %s", dump.key, level)
    if record:
        _note(archive, level, details, cancellation)
    return dump.key


def check_verified(archive: Archive) -> None:
    """Refuse a dump that no verification has found whole.

    :raises UnsupportedError: when there is no record of one.
    :raises ArchiveError: when the record is of other bytes.
    """
    dump = archive.dump
    if dump.finding is None:
        raise UnsupportedError(
            f"{dump.key} is not verified, and only verified dumps may be restored",
            hint="Verify it first, or name one of those that ls lists with verified=True.",
        )
    record = read_record(archive.storage, dump.key, dump.finding)
    if not record.account_sha256 or record.account_sha256 != archive.account_sha256:
        raise ArchiveError(
            f"the record of {dump.key} is that of another archive", hint="Verify the dump again."
        )


def _note(
    archive: Archive, level: Finding, details: Mapping[str, str], cancellation: Cancellation
) -> None:
    if archive.trailer is None:
        log.warning(
            "%s was not made by this package, so that no record could tell which bytes were "
            "verified: none is kept",
            archive.dump.key,
        )
        return
    write_record(
        archive.storage, archive.dump.key, level, archive.account_sha256, details, cancellation
    )
