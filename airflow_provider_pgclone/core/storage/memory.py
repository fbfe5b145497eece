"""Storage in memory, for tests that need no server. It meets the same contract as the others."""

from collections.abc import Iterator
from datetime import datetime

from obstore.store import MemoryStore

from airflow_provider_pgclone.core.storage.contract import AbandonedUpload, Page, StoredObject
from airflow_provider_pgclone.core.storage.objects import ObjectStorage
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, fold, pages


class MemoryStorage(ObjectStorage):
    """Keeps objects in the memory of this process."""

    def __init__(self) -> None:
        self._memory = MemoryStore()
        super().__init__("memory", lambda: self._memory)

    def check_readable(self) -> None:
        """Do nothing: memory is always readable."""

    def check_writable(self) -> None:
        """Do nothing: memory is always writable."""

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """Yield nothing: uploads do not outlive the process."""
        yield from ()

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """Do nothing: there are no abandoned uploads."""

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
