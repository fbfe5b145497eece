"""Whether a dump is masked, which who wants no other asks of its account."""

import logging

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.listing import Dump
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.stored_archive import Archive, read_trailer
from airflow_provider_pgclone.core.trailer import Trailer

log = logging.getLogger(__name__)


def is_masked(account: Trailer | None) -> bool:
    """Whether any column of a dump is masked; an archive without an account is not."""
    masking = {} if account is None else account.facts.get("masking") or {}
    return bool(masking.get("columns"))


def check_masked(archive: Archive) -> None:
    """Refuse a dump of which no column is masked.

    :raises UnsupportedError: also when nothing tells whether it is.
    """
    key = archive.dump.key
    if archive.trailer is None:
        raise UnsupportedError(
            f"{key} was not made by this package, so that nothing tells whether it is masked",
            hint="Dump with this package and masks, or restore with require_masked=False.",
        )
    if not is_masked(archive.trailer):
        raise UnsupportedError(
            f"{key} is not masked, and only masked dumps may be restored",
            hint="Dump with masks, or name one of those that ls lists with masked=True.",
        )


def is_dump_masked(storage: Storage, dump: Dump, cancellation: Cancellation) -> bool:
    """Whether a dump in storage is masked; one that no restore would take is not, and is logged.

    :param cancellation: checked first, since many dumps may be asked for.
    :raises StorageError: when storage cannot be reached.
    """
    cancellation.check()
    if dump.finding == "damaged":
        log.warning("%s counts as not masked: it was found to be damaged", dump.key)
        return False
    try:
        return is_masked(read_trailer(storage, dump))
    except NotFoundError:  # deleted since it was listed
        return False
    except (ArchiveError, UnsupportedError) as error:
        log.warning("%s counts as not masked: %s", dump.key, error)
        return False
