"""The contract of all storage backends; ``tests/contracts/storage.py`` tests each backend by it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from airflow_provider_pgclone.core.cancellation import Cancellation


@dataclass(frozen=True)
class StoredObject:
    """A file in storage.

    :param path: relative to the storage location.
    """

    path: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Page:
    """One page of a listing.

    :param prefixes: the beginnings that stand for the paths folded by a delimiter.
    :param is_cut: whether another page follows.
    """

    objects: Sequence[StoredObject]
    prefixes: Sequence[str] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class AbandonedUpload:
    """The leftovers of an object that was never completed.

    :param path: the path that the object would have; there may be no object.
    :param upload_id: the name of the upload in storage.
    """

    path: str
    upload_id: str


class Upload(Protocol):
    """An object that is being written."""

    def write(self, chunk: bytes) -> None:
        """Write the next bytes; waits while storage is slower than the writer.

        :raises StorageError: when storage refused the upload.
        """


class Storage(Protocol):
    """A location that keeps files.

    :ivar location: the location as the user named it, for messages.
    """

    location: str

    def check_readable(self) -> None:
        """Check that the location exists and can be listed.

        :raises NotFoundError: when the bucket or folder does not exist.
        :raises StorageError: when storage refuses the request or cannot be reached.
        """

    def check_writable(self) -> None:
        """Check that the location can be written to, as far as that is possible without writing.

        :raises NotFoundError: when the bucket does not exist.
        :raises StorageError: when storage refuses the request or cannot be reached.
        """

    def open_write(
        self, path: str, *, expected_bytes: int, cancellation: Cancellation
    ) -> AbstractContextManager[Upload]:
        """Write an object. It appears when the block ends, and never appears if the block raises.

        :param expected_bytes: an estimate of its size, which determines the size of its parts.
        :param cancellation: ends a wait for storage.
        """

    def read(self, path: str, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        """Yield the bytes of an object.

        :param cancellation: ends a wait for storage.
        :raises NotFoundError: when the object does not exist.
        :raises StorageError: when the connection to storage breaks.
        """

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from ``start`` up to but not including ``end``.

        :raises NotFoundError: when the object does not exist.
        :raises StorageError: when the object has fewer bytes.
        """

    def head(self, path: str) -> StoredObject:
        """Return the size and the time of an object.

        :raises NotFoundError: when the object does not exist.
        """

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield the objects whose path starts with ``prefix``, in the order of their paths.

        Pages are fetched one by one, as they are consumed. There is at least one page; it may be
        empty.

        :param delimiter: folds paths that contain it after the prefix. All paths that are equal up
            to the delimiter become one entry in ``prefixes``, which ends with the delimiter.
        """

    def delete(self, path: str) -> None:
        """Remove an object; it is not an error if the object does not exist."""

    def delete_many(self, paths: Sequence[str]) -> None:
        """Remove objects in as few requests as possible; it is not an error if some do not exist.

        :raises StorageError: when storage refuses to remove one; others may be removed then.
        """

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """Yield the uploads under a prefix that were left by killed writers.

        :param before: an upload that started or received data after this time is not abandoned.
        """

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """Remove an abandoned upload; it is not an error if it does not exist."""
