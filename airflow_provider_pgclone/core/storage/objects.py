"""Reading and writing objects through obstore, which all backends share."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from airflow_provider_pgclone.core.errors import NotFoundError, StorageError
from airflow_provider_pgclone.core.storage.contract import StoredObject, Upload
from airflow_provider_pgclone.core.storage.upload import queued_upload

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MIB = 1024 * 1024
MIN_PART_BYTES = 8 * MIB
# S3 takes 10,000 parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
# A third is left for a guess that was too low.
PLANNED_PARTS = 6_600
PARALLEL_PARTS = 4
READ_BYTES = 4 * MIB


class ObjectStorage:
    """The part of the storage contract that is the same for every store of obstore.

    :param location: what the user named.
    :param open_store: called when the first object is read or written.
    """

    def __init__(self, location: str, open_store: "Callable[[], ObjectStore]") -> None:
        self.location = location
        self._open_store = open_store

    @functools.cached_property
    def _store(self) -> "ObjectStore":
        return self._open_store()

    def open_write(self, path: str, *, expected_bytes: int) -> AbstractContextManager[Upload]:
        """Write an object that appears whole or not at all."""
        part_bytes = max(MIN_PART_BYTES, -(-expected_bytes // PLANNED_PARTS // MIB) * MIB)

        def put(chunks: Iterator[bytes]) -> None:
            with self._errors(path):
                obstore.put(
                    self._store,
                    path,
                    chunks,
                    chunk_size=part_bytes,
                    max_concurrency=PARALLEL_PARTS,
                )

        return queued_upload(put)

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of an object; they are as many as storage said, or it raises."""
        with self._errors(path):
            result = obstore.get(self._store, path)
            expected, received = result.meta["size"], 0
            for chunk in result.stream(min_chunk_size=READ_BYTES):
                received += len(chunk)
                yield bytes(chunk)
        if received != expected:
            raise StorageError(f"{path!r} ended after {received} of its {expected} bytes")

    def head(self, path: str) -> StoredObject:
        """Return the size and time of an object."""
        with self._errors(path):
            meta = obstore.head(self._store, path)
        return StoredObject(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, path: str) -> None:
        """Remove an object; no error where it does not exist."""
        try:
            with self._errors(path):
                obstore.delete(self._store, path)
        except NotFoundError:
            pass

    def not_found(self, path: str) -> NotFoundError:
        """Return the error for an object that does not exist."""
        return NotFoundError(f"{path!r} does not exist in {self.location}")

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Name the object in storage's errors; those of the code that feeds it pass unchanged."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.not_found(path) from error
        except (BaseError, OSError) as error:
            # obstore adds a page of debug output after an empty line.
            reason = str(error).partition("\n\nDebug source")[0].strip()
            raise StorageError(f"{path!r} in {self.location}: {reason}") from error
