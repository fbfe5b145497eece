"""Finds and deletes dumps that no rule keeps, records without a dump, and abandoned uploads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.repository.dumps import Dump, dumps_among
from airflow_provider_pgclone.core.repository.findings import dump_of_record, record_paths
from airflow_provider_pgclone.core.repository.keys import DumpKey, KeyPrefix, may_be_shared
from airflow_provider_pgclone.core.repository.origins import by_origin
from airflow_provider_pgclone.core.repository.retention import Retention, by_series, expired
from airflow_provider_pgclone.core.storage import PAGE_OBJECTS, AbandonedUpload, Storage, pages
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)


@dataclass(frozen=True)
class Cleanup:
    """The files under a prefix that may be deleted, and the dumps that stay.

    :param deleted: the keys of the dumps that no rule keeps, the oldest first.
    :param kept: the keys of the other dumps, the newest first.
    :param orphans: the paths of records without a dump.
    :param uploads: the uploads that killed dumps left, by path.
    """

    deleted: list[str]
    kept: list[str]
    orphans: list[str]
    uploads: list[AbandonedUpload]

    @property
    def count(self) -> int:
        """The number of dumps under the prefix."""
        return len(self.deleted) + len(self.kept)


def find_expired(
    storage: Storage,
    prefix: KeyPrefix,
    rules: Retention,
    *,
    now: datetime,
    uploads_before: datetime,
    cancellation: Cancellation,
) -> Cleanup:
    """Return the files under a prefix that may be deleted, and the dumps that stay.

    :param uploads_before: an upload that received data after this time is not abandoned.
    """
    objects = [
        stored
        for page in storage.list(str(prefix))
        for stored in page.objects
        if _is_ours(stored.path)
    ]
    dumps = dumps_among(objects)
    deleted = _expired_keys(storage, dumps, rules, now, cancellation)
    going, all_keys = set(deleted), {dump.key for dump in dumps}
    orphans = [
        stored.path
        for stored in objects
        if (of := dump_of_record(stored.path)) and of[0] not in all_keys
    ]
    uploads = [
        upload
        for upload in storage.abandoned_uploads(str(prefix), before=uploads_before)
        if _is_ours(upload.path)
    ]
    uploads.sort(key=lambda upload: upload.path)
    return Cleanup(deleted, [dump.key for dump in dumps if dump.key not in going], orphans, uploads)


def delete_dumps(storage: Storage, keys: Iterable[str], cancellation: Cancellation) -> None:
    """Delete dumps, then their records.

    In the reverse order, a crash could leave a damaged dump without the record that says so. In
    this order it leaves records without a dump, which are not listed, and which the next call of
    ``find_expired`` finds.
    """
    for some, _ in pages(iter(keys), PAGE_OBJECTS):
        cancellation.check()
        storage.delete_many(some)
        storage.delete_many([path for key in some for path in record_paths(key)])
        for key in some:
            log.info("deleted %s", key)


def delete_orphans(storage: Storage, paths: list[str]) -> None:
    """Delete records without a dump."""
    storage.delete_many(paths)
    for path in paths:
        log.info("deleted %s, whose dump is gone", path)


def remove_uploads(
    storage: Storage, uploads: Iterable[AbandonedUpload], cancellation: Cancellation
) -> None:
    """Remove abandoned uploads."""
    for upload in uploads:
        cancellation.check()
        storage.remove_upload(upload)
        log.info("removed the upload of %s, which was never completed", upload.path)


def log_preview(found: Cleanup) -> None:
    """Log what would be deleted."""
    for key in found.deleted:
        log.info("would delete %s", key)
    for path in found.orphans:
        log.info("would delete %s, whose dump is gone", path)
    for upload in found.uploads:
        log.info("would remove the upload of %s, which was never completed", upload.path)


def _expired_keys(
    storage: Storage,
    dumps: Sequence[Dump],
    rules: Retention,
    now: datetime,
    cancellation: Cancellation,
) -> list[str]:
    """Return the keys of the dumps that no rule keeps, the oldest first.

    Where a series may be of several databases or instances, the rules hold for each. That keeps the
    same dumps and more, so manifests are read only of such series of which something would be
    deleted.
    """
    going = expired(dumps, rules, now)
    all_series, keys = by_series(dumps), set[str]()
    for name, found in by_series(going).items():
        key = DumpKey.parse(found[0].key)
        if may_be_shared(key.instance) or may_be_shared(key.database):
            origins = by_origin(storage, all_series[name], cancellation)
            found = [dump for series in origins for dump in expired(series, rules, now)]
        keys |= {dump.key for dump in found}
    return [dump.key for dump in going if dump.key in keys]


def _is_ours(path: str) -> bool:
    """Tell whether a path is the path of a dump or of its record."""
    of = dump_of_record(path)
    try:
        DumpKey.parse(of[0] if of else path)
    except InvalidInputError:
        return False
    return True
