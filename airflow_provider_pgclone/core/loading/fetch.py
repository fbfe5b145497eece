"""Fetches the blocks of an archive from storage, some of them before they are needed.

A large block takes several reads. Small neighbouring blocks share a read, so that a distant storage
does not cost a round trip for each table.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from airflow_provider_pgclone.core.archive import Block

READ_BYTES = 4 * 1024 * 1024
# A larger block does not share a read, because its neighbours may be needed at another time.
SMALL_BLOCK_BYTES = 1024 * 1024
# The interval between checks, while waiting for storage, that the data is still needed.
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Span:
    """The bytes of an archive that one read fetches, from ``start`` to before ``end``."""

    start: int
    end: int


def spans_of(blocks: Sequence[Block]) -> dict[int, list[Span]]:
    """Return the spans to read for each block, by dump id.

    :param blocks: the blocks in the order of the archive.
    """
    spans: dict[int, list[Span]] = {}
    group: list[Block] = []

    def close() -> None:
        for block in group:
            spans[block.dump_id] = [Span(group[0].offset, group[-1].offset + group[-1].length)]
        group.clear()

    for block in blocks:
        end = block.offset + block.length
        is_next = bool(group) and group[-1].offset + group[-1].length == block.offset
        if block.length > SMALL_BLOCK_BYTES:
            close()
            starts = range(block.offset, end, READ_BYTES)
            spans[block.dump_id] = [Span(at, min(at + READ_BYTES, end)) for at in starts]
            continue
        if not is_next or end - group[0].offset > READ_BYTES:
            close()
        group.append(block)
    close()
    return spans


class BlockFetcher:
    """Fetches blocks ahead of their use, and returns their bytes.

    :param read_range: reads the bytes of the archive from an offset to before another; called in
        threads.
    :param blocks: the blocks, approximately in the order of their use.
    :param ahead: the maximum number of reads that run or hold data for later use. Each takes
        ``READ_BYTES`` of memory, and so does each block that is in use.
    """

    def __init__(
        self, read_range: Callable[[int, int], bytes], blocks: Sequence[Block], *, ahead: int
    ) -> None:
        self._read_range = read_range
        self._spans = spans_of(sorted(blocks, key=lambda block: block.offset))
        self._users: dict[Span, int] = {}
        for block in blocks:
            for span in self._spans[block.dump_id]:
                self._users[span] = self._users.get(span, 0) + 1
        self._next = iter(list(self._users))  # in the order of their first use
        self._ahead = ahead
        self._lock = threading.Lock()
        self._fetched: dict[Span, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="fetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def pieces(self, block: Block, check: Callable[[], None]) -> Iterator[bytes]:
        """Yield the bytes of a block.

        :param check: raises an error if the bytes are not needed any more; called while waiting for
            storage.
        :raises PgCloneError: the error of ``read_range``.
        """
        for span in self._spans[block.dump_id]:
            data = self._take(span, check)
            start = max(block.offset, span.start) - span.start
            end = min(block.offset + block.length, span.end) - span.start
            yield data if end - start == len(data) else data[start:end]

    def _take(self, span: Span, check: Callable[[], None]) -> bytes:
        with self._lock:
            wanted = self._fetched.get(span) or self._fetch(span)
            self._look_ahead()
        while not wait([wanted], timeout=POLL_SECONDS).done:
            check()
        data = wanted.result()
        with self._lock:
            self._users[span] -= 1
            if not self._users[span]:
                self._fetched.pop(span, None)
                self._look_ahead()
        return data

    def _look_ahead(self) -> None:
        while len(self._fetched) < self._ahead:
            span = next(self._next, None)
            if span is None:
                return
            if self._users[span] and span not in self._fetched:
                self._fetch(span)

    def _fetch(self, span: Span) -> Future[bytes]:
        while len(self._fetched) > self._ahead:
            # Discard the oldest data. It is fetched again when it is needed.
            del self._fetched[next(iter(self._fetched))]
        future = self._pool.submit(self._read_range, span.start, span.end)
        self._fetched[span] = future
        return future
