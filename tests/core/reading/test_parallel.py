"""Ranges that are read at once wait for the writer, all together."""

import threading
from collections.abc import Iterable, Iterator

import pytest

from airflow_provider_pgclone.core.archive.compression import Chunk
from airflow_provider_pgclone.core.archive.toc import TocEntry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog.rows import Table
from airflow_provider_pgclone.core.reading import parallel
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, RangeEntry
from airflow_provider_pgclone.core.reading.parallel import reading_ranges
from tests.core.scheduling.test_work import data

PIECE = 100
ENTRY: TocEntry = data(1, "t")


class Plain:
    """Compresses nothing."""

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        for piece in pieces:
            yield Chunk(piece, len(piece), 1)


def planned(count: int) -> list[RangeEntry]:
    table = Table("s", "t", count, 0, ("a",))
    return [RangeEntry(ENTRY, PageRange(table, n, n + 1), 0) for n in range(count)]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_writer_that_is_late_is_waited_for(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "QUEUE_BYTES", 10 * PIECE)
    made = 0
    counting = threading.Lock()
    limit = jobs * 10 * PIECE + jobs * PIECE
    full = threading.Event()

    def read(pages: PageRange) -> Iterator[bytes]:
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
    ) as queues:
        assert full.wait(10)
        for queue in queues:
            for chunk in queue.chunks(Cancellation()):
                written += chunk.raw_bytes
                with counting:
                    assert made - written <= limit + 10 * PIECE
    assert written == made == 100 * 5 * PIECE


def test_the_range_that_is_written_never_waits_for_those_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "QUEUE_BYTES", PIECE)
    others_are_full = threading.Event()

    def read(pages: PageRange) -> Iterator[bytes]:
        if pages.first == 0:
            assert others_are_full.wait(10)
        yield bytes(PIECE)
        others_are_full.set()  # what was yielded is in its queue, which it fills
        yield bytes(PIECE)
        yield bytes(PIECE)

    with reading_ranges(planned(6), read, Plain, jobs=2, cancellation=Cancellation()) as queues:
        assert sum(len(list(queue.chunks(Cancellation()))) for queue in queues) == 18
