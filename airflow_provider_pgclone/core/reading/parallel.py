"""Reads ranges in several workers at once, and returns them in the order of the plan.

Workers read the parts of ranges. The queue of each part is limited in bytes, and so are all queues
together. So memory is limited to ``jobs`` queues, even if the tables or rows are large, or the
writer is slow.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from airflow_provider_pgclone.core.archive import (
    COPY_END,
    Chunk,
    Compressor,
    Piece,
    RowCount,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, RangeEntry
from airflow_provider_pgclone.core.time_spent import TimeSpent

QUEUE_BYTES = 24 * 1024 * 1024
POLL_SECONDS = 0.5


class ByteBudget:
    """The limit on the bytes in all queues together.

    It does not apply to the queue from which the writer takes chunks. Otherwise the part that the
    writer waits for could wait for the parts after it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.changed = threading.Condition()
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.written: PartQueue | None = None

    def is_full_for(self, queue: "PartQueue") -> bool:
        """Tell whether a queue must wait; the caller holds ``changed``."""
        return self.used_bytes >= self.limit_bytes and self.written is not queue


class PartQueue:
    """The chunks of a part that a worker has read and the writer has not taken yet.

    Its ``count`` has the number of rows once all chunks are taken.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self.count = RowCount()
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
        """Mark the end of the part.

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


class _Parts:
    """The parts of all ranges, which workers take in order, and their queues for the writer.

    Only the parts that are being read, or wait to be written, have a queue: a large table has a
    million parts.
    """

    def __init__(self, ranges: Sequence[RangeEntry], budget: ByteBudget) -> None:
        self._next = (part for range_entry in ranges for part in range_entry.parts())
        self._budget = budget
        self._changed = budget.changed
        self._queues: deque[PartQueue] = deque()

    def take(self) -> tuple[PageRange, PartQueue] | None:
        """Return the next part and its queue, ``None`` if there are no more."""
        with self._changed:
            part = next(self._next, None)
            if part is None:
                return None
            queue = PartQueue(self._budget)
            self._queues.append(queue)
            self._changed.notify_all()
            return part, queue

    def next_queue(self, cancellation: Cancellation) -> PartQueue:
        """Return the queue of the next part in order, once a worker has taken the part."""
        with self._changed:
            while not self._queues:
                cancellation.check()
                self._changed.wait(POLL_SECONDS)
            return self._queues.popleft()


@contextmanager
def reading_ranges(
    ranges: Sequence[RangeEntry],
    read: Callable[[PageRange, RowCount], Iterator[Piece]],
    new_compressor: Callable[[], Compressor],
    *,
    jobs: int,
    cancellation: Cancellation,
    time_spent: TimeSpent | None = None,
) -> Iterator[Iterator[tuple[Iterator[Chunk], RowCount]]]:
    """Start ``jobs`` workers, and yield the blocks of the ranges, in the order of the plan.

    Each block must be read to its end before the next; then its number of rows is known. The parts
    of a range are read at the same time as well. After the last part comes the end marker of COPY:
    rows after it would be ignored.

    :param read: returns the rows of a part, and counts them; called in the workers.
    :param new_compressor: creates a compressor; called in the workers too.
    :param jobs: the number of workers.
    :param cancellation: ends the workers; it is cancelled when the block fails.
    :param time_spent: gets the time of the workers, by ``source`` and ``compression``.
    """
    parts = _Parts(ranges, ByteBudget(jobs * QUEUE_BYTES))
    spent = time_spent or TimeSpent()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set() and (taken := parts.take()) is not None:
            part, queue = taken
            try:
                rows = spent.each("source", read(part, queue.count))
                chunks = new_compressor().part(rows)
                for chunk in spent.each("compression", chunks):
                    queue.put(chunk, cancellation)
                queue.finish()
            except BaseException as error:  # noqa: BLE001  # the writer raises it
                queue.finish(error)
                return

    def chunks_of_part(count: RowCount) -> Iterator[Chunk]:
        queue = parts.next_queue(cancellation)
        yield from queue.chunks(cancellation)
        count.rows += queue.count.rows

    def blocks() -> Iterator[tuple[Iterator[Chunk], RowCount]]:
        compressor = new_compressor()
        for range_entry in ranges:
            count = RowCount()
            of_parts = (chunks_of_part(count) for _ in range_entry.parts())
            yield compressor.join(chain(of_parts, [compressor.part([COPY_END])])), count

    threads = [
        threading.Thread(target=work, name=f"range-{number}", daemon=True) for number in range(jobs)
    ]
    for thread in threads if ranges else ():
        thread.start()
    try:
        yield blocks()
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        stop.set()
        for thread in threads if ranges else ():
            thread.join()
