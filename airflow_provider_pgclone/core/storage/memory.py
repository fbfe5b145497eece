"""Storage in memory: passes the same contract as the real ones, for tests that need no server."""

from collections.abc import Iterator
from datetime import datetime

from obstore.store import MemoryStore

from airflow_provider_pgclone.core.storage.contract import AbandonedUpload, Page, StoredObject
from airflow_provider_pgclone.core.storage.objects import ObjectStorage
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, fold, pages


class MemoryStorage(ObjectStorage):
    """Objects of this process."""

    def __init__(self) -> None:
        self._memory = MemoryStore()
        super().__init__("memory", lambda: self._memory)

    def check_readable(self) -> None:
        """It is always there."""

    def check_writable(self) -> None:
        """There is always room."""

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """There are none: nothing outlives the process."""
        yield from ()

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """There is nothing to remove."""

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield pages of objects."""
        found = {
            meta["path"]: StoredObject(meta["path"], meta["size"], meta["last_modified"])
            for batch in self._memory.list()
            for meta in batch
            if meta["path"].startswith(prefix)
        }
        for page, is_cut in pages(fold(sorted(found), prefix, delimiter), PAGE_OBJECTS):
            yield Page(
                [found[path] for path, folded in page if not folded],
                [path for path, folded in page if folded],
                is_cut,
            )
