"""What every storage backend does; ``tests/contracts/storage.py`` holds each of them to it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from airflow_provider_pgclone.core.cancellation import Cancellation


@dataclass(frozen=True)
class StoredObject:
    """A file below the storage location."""

    path: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Page:
    """One answer of a listing.

    :param prefixes: the common beginnings that a delimiter folds.
    :param is_cut: whether another page follows.
    """

    objects: Sequence[StoredObject]
    prefixes: Sequence[str] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class AbandonedUpload:
    """What is left of an object that was never completed.

    :param path: of the object, which does not exist by it.
    :param upload_id: what storage calls the upload.
    """

    path: str
    upload_id: str


class Upload(Protocol):
    """An object that is being written."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; waits while storage is slower than the writer.

        :raises StorageError: when storage has refused.
        """


class Storage(Protocol):
    """A folder of dumps.

    :ivar location: what the user named, for messages.
    """

    location: str

    def check_readable(self) -> None:
        """Make sure that the location exists and may be listed.

        :raises NotFoundError: when the bucket or folder does not exist.
        :raises StorageError: when it refuses or cannot be reached.
        """

    def check_writable(self) -> None:
        """Make sure, as far as can be told beforehand, that the location takes a dump.

        :raises NotFoundError: when the bucket does not exist.
        :raises StorageError: when it refuses or cannot be reached.
        """

    def open_write(
        self, path: str, *, expected_bytes: int, cancellation: Cancellation
    ) -> AbstractContextManager[Upload]:
        """Write an object that appears whole when the block ends, and never when it raises.

        :param expected_bytes: a guess of its size, by which parts are sized.
        :param cancellation: ends a wait for storage.
        """

    def read(self, path: str, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        """Yield the bytes of an object.

        :param cancellation: ends a wait for storage.
        :raises NotFoundError: when it does not exist.
        :raises StorageError: when it breaks off.
        """

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes of an object from ``start`` up to but not including ``end``.

        :raises NotFoundError: when it does not exist.
        :raises StorageError: when there are fewer.
        """

    def head(self, path: str) -> StoredObject:
        """Return the size and time of an object.

        :raises NotFoundError: when it does not exist.
        """

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield the objects whose path starts with ``prefix``, in order of their paths.

        A page is fetched when it is asked for; there is at least one, maybe empty. With a
        delimiter, paths that have it after the prefix come as one common beginning each, which
        ends with it.
        """

    def delete(self, path: str) -> None:
        """Remove an object; no error where it does not exist."""

    def delete_many(self, paths: Sequence[str]) -> None:
        """Remove objects by as few requests as storage allows; no error for those not there.

        :raises StorageError: when storage refuses any; others may be gone then.
        """

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """Yield what writers that were killed have left of objects under a prefix.

        :param before: one that was begun, or of which anything was written, since then is not
            abandoned.
        """

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """Remove what was left of an object; no error where it is gone."""
