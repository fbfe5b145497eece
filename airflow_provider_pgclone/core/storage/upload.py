"""Turn writes into the iterator that obstore uploads from, in a thread of its own.

obstore aborts an upload whose iterator raises and passes the exception on; the end of the iterator
completes it. So the iterator ends only on a commit.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUEUED_CHUNKS = 8


class _AbortError(Exception):
    """Makes the upload abort; the error that caused it is raised by the block."""


class QueuedUpload:
    """An upload that a thread feeds from a bounded queue."""

    def __init__(self, put: Callable[[Iterator[bytes]], object]) -> None:
        self._put = put
        self._queue: queue.Queue[bytes | None | _AbortError] = queue.Queue(maxsize=QUEUED_CHUNKS)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        """Hand over the next bytes; waits while the queue is full."""
        if self._failure is not None:
            raise self._failure
        self._queue.put(chunk)

    def commit(self) -> None:
        """Complete the object.

        :raises StorageError: when storage refused; then there is no object.
        """
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        """Leave no object behind."""
        self._queue.put(_AbortError())
        self._thread.join()

    def _run(self) -> None:
        try:
            self._put(self._chunks())
        except _AbortError:
            return
        except BaseException as error:  # noqa: BLE001  # the writer raises it
            self._failure = error
            # A writer may wait for room: let its queue run empty until it sees the failure.
            while not isinstance(self._queue.get(), _AbortError | None):
                pass

    def _chunks(self) -> Iterator[bytes]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, _AbortError):
                raise item
            yield item


@contextmanager
def queued_upload(put: Callable[[Iterator[bytes]], object]) -> Iterator[QueuedUpload]:
    """Run ``put`` on what the block writes: a clean end commits, an exception aborts.

    :param put: uploads an iterator of bytes; raises our errors.
    """
    upload = QueuedUpload(put)
    upload.start()
    try:
        yield upload
    except BaseException:
        upload.abort()
        raise
    upload.commit()
