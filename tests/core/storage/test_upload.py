"""Uploads whose storage fails, hangs or is too fast, which no real one does when it is asked to."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import CancelledError, StorageError
from airflow_provider_pgclone.core.storage import upload
from airflow_provider_pgclone.core.storage.upload import QUEUED_CHUNKS, queued_upload


def never() -> None:
    raise AssertionError("undone")


def upload_all(
    put: Callable[[Iterator[bytes]], None],
    chunks: Iterable[bytes],
    cancellation: Cancellation,
    undo: Callable[[], None] = never,
) -> None:
    with queued_upload(put, undo, cancellation) as upload:
        for chunk in chunks:
            upload.write(chunk)


def test_storage_that_fails_after_the_last_byte_is_an_error_and_no_hang() -> None:
    def put(chunks: Iterator[bytes]) -> None:
        raise StorageError(f"cannot complete {b''.join(chunks)!r}")

    with pytest.raises(StorageError, match="cannot complete b'12'"):
        upload_all(put, [b"1", b"2"], Cancellation())


def test_storage_that_fails_at_once_frees_a_writer_that_waits() -> None:
    def put(chunks: Iterator[bytes]) -> None:
        raise StorageError("refused")

    with pytest.raises(StorageError, match="refused"):
        upload_all(put, itertools.repeat(b"x"), Cancellation())


def test_a_cancel_frees_a_writer_whose_storage_takes_nothing() -> None:
    cancellation = Cancellation()
    is_full = threading.Event()

    def put(chunks: Iterator[bytes]) -> None:
        is_full.wait()
        cancellation.cancel()
        list(chunks)

    def chunks() -> Iterator[bytes]:
        yield from itertools.repeat(b"x", QUEUED_CHUNKS)
        is_full.set()
        yield from itertools.repeat(b"x")

    with pytest.raises(CancelledError):
        upload_all(put, chunks(), cancellation)


class LateCancellation(Cancellation):
    """Cancelled when storage has all bytes and is about to complete the object."""

    def __init__(self) -> None:
        super().__init__()
        self.has_all_bytes = threading.Event()
        self.may_complete = threading.Event()

    def check(self) -> None:
        if self.has_all_bytes.is_set():
            self.cancel()
            self.may_complete.set()
        super().check()


def test_an_object_that_a_cancel_came_too_late_to_abort_is_undone() -> None:
    cancellation = LateCancellation()
    undone: list[bool] = []

    def put(chunks: Iterator[bytes]) -> None:
        list(chunks)
        cancellation.has_all_bytes.set()
        cancellation.may_complete.wait()

    with pytest.raises(CancelledError):
        upload_all(put, [b"x"], cancellation, undo=lambda: undone.append(True))
    assert undone == [True]


def test_an_object_that_is_completed_when_nobody_waits_any_more_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload, "ABORT_SECONDS", 0.0)
    cancellation = LateCancellation()
    answered, undone = threading.Event(), threading.Event()

    def put(chunks: Iterator[bytes]) -> None:
        list(chunks)
        cancellation.has_all_bytes.set()
        answered.wait()

    with pytest.raises(CancelledError):
        upload_all(put, [b"x"], cancellation, undo=undone.set)
    assert not undone.is_set()
    answered.set()
    assert undone.wait(10)
