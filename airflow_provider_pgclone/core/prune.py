"""Delete dumps that no rule keeps, and leftovers of killed dumps, restores and copies."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.replacing import remove_all_leftovers
from airflow_provider_pgclone.core.repository import (
    KeyPrefix,
    Retention,
    delete_dumps,
    delete_orphans,
    find_expired,
    log_preview,
    remove_uploads,
)
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

ALL = "*"


@dataclass(frozen=True)
class PruneOptions:
    """What to delete.

    :param retention: the rules that keep dumps.
    :param uploads_older_than_hours: unfinished uploads that received no data for this many hours
        are removed.
    :param temp_older_than_hours: restored databases that have waited longer than this for their
        swap are dropped.
    :param preview: whether only to return and log what would be deleted.
    """

    retention: Retention
    uploads_older_than_hours: float = 24
    temp_older_than_hours: float = 168
    preview: bool = False


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be deleted, and which dumps stay.

    :param deleted: the keys of deleted dumps, the oldest first.
    :param kept: the keys of the other dumps under the prefix, the newest first.
    :param aborted_uploads: the keys of dumps that were never completed.
    :param dropped_databases: the names of dropped temporary databases.
    """

    deleted: tuple[str, ...]
    kept: tuple[str, ...]
    aborted_uploads: tuple[str, ...]
    dropped_databases: tuple[str, ...]


def prune(
    storage: Storage,
    prefix_text: str,
    maintenance: Database | None,
    options: PruneOptions,
    *,
    cancellation: Cancellation,
) -> Pruned:
    """Delete what nobody needs any more; running it again deletes nothing more.

    :param prefix_text: whole leading parts of keys; ``*`` means all dumps.
    :param maintenance: a database of the server whose temporary databases are pruned; ``None``
        prunes no databases.
    :raises InvalidInputError: when the prefix or every rule is missing; nothing is deleted then.
    :raises StorageError: when storage refuses a request.
    """
    options.retention.check()
    prefix = _prefix(prefix_text)
    storage.check_readable()
    now = datetime.now(UTC)
    found = find_expired(
        storage,
        prefix,
        options.retention,
        now=now,
        uploads_before=now - timedelta(hours=options.uploads_older_than_hours),
        cancellation=cancellation,
    )
    if not found.count:
        log.warning("there is no dump under %r in %s to prune", prefix_text, storage.location)
    log.info("of %d dumps under %r, %d are kept", found.count, prefix_text, len(found.kept))
    if options.preview:
        log_preview(found)
    else:
        delete_dumps(storage, found.deleted, cancellation)
        delete_orphans(storage, found.orphans)
        remove_uploads(storage, found.uploads, cancellation)
    dropped: list[str] = []
    if maintenance is not None:
        dropped = remove_all_leftovers(
            maintenance,
            given_up_before=now - timedelta(hours=options.temp_older_than_hours),
            preview=options.preview,
            cancellation=cancellation,
        )
    uploads = tuple(upload.path for upload in found.uploads)
    return Pruned(tuple(found.deleted), tuple(found.kept), uploads, tuple(dropped))


def _prefix(text: str) -> KeyPrefix:
    """Read a prefix.

    All dumps are ``*`` rather than an empty prefix, which a template could render by mistake.
    """
    if text == ALL:
        return KeyPrefix(())
    prefix = KeyPrefix.parse(text)
    if not prefix.folders:
        raise InvalidInputError(
            f"{text!r} does not say which dumps may be deleted",
            hint=f"Give a prefix, such as <instance>/<database>, or {ALL!r} for all dumps.",
        )
    return prefix
