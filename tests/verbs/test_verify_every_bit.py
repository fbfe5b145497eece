"""Verifying without a database: there is no bit of an archive whose flip is not found."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.stored_archive import check_bytes, open_archive
from airflow_provider_pgclone.core.storage.memory import MemoryStorage
from tests.support.fixtures.databases import MakeDatabase
from tests.support.fixtures.hooks import MakeHook


class Altered(MemoryStorage):
    """Holds one archive, whose bytes the test changes in place."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = bytearray(data)

    def read(self, path: str, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        yield bytes(self.data)

    def read_range(self, path: str, start: int, end: int) -> bytes:
        return bytes(self.data[start:end])


def test_each_bit_of_an_archive_is_accounted_for(
    make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    database = make_database("CREATE TABLE a AS SELECT 'text' AS b; SELECT lo_create(0)")
    key = make_hook(database).dump()
    storage = Altered((local_storage / key).read_bytes())
    dump = Dump(key, len(storage.data), datetime.now(UTC))
    check_bytes(open_archive(storage, dump), Cancellation())
    unnoticed = []
    for place in range(len(storage.data)):
        for bit in range(8):
            storage.data[place] ^= 1 << bit
            try:
                check_bytes(open_archive(storage, dump), Cancellation())
                unnoticed.append((place, bit))
            except PgCloneError:
                pass
            storage.data[place] ^= 1 << bit
    assert unnoticed == []


@pytest.mark.parametrize("missing", [1, 5, 70, 300])
def test_an_archive_that_was_cut_is_noticed(
    missing: int, make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    database = make_database("CREATE TABLE a AS SELECT 'text' AS b")
    key = make_hook(database).dump()
    storage = Altered((local_storage / key).read_bytes()[:-missing])
    with pytest.raises(PgCloneError, match=r"was cut|damaged"):
        check_bytes(
            open_archive(storage, Dump(key, len(storage.data), datetime.now(UTC))), Cancellation()
        )
