"""Ranges that are read at once wait for the writer, all together."""

import threading
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest

from airflow_provider_pgclone.core.archive import COPY_END, Chunk, Piece, RowCount
from airflow_provider_pgclone.core.archive.toc import TocEntry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog.rows import Table
from airflow_provider_pgclone.core.reading import parallel
from airflow_provider_pgclone.core.reading.page_ranges import PART_BYTES, PageRange, RangeEntry
from airflow_provider_pgclone.core.reading.parallel import reading_ranges
from tests.core.scheduling.test_work import data

PIECE = 100
TIB = 1 << 40
ENTRY: TocEntry = data(1, "t")


class Plain:
    """Compresses nothing."""

    def part(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        for piece in pieces:
            yield Chunk(bytes(piece), len(piece))

    def join(self, parts: Iterable[Iterable[Chunk]]) -> Iterator[Chunk]:
        return chain.from_iterable(parts)

    chunks = part


def planned(count: int, *, parts: int = 1) -> list[RangeEntry]:
    """Plan ranges of as many pages as they have parts."""
    table = Table("s", "t", count * parts, 0, ("a",))
    starts = range(0, count * parts, parts)
    return [
        RangeEntry(ENTRY, PageRange(table, n, n + parts), parts * PART_BYTES, TIB, 1)
        for n in starts
    ]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_writer_that_is_late_is_waited_for(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "QUEUE_BYTES", 10 * PIECE)
    made = 0
    counting = threading.Lock()
    limit = jobs * 10 * PIECE + jobs * PIECE
    full = threading.Event()

    def read(pages: PageRange, count: RowCount) -> Iterator[bytes]:
        nonlocal made
        for _ in range(5):  # each range alone would fit into its queue
            with counting:
                made += PIECE
                if made >= jobs * 10 * PIECE:
                    full.set()
            yield bytes(PIECE)

    written = 0
    with reading_ranges(
        planned(100), read, Plain, jobs=jobs, cancellation=Cancellation()
    ) as blocks:
        assert full.wait(10)
        for block, _ in blocks:
            for chunk in block:
                written += chunk.raw_bytes
                with counting:
                    assert made - written <= limit + 10 * PIECE
    assert written == made + 100 * len(COPY_END) == 100 * (5 * PIECE + len(COPY_END))


def test_the_range_that_is_written_never_waits_for_those_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "QUEUE_BYTES", PIECE)
    others_are_full = threading.Event()

    def read(pages: PageRange, count: RowCount) -> Iterator[bytes]:
        if pages.first == 0:
            assert others_are_full.wait(10)
        yield bytes(PIECE)
        others_are_full.set()  # what was yielded is in its queue, which it fills
        yield bytes(PIECE)
        yield bytes(PIECE)

    with reading_ranges(planned(6), read, Plain, jobs=2, cancellation=Cancellation()) as blocks:
        assert sum(len(list(block)) for block, _ in blocks) == 6 * (3 + 1)


def test_the_parts_of_one_range_are_read_at_the_same_time() -> None:
    all_at_once = threading.Barrier(4, timeout=10)

    def read(pages: PageRange, count: RowCount) -> Iterator[bytes]:
        all_at_once.wait()
        yield f"{pages.first}-{pages.end} ".encode()
        count.rows += 10 + pages.first

    with reading_ranges(
        planned(2, parts=4), read, Plain, jobs=4, cancellation=Cancellation()
    ) as blocks:
        rows = [(b"".join(c.payload for c in block), count.rows) for block, count in blocks]
    assert rows == [
        (b"0-1 1-2 2-3 3-4 " + COPY_END, 10 + 11 + 12 + 13),
        (b"4-5 5-6 6-7 7-8 " + COPY_END, 14 + 15 + 16 + 17),
    ]


def test_a_part_that_fails_ends_the_dump_and_the_other_readers() -> None:
    def read(pages: PageRange, count: RowCount) -> Iterator[bytes]:
        yield bytes(PIECE)
        if pages.first == 2:
            raise OSError("the server is gone")

    def write() -> None:
        with reading_ranges(
            planned(3, parts=5), read, Plain, jobs=3, cancellation=Cancellation()
        ) as blocks:
            for block, _ in blocks:
                list(block)

    with pytest.raises(OSError, match="the server is gone"):
        write()
    assert not [one for one in threading.enumerate() if one.name.startswith("range-")]
