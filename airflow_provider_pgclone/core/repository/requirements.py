"""What restores require of a dump, by its manifest, contents and verdict."""

from airflow_provider_pgclone.core.archive import Manifest, is_signed_by, required_signing_key
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    NotAllowedError,
    NotFoundError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.findings import read_record
from airflow_provider_pgclone.core.repository.keys import NO_CONFIG, DumpKey
from airflow_provider_pgclone.core.repository.stored_archive import Archive, read_manifest_of
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)


def check_required(
    archive: Archive, *, masked: bool, verified: bool, signed: bool, signing_key: str | None
) -> None:
    """Refuse a dump that lacks what is required of it.

    :param signing_key: the secret with which dumps were signed.
    :raises UnsupportedError: when it is not masked, verified or signed, and must be.
    :raises NotAllowedError: when its signature is not that of the signing key.
    """
    if signed:
        check_signed(archive, required_signing_key(signing_key))
    if verified:
        check_verified(archive)
    if masked:
        check_masked(archive)


def check_masked(archive: Archive) -> None:
    """Refuse a dump in which no column is masked.

    :raises UnsupportedError: when no column is masked, or the dump has no manifest.
    """
    key = archive.dump.key
    if archive.manifest is None:
        raise UnsupportedError(
            f"{key} was not made by this package, so it is not known whether it is masked",
            hint="Dump with this package and masks, or restore with require_masked=False.",
        )
    if not archive.manifest.masks_columns:
        raise UnsupportedError(
            f"{key} is not masked, and only masked dumps may be restored",
            hint="Dump with masks, or choose a dump that ls lists with masked=True.",
        )


def check_verified(archive: Archive) -> None:
    """Refuse a dump that no verification has found whole.

    :raises UnsupportedError: when there is no record of a verification.
    :raises ArchiveError: when the record is about other bytes.
    """
    dump = archive.dump
    if archive.manifest is None:
        raise UnsupportedError(
            f"{dump.key} was not made by this package, so no record can identify its bytes",
            hint="Dump with this package, or restore with require_verified=False.",
        )
    if dump.finding is None:
        raise UnsupportedError(
            f"{dump.key} is not verified, and only verified dumps may be restored",
            hint="Verify it first, or choose a dump that ls lists with verified=True.",
        )
    record = read_record(archive.storage, dump.key, dump.finding)
    if record.manifest_sha256 != archive.manifest_sha256:
        raise ArchiveError(
            f"the record of {dump.key} belongs to another archive", hint="Verify the dump again."
        )


def check_data(archive: Archive) -> None:
    """Refuse a dump that lacks all rows of its database, which a prefix cannot have meant.

    :raises UnsupportedError: when the dump is such.
    """
    dump, manifest = archive.dump, archive.manifest
    if archive.toc.lacks_data or (manifest is not None and manifest.lost_all_rows):
        key = DumpKey.parse(dump.key)
        full = f"{key.instance}/{key.database}/{NO_CONFIG}"
        other = "the key of another" if key.config == NO_CONFIG else f"a prefix such as {full}"
        made = _listed(manifest) if manifest is not None else ""
        why = f", since it was made with {made}" if made else ""
        raise UnsupportedError(
            f"{dump.key} is the newest dump under the prefix, and it has no rows of any table{why}",
            hint=f"Give this whole key to restore it all the same, or {other}.",
        )


def log_left_out(archive: Archive) -> None:
    """Log what a dump may lack of its database."""
    manifest = archive.manifest
    if manifest is not None and manifest.left_out:
        log.info(
            "%s may not have all of database %r: it was made with %s",
            archive.dump.key,
            manifest.database,
            _listed(manifest),
        )


def check_signed(archive: Archive, signing_key: str) -> None:
    """Refuse a dump that was not signed with a key, or that was changed or moved since.

    :raises UnsupportedError: when the dump has no signature, or its data is SQL.
    :raises NotAllowedError: when the signature is another one.
    """
    key = archive.dump.key
    if not archive.is_signed:
        raise UnsupportedError(
            f"{key} is not signed, and only signed dumps are taken",
            hint="Dump with the signing key, or choose another dump.",
        )
    if not is_signed_by(archive.manifest_values, key, signing_key):
        raise NotAllowedError(
            f"the signature of {key} does not fit: another key signed it, or somebody changed it, "
            "or put it in the place of another dump",
            hint="Find out who writes to the storage before you restore it.",
        )
    with_data = (e for e in archive.toc.entries if e.has_data and e.description != "BLOBS")
    if not all(entry.copy_statement for entry in with_data):
        # It would run before the end of its block shows whether that was changed.
        raise UnsupportedError(
            f"{key} has its rows as SQL, which would run before its signature could be checked",
            hint="Dump without --inserts and similar arguments.",
        )


def _listed(manifest: Manifest) -> str:
    return " and ".join(manifest.left_out)


def is_dump_masked(storage: Storage, dump: Dump, cancellation: Cancellation) -> bool:
    """Tell whether a dump in storage is masked.

    A dump that cannot be restored counts as not masked, and is logged.

    :param cancellation: checked first, since a listing may read many dumps.
    :raises StorageError: when storage cannot be reached.
    """
    cancellation.check()
    if dump.finding == "damaged":
        log.warning("%s counts as not masked: it is damaged", dump.key)
        return False
    try:
        manifest = read_manifest_of(storage, dump)
        return manifest is not None and manifest.masks_columns
    except NotFoundError:  # deleted after it was listed
        return False
    except (ArchiveError, UnsupportedError) as error:
        log.warning("%s counts as not masked: %s", dump.key, error)
        return False
