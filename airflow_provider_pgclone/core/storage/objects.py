"""Reads and writes objects through obstore, as all backends do."""

import functools
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError, StorageError
from airflow_provider_pgclone.core.storage.contract import StoredObject, Upload
from airflow_provider_pgclone.core.storage.upload import POLL_SECONDS, queued_upload

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ObjectStore

MIB = 1024 * 1024
# S3 accepts no smaller part but the last. At the end of a dump, a smaller one leaves less to send.
MIN_PART_BYTES = 5 * MIB
# S3 accepts 10,000 parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
# A third of them is reserved for objects that are larger than expected.
PLANNED_PARTS = 6_600
PARALLEL_PARTS = 4
RANGE_BYTES = 8 * MIB
RANGES_AHEAD = 3
_XML = re.compile(r"(<\?xml.*?\?>\s*)?<Error>.*", re.DOTALL)


class ObjectStorage:
    """The part of the storage contract that is the same for every store of obstore.

    :param location: the location as the user named it.
    :param open_store: returns the store; called when the first object is read or written.
    """

    def __init__(self, location: str, open_store: "Callable[[], ObjectStore]") -> None:
        self.location = location
        self._open_store = open_store

    @functools.cached_property
    def _store(self) -> "ObjectStore":
        return self._open_store()

    def open_write(
        self, path: str, *, expected_bytes: int, cancellation: Cancellation
    ) -> AbstractContextManager[Upload]:
        """Write an object, which appears whole or not at all."""
        part_bytes = max(MIN_PART_BYTES, -(-expected_bytes // PLANNED_PARTS // MIB) * MIB)

        def put(chunks: Iterator[bytes]) -> None:
            self._put(path, chunks, part_bytes)

        return queued_upload(put, lambda: self.delete(path), cancellation)

    def read(self, path: str, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        """Yield the bytes of an object. A few ranges are read ahead.

        The ranges are read in threads, so that the calling thread can receive signals.
        """
        with self._errors(path):
            meta = obstore.head(self._store, path)

        def fetch(start: int) -> bytes:
            # With the e_tag, storage refuses if the object was replaced after its size was read.
            end = min(start + RANGE_BYTES, meta["size"])
            return self._fetch(path, start, end, meta["e_tag"])

        pool = ThreadPoolExecutor(RANGES_AHEAD, thread_name_prefix="read")
        try:
            starts = iter(range(0, meta["size"], RANGE_BYTES))
            ahead = deque(pool.submit(fetch, at) for at in itertools.islice(starts, RANGES_AHEAD))
            while ahead:
                yield _result(ahead.popleft(), cancellation)
                ahead.extend(pool.submit(fetch, at) for at in itertools.islice(starts, 1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return a range of an object."""
        return self._fetch(path, start, end, None)

    def head(self, path: str) -> StoredObject:
        """Return the size and time of an object."""
        with self._errors(path):
            meta = obstore.head(self._store, path)
        return StoredObject(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, path: str) -> None:
        """Remove an object; it is not an error if the object does not exist."""
        try:
            with self._errors(path):
                obstore.delete(self._store, path)
        except NotFoundError:
            pass

    def delete_many(self, paths: Sequence[str]) -> None:
        """Remove objects one by one."""
        for path in paths:
            self.delete(path)

    def not_found(self, path: str) -> NotFoundError:
        """Return the error for an object that does not exist."""
        return NotFoundError(f"{path!r} does not exist in {self.location}")

    def _put(self, path: str, chunks: Iterator[bytes], part_bytes: int) -> None:
        start = bytearray()
        for chunk in chunks:
            start += chunk
            if goes_in_parts(len(start)):
                break
        else:  # one request, which leaves no parts behind if it fails
            with self._errors(path):
                obstore.put(self._store, path, bytes(start), use_multipart=False)
            return
        with self._errors(path):
            obstore.put(
                self._store,
                path,
                itertools.chain([bytes(start)], chunks),
                chunk_size=part_bytes,
                max_concurrency=PARALLEL_PARTS,
            )

    def _fetch(self, path: str, start: int, end: int, e_tag: str | None) -> bytes:
        options: GetOptions = {"range": (start, end)}
        if e_tag is not None:
            options["if_match"] = e_tag
        with self._errors(path):
            data = obstore.get(self._store, path, options=options).bytes()
        if len(data) != end - start:
            raise StorageError(f"{path!r} in {self.location} ended after {start + len(data)} bytes")
        return bytes(data)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Name the object in errors of storage; errors of the writer pass unchanged."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.not_found(path) from error
        except (BaseError, OSError) as error:
            raise StorageError(f"{path!r} in {self.location}: {_reason(error)}") from error


def goes_in_parts(size_bytes: int) -> bool:
    """Tell whether an object of this size is written in several requests."""
    return size_bytes > MIN_PART_BYTES


def _result(read: Future[bytes], cancellation: Cancellation | None) -> bytes:
    while cancellation is not None and not wait([read], timeout=POLL_SECONDS).done:
        cancellation.check()
    return read.result()


def _reason(error: Exception) -> str:
    """Return an error of storage in one line, with the code and message instead of the XML."""
    # obstore adds a page of debug output after an empty line.
    text = str(error).partition("\n\nDebug source")[0]
    parts = (re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("Code", "Message"))
    code_and_message = ": ".join(part[1] for part in parts if part)
    return " ".join(_XML.sub(lambda _: code_and_message, text).split())
