"""Reads ranges in several workers at once, and returns them in the order of the plan.

The queue of each range is limited in bytes, and so are all queues together. So memory is limited to
``jobs`` queues, even if the tables or rows are large, or the writer is slow.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_pgclone.core.archive import Chunk, Compressor
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, RangeEntry
from airflow_provider_pgclone.core.time_spent import TimeSpent

QUEUE_BYTES = 24 * 1024 * 1024
POLL_SECONDS = 0.5


class ByteBudget:
    """The limit on the bytes in all queues together.

    It does not apply to the queue from which the writer takes chunks. Otherwise the range that the
    writer waits for could wait for the ranges after it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.changed = threading.Condition()
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.written: RangeQueue | None = None

    def is_full_for(self, queue: "RangeQueue") -> bool:
        """Tell whether a queue must wait; the caller holds ``changed``."""
        return self.used_bytes >= self.limit_bytes and self.written is not queue


class RangeQueue:
    """The chunks of a range that a worker has read and the writer has not taken yet."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._changed = budget.changed
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._done = False
        self._failure: BaseException | None = None

    def put(self, chunk: Chunk, cancellation: Cancellation) -> None:
        """Add a chunk; wait while the queue or the budget is full."""
        with self._changed:
            while self._bytes >= QUEUE_BYTES or self._budget.is_full_for(self):
                cancellation.check()
                self._changed.wait(POLL_SECONDS)
            self._chunks.append(chunk)
            self._bytes += len(chunk.payload)
            self._budget.used_bytes += len(chunk.payload)
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Mark the end of the range.

        :param failure: the error that ended it; ``None`` if it is complete.
        """
        with self._changed:
            self._done, self._failure = True, failure
            self._changed.notify_all()

    def chunks(self, cancellation: Cancellation) -> Iterator[Chunk]:
        """Yield the chunks as they arrive.

        :raises BaseException: the error of the worker.
        """
        with self._changed:
            self._budget.written = self
            self._changed.notify_all()
        while True:
            with self._changed:
                while not self._chunks and not self._done:
                    cancellation.check()
                    self._changed.wait(POLL_SECONDS)
                if not self._chunks:
                    if self._failure is not None:
                        raise self._failure
                    return
                chunk = self._chunks.popleft()
                self._bytes -= len(chunk.payload)
                self._budget.used_bytes -= len(chunk.payload)
                self._changed.notify_all()
            yield chunk


@contextmanager
def reading_ranges(
    ranges: Sequence[RangeEntry],
    read: Callable[[PageRange], Iterator[bytes]],
    new_compressor: Callable[[], Compressor],
    *,
    jobs: int,
    cancellation: Cancellation,
    time_spent: TimeSpent,
) -> Iterator[list[RangeQueue]]:
    """Start ``jobs`` workers, and yield a queue for each range, in the order of the plan.

    :param read: returns the rows of a range; called in the workers.
    :param new_compressor: creates the compressor of a range; called in the workers.
    :param jobs: the number of workers.
    :param cancellation: ends the workers; it is cancelled when the block fails.
    :param time_spent: gets the time of the workers, by ``source`` and ``compression``.
    """
    budget = ByteBudget(jobs * QUEUE_BYTES)
    queues = [RangeQueue(budget) for _ in ranges]
    waiting = deque(zip(ranges, queues, strict=True))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                range_entry, queue = waiting.popleft()
            except IndexError:
                return
            try:
                pieces = time_spent.each("source", read(range_entry.pages))
                chunks = new_compressor().chunks(pieces)
                for chunk in time_spent.each("compression", chunks):
                    queue.put(chunk, cancellation)
                queue.finish()
            except BaseException as error:  # noqa: BLE001  # the writer raises it
                queue.finish(error)
                return

    threads = [
        threading.Thread(target=work, name=f"range-{number}", daemon=True)
        for number in range(min(jobs, len(ranges)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield queues
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        stop.set()
        for thread in threads:
            thread.join()
