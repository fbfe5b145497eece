"""Pages of a store with very many dumps: what is read for them, and that none is left out."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_pgclone.core.repository import Dump, DumpKey, DumpSummary
from airflow_provider_pgclone.plugins.dumps_page.listing import (
    MOST_READ,
    Filters,
    Page,
    databases_of,
    page_of,
    series_of,
)
from airflow_provider_pgclone.plugins.dumps_page.sources import Listing

START = datetime(2026, 1, 1, tzinfo=UTC)


class Store:
    """10,000 dumps of two databases, every hundredth not masked, and the manifests read so far."""

    def __init__(self, count: int = 10_000) -> None:
        self.read: list[str] = []
        self.dumps = [self._dump(n) for n in reversed(range(count))]

    def _dump(self, n: int) -> Dump:
        at = START + timedelta(hours=n)
        key = DumpKey.new(instance="prod", database=("shop", "bank")[n % 2], config="none",
                          created_at=at)  # fmt: skip
        finding: Any = ("damaged", "archive", None, None)[n % 4]
        return Dump(str(key), n, at, finding)

    def listing(self, *, fresh: bool = False) -> Listing:
        return Listing(self.dumps, START)

    def summaries(self, dumps: Sequence[Dump]) -> list[DumpSummary]:
        self.read += [dump.key for dump in dumps]
        return [
            DumpSummary(dump.key, dump.size_bytes, dump.created_at, dump.finding, "shop",
                        is_masked=dump.size_bytes % 100 != 0)
            for dump in dumps
        ]  # fmt: skip

    def details(self, key: str) -> dict[str, Any]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def many() -> Store:
    return Store()


@pytest.fixture
def store(many: Store) -> Store:
    many.read.clear()
    return many


def all_pages(store: Store, filters: Filters, limit: int) -> list[Page]:
    pages = [page_of(store, store.dumps, filters, None, limit)]
    while pages[-1].after is not None:
        last = DumpKey.parse(pages[-1].after)
        pages.append(page_of(store, store.dumps, filters, last, limit))
    return pages


def test_a_page_reads_its_own_manifests_alone_and_is_quick(store: Store) -> None:
    started = time.monotonic()
    page = page_of(store, store.dumps, Filters(text="SHOP", state="unverified"), None, 25)
    assert time.monotonic() - started < 2  # it takes hundredths of a second
    assert len(store.read) == len(page.rows) == 25
    assert page.total == 2500


def test_the_pages_together_have_each_dump_once(store: Store) -> None:
    pages = all_pages(store, Filters(database="prod/bank"), 200)
    keys = [row.key for page in pages for row in page.rows]
    assert keys == [dump.key for dump in store.dumps if "/bank/" in dump.key]


def test_a_filter_by_manifests_reads_a_bounded_number_and_goes_on_from_there(store: Store) -> None:
    pages = all_pages(store, Filters(masked=False), 25)
    assert max(page.looked_at for page in pages) == MOST_READ
    assert {page.total for page in pages} == {None}
    keys = [row.key for page in pages for row in page.rows]
    assert keys == [dump.key for dump in store.dumps if dump.size_bytes % 100 == 0]


def test_a_new_dump_does_not_move_the_pages(store: Store) -> None:
    first = page_of(store, store.dumps, Filters(), None, 25)
    assert first.after is not None
    newer = [store._dump(10_001), *store.dumps]
    second = page_of(store, newer, Filters(), DumpKey.parse(first.after), 25)
    assert second.rows[0].key == store.dumps[25].key
    without = [dump for dump in store.dumps if dump.key != first.after]
    assert page_of(store, without, Filters(), DumpKey.parse(first.after), 25) == second \
        or second.total != len(without)  # fmt: skip


def test_a_dump_that_cannot_be_read_fits_no_filter_by_its_manifest(store: Store) -> None:
    bad = DumpSummary("k", 1, START, None, "shop", problem="damaged")
    assert Filters().takes_summary(bad)
    assert not Filters(masked=False).takes_summary(bad)
    assert not Filters(partial=False).takes_summary(bad)


def test_the_overview_and_the_chart_read_the_newest_alone(store: Store) -> None:
    databases, others = databases_of(store, store.dumps)
    assert ([one.name for one in databases], others) == (["prod/bank", "prod/shop"], 0)
    assert [one.dumps for one in databases] == [5000, 5000]
    assert len(store.read) == 2
    points = series_of(store, store.dumps, "prod/shop", 60)
    assert len(points) == 60
    assert points[-1].created_at > points[0].created_at
