import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.core.repository.dumps import (
    list_files,
    list_parts,
    newest_dumps,
    newest_first,
)
from airflow_provider_pgclone.core.repository.keys import DumpKey, KeyPrefix
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.storage import StoredObject
from airflow_provider_pgclone.core.storage.contract import Page
from airflow_provider_pgclone.core.storage.memory import MemoryStorage
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, fold, pages

OLDEST = "prod/shop/none/2025-12-31-23-59-59-999999.dump"
MIDDLE = "prod/shop/anon/2026-01-01-00-00-00-000000.dump"
OTHER = "prod/shop_eu/none/2026-02-01-00-00-00-000000.dump"
# As text it comes before the one above, by time it is the newest.
NEWEST = "dev/shop/none/2026-02-01-00-00-00-000001.dump"
DUMPS = [NEWEST, OTHER, MIDDLE, OLDEST]
JUNK = [
    "README.md",
    "prod/notes.txt",
    "prod/shop/none/notes-2026.dump",
    "prod/shop/none/2026-13-01-00-00-00-000000.dump",
    "prod/shop/none/2027-01-01-00-00-00-000000.dump.part",
    "prod/shop/none/old/2027-01-01-00-00-00-000000.dump",
    "prod/shop/2027-01-01-00-00-00-000000.dump",
    "junk/a/b/c.txt",
]


def put(storage: MemoryStorage, *paths: str) -> None:
    for path in paths:
        with storage.open_write(path, expected_bytes=1, cancellation=Cancellation()) as upload:
            upload.write(path.encode())


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    put(storage, *sorted(DUMPS), *JUNK)
    return storage


def keys(storage: MemoryStorage, prefix: str, limit: int | None = None) -> list[str]:
    return [dump.key for dump in newest_dumps(storage, prefix, limit=limit)]


def test_dumps_come_newest_first_by_time_whatever_their_names(storage: MemoryStorage) -> None:
    assert keys(storage, "") == DUMPS


def test_a_listed_dump_has_its_size_and_the_time_of_its_key(storage: MemoryStorage) -> None:
    dump = newest_dumps(storage, "dev", limit=None)[0]
    assert dump.size_bytes == len(NEWEST)
    assert dump.created_at == datetime(2026, 2, 1, 0, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("prod", [OTHER, MIDDLE, OLDEST]),
        ("prod/shop", [MIDDLE, OLDEST]),
        ("prod/shop/", [MIDDLE, OLDEST]),
        ("prod/shop/none", [OLDEST]),
        ("prod/shop/none/2025-1", [OLDEST]),
        ("prod/shop/none/2026", []),
        ("prod/sho", []),
        ("prod/shop_e", []),
        ("staging", []),
    ],
)
def test_a_prefix_lists_its_own_dumps_only(
    storage: MemoryStorage, prefix: str, expected: list[str]
) -> None:
    assert keys(storage, prefix) == expected


def test_a_limit_keeps_the_newest(storage: MemoryStorage) -> None:
    assert keys(storage, "", limit=2) == [NEWEST, OTHER]


def test_a_fraction_of_a_second_with_few_digits_sorts_by_time(storage: MemoryStorage) -> None:
    half, tenth = (f"prod/short/none/2026-01-01-00-00-00-{digits}.dump" for digits in ("5", "10"))
    put(storage, half, tenth)
    assert keys(storage, "prod/short") == [half, tenth]


@pytest.mark.parametrize(
    ("part", "prefix", "expected"),
    [
        ("instances", "", ["dev", "prod"]),
        ("databases", "", ["shop", "shop_eu"]),
        ("databases", "dev", ["shop"]),
        ("configs", "", ["anon", "none"]),
        ("configs", "prod/shop_eu", ["none"]),
        ("configs", "prod/shop/none/2026", []),
        ("instances", "staging", []),
    ],
)
def test_only_parts_that_have_dumps_are_listed(
    storage: MemoryStorage, part: str, prefix: str, expected: list[str]
) -> None:
    assert list_parts(storage, prefix, part) == expected  # type: ignore[arg-type]


def test_all_files_are_listed_where_asked_for(storage: MemoryStorage) -> None:
    files = list_files(storage, "", limit=None)
    assert {file.key for file in files} == {*DUMPS, *JUNK}
    times = [file.created_at for file in files]
    assert times == sorted(times, reverse=True)


def test_files_of_a_prefix_are_listed_up_to_the_limit(storage: MemoryStorage) -> None:
    assert [file.key for file in list_files(storage, "prod/shop_", limit=None)] == [OTHER]
    assert len(list_files(storage, "prod", limit=3)) == 3


def test_a_key_is_found_as_it_is(storage: MemoryStorage) -> None:
    dump = find_dump(storage, OLDEST)
    assert (dump.key, dump.size_bytes) == (OLDEST, len(OLDEST))


@pytest.mark.parametrize(
    ("prefix", "newest"), [("prod", OTHER), ("prod/shop", MIDDLE), ("prod/shop/none/20", OLDEST)]
)
def test_a_prefix_means_its_newest_dump(storage: MemoryStorage, prefix: str, newest: str) -> None:
    assert find_dump(storage, prefix).key == newest


@pytest.mark.parametrize(
    "text", ["prod/sho", "staging", "junk", OLDEST.replace("2025", "2020"), "prod/shop/none/2030"]
)
def test_what_is_not_there_is_named(storage: MemoryStorage, text: str) -> None:
    with pytest.raises(NotFoundError, match=repr(text)):
        find_dump(storage, text)


@pytest.mark.parametrize("text", ["", "/", "prod/shop/none/notes.dump", "pr*d", ":shop"])
def test_what_is_neither_key_nor_prefix_is_refused(storage: MemoryStorage, text: str) -> None:
    with pytest.raises(InvalidInputError):
        find_dump(storage, text)


class CountedStorage(MemoryStorage):
    """Lists sorted paths, and counts the pages that are asked for."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__()
        self._paths = sorted(paths)
        self.page_count = 0

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        found = (path for path in self._paths if path.startswith(prefix))
        for items, is_cut in pages(fold(found, prefix, delimiter), PAGE_OBJECTS):
            self.page_count += 1
            yield Page(
                [StoredObject(path, 1, _EPOCH) for path, folded in items if not folded],
                [path for path, folded in items if folded],
                is_cut,
            )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hourly(count: int, config: str = "none", every: timedelta = timedelta(hours=1)) -> list[str]:
    """Return the keys of dumps up to the end of 2026, the newest first."""
    end = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    times = (end - every * number for number in range(count))
    return [str(DumpKey(time, "prod", "shop", config)) for time in times]


def test_of_100_000_dumps_the_newest_1_000_take_a_handful_of_pages() -> None:
    paths = hourly(100_000)
    storage = CountedStorage(paths)
    found = newest_dumps(storage, "prod/shop/none", limit=1000)
    assert [dump.key for dump in found] == paths[:1000]
    assert storage.page_count <= 8


def test_of_100_000_dumps_the_newest_is_found_in_a_handful_of_pages() -> None:
    paths = hourly(100_000)
    storage = CountedStorage(paths)
    assert find_dump(storage, "prod").key == paths[0]
    assert storage.page_count <= 8


def test_pages_are_asked_for_only_as_dumps_are_taken() -> None:
    paths = hourly(20_000)
    storage = CountedStorage(paths)
    dumps = newest_first(storage, KeyPrefix.parse("prod/shop/none"))
    assert next(dumps).key == paths[0]
    asked_for_one = storage.page_count
    assert [dump.key for dump in itertools.islice(dumps, 9_000)] == paths[1:9_001]
    assert asked_for_one <= 5 < storage.page_count


def test_all_of_many_dumps_are_listed_once() -> None:
    paths = hourly(30_000)
    storage = CountedStorage([*paths, *(path + ".part" for path in paths[:10])])
    assert [dump.key for dump in newest_dumps(storage, "", limit=None)] == paths


def test_many_dumps_of_one_second_are_listed_once() -> None:
    paths = hourly(2_500, every=timedelta(microseconds=1))
    assert [dump.key for dump in newest_dumps(CountedStorage(paths), "", limit=None)] == paths


def test_dumps_of_several_configs_are_merged_by_time() -> None:
    paths = hourly(6_000)
    mixed = [path.replace("none", f"config{number % 3}") for number, path in enumerate(paths)]
    storage = CountedStorage(mixed)
    assert [dump.key for dump in newest_dumps(storage, "", limit=100)] == mixed[:100]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("prd", "Did you mean 'prod'?"),
        ("prod/shp", "Did you mean 'prod/shop'?"),
        ("prod/shop/nightl", "Did you mean 'prod/shop/nightly'?"),
        (
            "prod/shop/nightly/2031",
            "Did you mean 'prod/shop/nightly/2026-11-21-02-00-00-000000.dump'?",
        ),
        (
            "prod/shop/nightly/2026-11-20-02-00-01-000000.dump",
            "Did you mean 'prod/shop/nightly/2026-11-20-02-00-00-000000.dump'?",
        ),
        ("prod/shp/nightly/2026-11-20-02-00-00-000000.dump", "Did you mean 'prod/shop'?"),
        ("elsewhere", "A prefix is made of whole parts"),
    ],
)
def test_what_was_probably_meant_is_named_by_few_listings(text: str, hint: str) -> None:
    storage = MemoryStorage()
    for day in (20, 21):
        put(storage, f"prod/shop/nightly/2026-11-{day}-02-00-00-000000.dump")
    put(storage, "eu/clients/none/2026-11-20-02-00-00-000000.dump")
    with pytest.raises(NotFoundError) as raised:
        find_dump(storage, text)
    assert str(raised.value.hint).startswith(hint)
