"""Turn writes into the iterator that obstore uploads from, in a thread of its own.

obstore aborts an upload whose iterator raises and passes the exception on; the end of the iterator
completes it. So the iterator ends only on a commit.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import PgCloneError

log = logging.getLogger(__name__)

QUEUED_CHUNKS = 8
# How soon a waiting writer sees that storage has failed or that it is to stop.
POLL_SECONDS = 0.2
# Airflow kills a task that was told to stop after 5 s, in which the rest has to be ended as well.
ABORT_SECONDS = 2.0
CLEAN_UP_SECONDS = 1.5


class _AbortError(Exception):
    """Makes the upload abort; the error that caused it is raised by the block."""


class QueuedUpload:
    """An upload that a thread feeds from a bounded queue."""

    def __init__(
        self,
        put: Callable[[Iterator[bytes]], object],
        undo: Callable[[], None],
        cancellation: Cancellation,
    ) -> None:
        self._put = put
        self._undo = undo
        self._cancellation = cancellation
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=QUEUED_CHUNKS)
        self._aborted = threading.Event()
        self._lock = threading.Lock()
        self._completed = False
        self._left = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        """Hand over the next bytes; waits while the queue is full."""
        self._hand_over(chunk)

    def commit(self) -> None:
        """Complete the object.

        :raises StorageError: when storage refused; then there is no object.
        """
        self._hand_over(None)
        while self._thread.is_alive():
            self._thread.join(POLL_SECONDS)
            self._cancellation.check()
        self._raise_failure()

    def abort(self) -> None:
        """Leave no object behind; where storage hangs, its parts are left for a clean-up."""
        self._aborted.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes a thread that waits for more
        self._thread.join(ABORT_SECONDS)
        with self._lock:
            self._left = True
            completed = self._completed
        in_time = not self._thread.is_alive()
        if completed:
            in_time = run_for(CLEAN_UP_SECONDS, self._take_back)
        if not in_time:
            log.warning("storage does not answer: what was written may be left there")

    def _hand_over(self, item: bytes | None) -> None:
        while True:
            self._cancellation.check()
            self._raise_failure()
            try:
                return self._queue.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._put(self._chunks())
        except _AbortError:
            return
        except BaseException as error:  # noqa: BLE001  # the writer raises it
            self._failure = error
            return
        with self._lock:
            self._completed = True
            nobody_waits = self._left
        if nobody_waits:  # the last answer came after the abort
            self._take_back()

    def _take_back(self) -> None:
        try:
            self._undo()
        except PgCloneError as error:
            log.warning("an object is there whose writing was given up: %s", error)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            item = self._queue.get()
            if self._aborted.is_set():
                raise _AbortError
            if item is None:
                return
            yield item


@contextlib.contextmanager
def queued_upload(
    put: Callable[[Iterator[bytes]], object],
    undo: Callable[[], None],
    cancellation: Cancellation,
) -> Iterator[QueuedUpload]:
    """Run ``put`` on what the block writes: a clean end commits, an exception aborts.

    :param put: uploads an iterator of bytes; raises our errors.
    :param undo: removes the object that a cancel came too late to abort.
    :param cancellation: ends a wait for storage.
    """
    upload = QueuedUpload(put, undo, cancellation)
    upload.start()
    try:
        yield upload
        upload.commit()
    except BaseException:
        upload.abort()
        raise


def run_for(seconds: float, call: Callable[[], object]) -> bool:
    """Call in a thread that may be left behind, and return whether it has ended in time."""
    thread = threading.Thread(target=call, name="clean-up", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
