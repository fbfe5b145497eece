"""Read the ranges of a plan by several workers at once, and hand them over in the plan's order.

Each range has a queue that is bounded in bytes, and so are all of them together: memory is ``jobs``
queues, however large the tables or their rows are, and however far the writer is behind.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_pgclone.core.archive import Chunk, Compressor
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, PlannedRange

QUEUE_BYTES = 24 * 1024 * 1024
POLL_SECONDS = 0.5


class ByteBudget:
    """What all queues may hold together; the one that is written meanwhile is always let through.

    Without that a range which the writer waits for could wait for those behind it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.changed = threading.Condition()
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.written: RangeQueue | None = None

    def is_full_for(self, queue: "RangeQueue") -> bool:
        return self.used_bytes >= self.limit_bytes and self.written is not queue


class RangeQueue:
    """What one worker has read of a range and the writer has not yet taken."""

    def __init__(self, room: ByteBudget) -> None:
        self._room = room
        self._changed = room.changed
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._done = False
        self._failure: BaseException | None = None

    def put(self, chunk: Chunk, cancellation: Cancellation) -> None:
        """Add a chunk; waits while there is no room."""
        with self._changed:
            while self._bytes >= QUEUE_BYTES or self._room.is_full_for(self):
                cancellation.check()
                self._changed.wait(POLL_SECONDS)
            self._chunks.append(chunk)
            self._bytes += len(chunk.payload)
            self._room.used_bytes += len(chunk.payload)
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Say that no more chunks come, or why."""
        with self._changed:
            self._done, self._failure = True, failure
            self._changed.notify_all()

    def chunks(self, cancellation: Cancellation) -> Iterator[Chunk]:
        """Yield the chunks as they come; raises what the worker raised."""
        with self._changed:
            self._room.written = self
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
                self._room.used_bytes -= len(chunk.payload)
                self._changed.notify_all()
            yield chunk


@contextmanager
def reading_ranges(
    ranges: Sequence[PlannedRange],
    read: Callable[[PageRange], Iterator[bytes]],
    new_compressor: Callable[[], Compressor],
    *,
    jobs: int,
    cancellation: Cancellation,
) -> Iterator[list[RangeQueue]]:
    """Start ``jobs`` workers, and yield a queue for each range, in the order of the plan.

    :param read: gives the rows of a range; called in the workers.
    :param cancellation: ends the workers and what they wait for.
    """
    room = ByteBudget(jobs * QUEUE_BYTES)
    queues = [RangeQueue(room) for _ in ranges]
    waiting = deque(zip(ranges, queues, strict=True))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                planned, queue = waiting.popleft()
            except IndexError:
                return
            try:
                for chunk in new_compressor().chunks(read(planned.pages)):
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
