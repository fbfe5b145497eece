"""Delete the dumps that no rule keeps, and what killed dumps, restores and copies have left."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.dump_key import DumpKey, KeyPrefix
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.leftovers import remove_all_leftovers
from airflow_provider_pgclone.core.listing import dumps_among
from airflow_provider_pgclone.core.records import dump_of_record, record_paths
from airflow_provider_pgclone.core.retention import Retention, superfluous
from airflow_provider_pgclone.core.storage import AbandonedUpload, Storage
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, pages

log = logging.getLogger(__name__)

ALL = "*"


@dataclass(frozen=True)
class PruneOptions:
    """What to delete.

    :param retention: which dumps stay.
    :param uploads_older_than_hours: for how long nothing has come of an upload that is abandoned.
    :param temp_older_than_hours: for how long a database has waited for its swap that is given up.
    :param preview: whether to touch nothing, and only tell.
    """

    retention: Retention
    uploads_older_than_hours: float = 24
    temp_older_than_hours: float = 168
    preview: bool = False


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be, and what stays.

    :param deleted: the keys of dumps, the oldest first.
    :param kept: the keys of the other dumps under the prefix, the newest first.
    :param aborted_uploads: the keys of dumps that were never completed.
    :param dropped_databases: the names of temporary databases.
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
    :param maintenance: a database of the server whose temporary databases go; ``None`` for none.
    :raises InvalidInputError: without a prefix or a rule, before anything is touched.
    :raises StorageError: when storage refuses.
    """
    options.retention.check()
    prefix = _prefix(prefix_text)
    storage.check_readable()
    now = datetime.now(UTC)
    found = _look(storage, prefix, options, now)
    log.info("%d dumps under %r, %d of which stay", found.count, prefix_text, len(found.kept))
    if options.preview:
        _tell(found)
    else:
        _delete_dumps(storage, found.deleted, cancellation)
        _delete_orphans(storage, found.orphans)
        _remove_uploads(storage, found.uploads, cancellation)
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


@dataclass(frozen=True)
class _Found:
    """What a look at storage shows.

    :param orphans: the paths of records whose dumps are gone.
    """

    deleted: list[str]
    kept: list[str]
    orphans: list[str]
    uploads: list[AbandonedUpload]

    @property
    def count(self) -> int:
        return len(self.deleted) + len(self.kept)


def _prefix(text: str) -> KeyPrefix:
    """Read a prefix; that of all dumps is nothing that a template renders of empty values."""
    if text == ALL:
        return KeyPrefix(())
    prefix = KeyPrefix.parse(text)
    if not prefix.folders:
        raise InvalidInputError(
            f"{text!r} does not say which dumps may be deleted",
            hint=f"Give a prefix such as <instance>/<database>; {ALL!r} means all dumps.",
        )
    return prefix


def _look(storage: Storage, prefix: KeyPrefix, options: PruneOptions, now: datetime) -> _Found:
    objects = [
        stored
        for page in storage.list(str(prefix))
        for stored in page.objects
        if _is_ours(stored.path)
    ]
    dumps = dumps_among(objects)
    deleted = [dump.key for dump in superfluous(dumps, options.retention, now)]
    going, all_keys = set(deleted), {dump.key for dump in dumps}
    orphans = [
        stored.path
        for stored in objects
        if (of := dump_of_record(stored.path)) and of[0] not in all_keys
    ]
    before = now - timedelta(hours=options.uploads_older_than_hours)
    uploads = [
        upload
        for upload in storage.abandoned_uploads(str(prefix), before=before)
        if _is_ours(upload.path)
    ]
    uploads.sort(key=lambda upload: upload.path)
    return _Found(deleted, [dump.key for dump in dumps if dump.key not in going], orphans, uploads)


def _delete_dumps(storage: Storage, keys: Iterable[str], cancellation: Cancellation) -> None:
    """Delete dumps, then their records.

    The other way round a crash would leave a damaged dump that nothing tells from a good one. What
    it leaves so is records of no dump, which nobody sees and the next time deletes.
    """
    for some, _ in pages(iter(keys), PAGE_OBJECTS):
        cancellation.check()
        storage.delete_many(some)
        storage.delete_many([path for key in some for path in record_paths(key)])
        for key in some:
            log.info("deleted %s", key)


def _delete_orphans(storage: Storage, paths: list[str]) -> None:
    storage.delete_many(paths)
    for path in paths:
        log.info("deleted %s, whose dump is gone", path)


def _remove_uploads(
    storage: Storage, uploads: Iterable[AbandonedUpload], cancellation: Cancellation
) -> None:
    for upload in uploads:
        cancellation.check()
        storage.remove_upload(upload)
        log.info("removed the upload of %s, which was never completed", upload.path)


def _tell(found: _Found) -> None:
    for key in found.deleted:
        log.info("would delete %s", key)
    for path in found.orphans:
        log.info("would delete %s, whose dump is gone", path)
    for upload in found.uploads:
        log.info("would remove the upload of %s, which was never completed", upload.path)


def _is_ours(path: str) -> bool:
    """Return whether a path is that of a dump or of a record of one."""
    of = dump_of_record(path)
    try:
        DumpKey.parse(of[0] if of else path)
    except InvalidInputError:
        return False
    return True
