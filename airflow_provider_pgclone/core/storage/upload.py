"""Turns writes into an iterator, from which obstore uploads in another thread.

obstore completes an upload when its iterator ends. If the iterator raises, obstore aborts the
upload and raises the same exception. So the iterator ends only on a commit.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

QUEUED_CHUNKS = 8
# A waiting writer notices a failure of storage or a cancel within this time.
POLL_SECONDS = 0.2
# Airflow kills a task 5 s after it told it to stop. All else must end within that time, too.
ABORT_SECONDS = 2.0
CLEAN_UP_SECONDS = 1.5


class _AbortError(Exception):
    """Makes obstore abort the upload. The block raises the error that caused the abort."""


class QueuedUpload:
    """An upload in a thread, which reads chunks from a bounded queue."""

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
        """Write the next bytes; waits while the queue is full."""
        self._hand_over(chunk)

    def commit(self) -> None:
        """Complete the object.

        :raises StorageError: when storage refused the upload; the object does not exist then.
        """
        self._hand_over(None)
        while self._thread.is_alive():
            self._thread.join(POLL_SECONDS)
            self._cancellation.check()
        self._raise_failure()

    def abort(self) -> None:
        """Leave no object behind; if storage hangs, the parts are left for a later clean-up."""
        self._aborted.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes a thread that waits for the next chunk
        self._thread.join(ABORT_SECONDS)
        with self._lock:
            self._left = True
            completed = self._completed
        in_time = not self._thread.is_alive()
        if completed:
            in_time = run_for(CLEAN_UP_SECONDS, self._take_back)
        if not in_time:
            log.warning("storage does not answer: parts of the upload may be left there")

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
        if nobody_waits:  # the upload was completed after the abort
            self._take_back()

    def _take_back(self) -> None:
        try:
            self._undo()
        except PgCloneError as error:
            log.warning("the object of an aborted upload cannot be removed: %s", error)

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
    """Upload what the block writes. The end of the block commits; an exception aborts.

    :param put: uploads an iterator of bytes, and raises errors of this package.
    :param undo: removes an object that was completed before the abort.
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
    """Call a function in a thread, and tell whether it ended in time. A late one keeps running."""
    thread = threading.Thread(target=call, name="clean-up", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
