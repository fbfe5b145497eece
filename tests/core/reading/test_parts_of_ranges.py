"""How tables are split into ranges, and ranges into parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.catalog.rows import Table
from airflow_provider_pgclone.core.reading.page_ranges import (
    LEAST_PART_BYTES,
    MAX_RANGES_OF_TABLE,
    PART_BYTES,
    PageRange,
    RangeEntry,
    add_ranges,
    part_size,
    split,
)
from tests.core.scheduling.test_work import data
from tests.support.fixtures.entries import toc_entry, toc_of

PAGE_BYTES = 8192
TIB = 1 << 40
ENTRY = data(1, "t")


def table_of(size_bytes: int) -> Table:
    pages = -(-size_bytes // PAGE_BYTES)
    return Table("public", "t", pages, size_bytes, ("a",))


def entries_of(table: Table) -> list[RangeEntry]:
    """Return the ranges of a table after which much more is to be read."""
    ranges = split(table)
    size_bytes = table.size_bytes // len(ranges)
    return [RangeEntry(ENTRY, pages, size_bytes, 99 * TIB, workers=2) for pages in ranges]


@given(size_bytes=st.integers(0, 4 * TIB))
def test_ranges_are_all_pages_once_and_in_order(size_bytes: int) -> None:
    ranges = split(table_of(size_bytes))
    assert ranges[0].first == 0
    assert ranges[-1].end is None  # with what is added until the snapshot
    assert [one.end for one in ranges[:-1]] == [one.first for one in ranges[1:]]
    assert len({one.first for one in ranges}) == len(ranges) <= MAX_RANGES_OF_TABLE


@given(size_bytes=st.integers(0, 40 * TIB), which=st.integers(0, MAX_RANGES_OF_TABLE - 1))
def test_parts_are_all_pages_of_a_range_once_and_in_order(size_bytes: int, which: int) -> None:
    entries = entries_of(table_of(size_bytes))
    entry = entries[which % len(entries)]
    parts = entry.parts()
    assert parts[0].first == entry.pages.first
    assert parts[-1].end == entry.pages.end
    assert [one.end for one in parts[:-1]] == [one.first for one in parts[1:]]


@pytest.mark.parametrize(
    ("size_bytes", "ranges", "parts"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (PART_BYTES, 1, 1),
        (PART_BYTES + 1, 2, 1),
        (2000 * PART_BYTES, 2000, 1),
        (2 * 2000 * PART_BYTES, 2000, 2),
        (32 * TIB, 2000, 350),  # the largest table that PostgreSQL has
    ],
)
def test_a_larger_table_has_more_ranges_and_then_more_parts(
    size_bytes: int, ranges: int, parts: int
) -> None:
    entries = entries_of(table_of(size_bytes))
    assert (len(entries), len(entries[0].parts())) == (ranges, parts)


def test_no_part_is_too_large_for_its_queue_however_large_the_table() -> None:
    entry = entries_of(table_of(32 * TIB))[7]
    largest = max((one.end or 0) - one.first for one in entry.parts())
    assert largest * PAGE_BYTES <= PART_BYTES + PAGE_BYTES


def test_a_range_of_few_pages_has_no_empty_part() -> None:
    table = Table("s", "t", 2, 100 * PART_BYTES, ("a",))  # large values are in TOAST
    assert split(table) == [PageRange(table, 0, 1), PageRange(table, 1, None)]
    assert [len(entry.parts()) for entry in entries_of(table)] == [1, 1]


@pytest.mark.parametrize(
    ("left_bytes", "workers", "expected"),
    [
        # As large as a queue allows, where each worker reads many of them.
        (40 * PART_BYTES, 2, PART_BYTES),
        (16 * PART_BYTES, 4, PART_BYTES // 2),
        (PART_BYTES, 2, LEAST_PART_BYTES),
        (PART_BYTES, 16, LEAST_PART_BYTES),
        (0, 2, LEAST_PART_BYTES),
    ],
)
def test_parts_are_so_small_that_each_worker_reads_some(
    left_bytes: int, workers: int, expected: int
) -> None:
    assert part_size(left_bytes, workers) == expected


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize("size_bytes", [PART_BYTES, 30 * PART_BYTES, TIB, 10 * TIB])
def test_the_last_parts_are_the_smallest(size_bytes: int, workers: int) -> None:
    toc = toc_of(toc_entry(5, "TABLE", "t"))
    _, entries = add_ranges(toc, [table_of(size_bytes)], workers=workers)
    pages = entries[-1].pages.table.pages
    parts = [part for entry in entries for part in entry.parts()]
    sizes = [((one.end or pages) - one.first) * PAGE_BYTES for one in parts]
    assert sum(sizes) == pages * PAGE_BYTES
    left_bytes = sum(sizes)
    for size in sizes:
        assert size <= part_size(left_bytes, workers) + PAGE_BYTES
        left_bytes -= size
    assert max(sizes[-workers:]) <= LEAST_PART_BYTES + PAGE_BYTES


def test_ranges_have_the_size_that_is_asked_for() -> None:
    table = table_of(2 * PART_BYTES)
    assert len(split(table)) == 2
    assert len(split(table, PART_BYTES // 3)) == 6
