"""Databases that share a part of their keys, as earlier versions named it, are told apart."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pgclone.core.archive import Manifest, manifest_block
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.prune import PruneOptions, prune
from airflow_provider_pgclone.core.repository import Retention, find_dump
from airflow_provider_pgclone.core.repository.findings import record_paths
from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.core.storage.memory import MemoryStorage
from tests.contracts.storage import write

START = datetime(2026, 11, 1, 2, tzinfo=UTC)
DAMAGED = record_paths("")[0]


class CountedStorage(MemoryStorage):
    """Counts the dumps that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_paths: set[str] = set()

    def read_range(self, path: str, start: int, end: int) -> bytes:
        self.read_paths.add(path)
        return super().read_range(path, start, end)


@pytest.fixture
def storage() -> CountedStorage:
    return CountedStorage()


def archive_of(database: str, instance: str | None = None) -> bytes:
    """Return the end of an archive, which is all that tells the database."""
    manifest = Manifest(
        entries=(),
        package_version="0.1.0",
        created_at=START.isoformat(),
        toc_bytes=0,
        toc_sha256="",
        has_rows=True,
        archive_version="1.16",
        compression="zstd",
        pg_dump_version="17.2",
        server_version="17.2",
        database=database,
        database_bytes=1,
        encoding="UTF8",
        instance=instance,
    )
    return manifest_block(manifest, dump_id=1, offset=0)


def put(
    storage: MemoryStorage,
    folder: str,
    databases: Sequence[str | None],
    *,
    start: datetime = START,
    instance: str | None = None,
) -> list[str]:
    """Write a dump of each database, one a day; ``None`` is one that cannot be read.

    :param instance: the instance that the dumps tell, ``None`` for those of earlier versions.
    """
    keys = []
    for day, database in enumerate(databases):
        keys.append(str(DumpKey(start + timedelta(days=day), *folder.split("/"))))
        data = b"x" if database is None else archive_of(database, instance)
        write(storage, keys[-1], data)
    return keys


def pruned(storage: MemoryStorage, prefix: str = "prod", **rules: int) -> list[str]:
    options = PruneOptions(Retention(**rules))
    return list(prune(storage, prefix, None, options, cancellation=Cancellation()).deleted)


@pytest.mark.parametrize("prefix", ["prod", "prod/sales_eu", "prod/sales_eu/none", "*"])
def test_a_prune_keeps_the_last_dump_of_each_database(storage: CountedStorage, prefix: str) -> None:
    keys = put(storage, "prod/sales_eu/none", ["sales.eu", "sales_eu", "sales.eu", "sales_eu"])
    assert pruned(storage, prefix, keep_last=1) == keys[:2]
    assert pruned(storage, prefix, keep_last=1) == []


def test_a_prune_counts_the_dumps_of_each_database_alone(storage: CountedStorage) -> None:
    keys = put(storage, "prod/__/none", ["顧客", "顧客", "顧客", "注文", "注文", "注文"])
    assert pruned(storage, keep_daily=2) == [keys[0], keys[3]]


def test_a_damaged_dump_of_one_database_does_not_cost_the_other_its_last(
    storage: CountedStorage,
) -> None:
    keys = put(storage, "prod/sales_eu/none", ["sales.eu", "sales_eu", "sales_eu"])
    write(storage, keys[0] + DAMAGED, b"{}")
    assert pruned(storage, keep_last=1) == [keys[1]]


def test_a_dump_that_cannot_be_read_stays_where_it_may_be_of_any(
    storage: CountedStorage, caplog: pytest.LogCaptureFixture
) -> None:
    keys = put(storage, "prod/sales_eu/none", [None, "sales_eu", "sales.eu", "sales_eu"])
    assert pruned(storage, keep_last=1) == [keys[1]]
    assert f"{keys[0]} is kept: it cannot be read" in caplog.text


def test_a_dump_that_cannot_be_read_is_pruned_where_it_is_of_the_only_database(
    storage: CountedStorage,
) -> None:
    keys = put(storage, "prod/sales_eu/none", [None, "sales.eu", "sales.eu"])
    assert pruned(storage, keep_last=1) == keys[:2]


def test_a_dump_that_somebody_moved_is_of_the_part_that_it_has(storage: CountedStorage) -> None:
    keys = put(storage, "prod/sales_old/none", ["sales_eu", "shop", "sales_old"])
    assert pruned(storage, keep_last=1) == keys[:2]


def test_a_prune_reads_no_dump_where_the_key_tells_or_nothing_would_go(
    storage: CountedStorage,
) -> None:
    keys = put(storage, "prod/sales/none", ["sales"] * 4)
    put(storage, "prod/sales_eu/none", ["sales_eu"] * 2)
    assert pruned(storage, keep_last=2) == keys[:2]
    assert storage.read_paths == set()


@pytest.mark.parametrize("prefix", ["prod/sales_eu", "prod/sales_eu/none", "prod/sales_eu/none/2"])
def test_a_prefix_does_not_take_one_database_for_another(
    storage: CountedStorage, prefix: str
) -> None:
    keys = put(storage, "prod/sales_eu/none", ["sales_eu", "sales.eu"])
    with pytest.raises(InvalidInputError, match=r"two databases, 'sales\.eu' and 'sales_eu'"):
        find_dump(storage, prefix)
    assert find_dump(storage, keys[0]).key == keys[0]
    assert find_dump(storage, keys[1]).key == keys[1]
    assert find_dump(storage, "prod").key == keys[1]


def test_a_prefix_still_means_the_newest_of_the_only_database(storage: CountedStorage) -> None:
    keys = put(storage, "prod/__/none", ["顧客", "顧客"])
    assert find_dump(storage, "prod/__").key == keys[1]


def test_a_prefix_of_old_keys_does_not_hide_that_new_dumps_are_elsewhere(
    storage: CountedStorage,
) -> None:
    keys = put(storage, "prod/sales_eu/none", ["sales.eu"])
    new = str(DumpKey.new(instance="prod", database="sales.eu", config="none", created_at=START))
    write(storage, new, archive_of("sales.eu"))
    folder = new.rpartition("/")[0]
    with pytest.raises(InvalidInputError, match="whose new ones are elsewhere") as caught:
        find_dump(storage, "prod/sales_eu/none")
    assert f"Use the prefix {folder}," in str(caught.value)
    assert find_dump(storage, folder).key == new
    assert find_dump(storage, keys[0]).key == keys[0]


def test_a_prefix_reads_the_newest_manifest_alone_and_only_where_the_key_does_not_tell(
    storage: CountedStorage,
) -> None:
    put(storage, "prod/sales/none", ["sales"] * 3)
    keys = put(storage, "prod/sales_eu/none", ["sales_eu"] * 3)
    find_dump(storage, "prod/sales")
    find_dump(storage, "prod")
    assert storage.read_paths == set()
    find_dump(storage, "prod/sales_eu")
    assert storage.read_paths == {keys[2]}


LATER = START + timedelta(days=10)


def test_a_prune_keeps_old_dumps_that_may_be_of_another_instance(
    storage: CountedStorage, caplog: pytest.LogCaptureFixture
) -> None:
    old = put(storage, "sales_eu/shop/none", ["shop", "shop", None])
    new = put(storage, "sales_eu/shop/none", ["shop"] * 3, start=LATER, instance="sales_eu")
    assert pruned(storage, "sales_eu", keep_last=1) == new[:2]
    assert f"2 dumps of an earlier version are kept, such as {old[0]}" in caplog.text
    assert f"{old[2]} is kept: it cannot be read" in caplog.text
    assert pruned(storage, "*", keep_last=1) == []


def test_a_prune_counts_dumps_that_tell_their_instance(storage: CountedStorage) -> None:
    keys = put(storage, "sales_eu/shop/none", ["shop", None, "shop"], instance="sales_eu")
    assert pruned(storage, "sales_eu", keep_last=1) == keys[:2]


def test_an_old_dump_is_of_its_instance_where_no_other_can_have_the_part(
    storage: CountedStorage,
) -> None:
    keys = put(storage, "prod/sales_eu/none", ["sales_eu"] * 3)
    assert pruned(storage, "prod", keep_last=1) == keys[:2]


@pytest.mark.parametrize("prefix", ["sales_eu", "sales_eu/shop", "sales_eu/shop/none"])
def test_a_prefix_does_not_take_one_instance_for_another(
    storage: CountedStorage, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = put(storage, "sales_eu/shop/none", ["shop"])[0]
    assert find_dump(storage, prefix).key == old
    assert f"{old} does not tell its instance" in caplog.text
    of_other = DumpKey.new(instance="sales.eu", database="shop", config="none", created_at=LATER)
    write(storage, str(of_other), archive_of("shop", of_other.instance))
    with pytest.raises(InvalidInputError, match="may be of another instance, such as that of") as e:
        find_dump(storage, prefix)
    assert of_other.instance in str(e.value)
    assert find_dump(storage, old).key == old
    assert find_dump(storage, of_other.series.rstrip("/")).key == str(of_other)
    new = put(storage, "sales_eu/shop/none", ["shop"], start=LATER, instance="sales_eu")[0]
    assert find_dump(storage, prefix).key == new
