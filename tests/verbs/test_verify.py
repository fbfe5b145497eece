"""Verifying dumps, what is noted of it beside them, and who heeds that."""

from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    NotAllowedError,
    RestoreError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.replacing.locks import target_lock
from airflow_provider_pgclone.core.replacing.marker import Marker, set_comment
from airflow_provider_pgclone.core.repository.keys import DumpKey
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.servers import BUCKET
from tests.support.fixtures.stock_tools import stock_archive


def flip_a_bit(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("level", ["archive", "restore"])
def test_what_was_verified_is_noted_and_listed(
    level: str, shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    unverified, key = hook.dump(), hook.dump()
    before = server.names()
    assert hook.verify(shop_prefix(key), level=level) == key
    assert server.names() == before
    assert [(dump.key, dump.finding) for dump in hook.ls()] == [(key, level), (unverified, None)]
    assert [dump.key for dump in hook.ls(verified=True)] == [key]
    assert hook.ls(what="databases") == [shop]


def shop_prefix(key: str) -> str:
    return "/".join(key.split("/")[:2])


def test_records_are_kept_in_a_bucket_as_well(
    shop: str, make_hook: MakeHook, s3_connection: str
) -> None:
    location = f"s3://{BUCKET}/of/{shop}/"
    hook = make_hook(shop, storage_location=location, storage_conn_id=s3_connection)
    key = hook.dump()
    hook.verify(key)
    assert [dump.finding for dump in hook.ls(limit=1)] == ["archive"]
    hook.restore(key, require_verified=True)


def test_a_finding_of_one_level_does_not_hide_that_of_a_higher_one(
    shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.verify(key, level="restore")
    hook.verify(key, level="archive")
    assert hook.ls()[0].finding == "restore"


@pytest.mark.parametrize("level", ["archive", "restore"])
def test_a_damaged_dump_is_noted_and_not_restored_until_it_is_whole_again(
    level: str, shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.verify(key)
    path = local_storage / key
    middle = path.stat().st_size // 2
    flip_a_bit(path, middle)
    with pytest.raises(ArchiveError, match="differs from what was written"):
        hook.verify(key, level=level)
    assert hook.ls()[0].finding == "damaged"
    assert hook.ls(verified=True) == []
    server.run(shop, "DELETE FROM orders")
    with pytest.raises(ArchiveError, match="was found to be damaged by a verification"):
        hook.restore(key)
    assert server.value(shop, "SELECT count(*) FROM orders") == 0
    flip_a_bit(path, middle)
    hook.verify(key)
    hook.restore(key)
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


def test_a_record_of_other_bytes_does_not_count_beside_a_new_one(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key, other = hook.dump(), hook.dump()
    hook.verify(key, level="restore")
    (local_storage / key).write_bytes((local_storage / other).read_bytes())
    hook.verify(key, level="archive")
    assert hook.ls(key)[0].finding == "archive"
    hook.restore(key, require_verified=True)


def test_what_is_found_is_told_even_where_it_cannot_be_noted(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    flip_a_bit(local_storage / key, 2000)
    (local_storage / f"{key}.damaged").mkdir()
    with pytest.raises(ArchiveError):
        hook.verify(key)


def test_nothing_is_noted_unless_it_is_wanted(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.verify(key, record=False)
    flip_a_bit(local_storage / key, 2000)
    with pytest.raises(ArchiveError):
        hook.verify(key, record=False)
    assert hook.ls()[0].finding is None


def test_a_restore_may_require_a_verification(
    shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key, other = hook.dump(), hook.dump()
    server.run(shop, "DELETE FROM orders")
    with pytest.raises(UnsupportedError, match=f"{key} is not verified"):
        hook.restore(key, require_verified=True)
    hook.verify(key)
    # Another archive in the place of the one that was verified.
    (local_storage / key).write_bytes((local_storage / other).read_bytes())
    with pytest.raises(ArchiveError, match=r"record of .* belongs to another archive"):
        hook.restore(key, require_verified=True)
    assert server.value(shop, "SELECT count(*) FROM orders") == 0
    hook.verify(other)
    hook.restore(other, require_verified=True)
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


def test_a_stock_archive_is_verified_by_restoring_it(
    shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    path = stock_archive(server, shop, local_storage)
    key = str(path.relative_to(local_storage))
    hook = make_hook(shop)
    with pytest.raises(UnsupportedError, match="was not made by this package"):
        hook.verify(key)
    assert hook.verify(key, level="restore") == key
    # There is nothing by which a record could tell its bytes from others.
    assert hook.ls()[0].finding is None
    whole = path.read_bytes()
    path.write_bytes(whole[:100])  # within its table of contents
    with pytest.raises(ArchiveError):
        hook.verify(key, level="restore")
    assert hook.ls()[0].finding == "damaged"
    path.write_bytes(whole)
    hook.verify(key, level="restore")
    assert hook.ls()[0].finding is None
    with pytest.raises(UnsupportedError, match="no record can identify its bytes"):
        hook.restore(key, require_verified=True)
    path.write_bytes(whole[:-200])
    before = server.names()
    with pytest.raises(RestoreError):
        hook.verify(key, level="restore")
    assert server.names() == before


def test_a_drill_is_out_of_reach_of_others(shop: str, server: Server, make_hook: MakeHook) -> None:
    query = (
        "SELECT has_database_privilege('pg_monitor', oid, 'CONNECT') FROM pg_database "
        "WHERE datname LIKE '%\\_\\_drill\\_%'"
    )
    seen: list[tuple[bool]] = []

    def look(progress: Progress) -> None:
        seen.extend(server.rows("postgres", query))

    hook = make_hook(shop, progress_callback=look)
    hook.verify(hook.dump(), level="restore")
    assert set(seen) == {(False,)}


def test_a_drill_may_be_forbidden(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "False")
    with pytest.raises(NotAllowedError, match="verification by restore is not allowed"):
        hook.verify(key, level="restore")
    hook.verify(key)


def test_what_a_killed_drill_has_left_is_dropped_by_the_next(
    shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    dead, alive = f"{shop}__drill_00000001", f"{shop}__drill_00000002"
    with server.session("postgres") as session:
        for name in (dead, alive):
            server.run("postgres", f"CREATE DATABASE {name}")
            set_comment(session, name, Marker("drill", target=name, attempt=name[-8:]).text())
        with target_lock(session, alive, wait_seconds=0):
            hook.verify(key, level="restore")
    assert server.names() == {shop, alive}


def test_each_time_of_a_dump_is_listed_with_its_own_records(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    """Also among more files than a listing gives at once, for which it folds them."""
    hook = make_hook(shop)
    key = hook.dump()
    hook.verify(key)
    folder = (local_storage / key).parent
    for number in range(1500):
        name = f"2020-01-02-03-04-05-{number:06}"
        (folder / f"{name}.dump").touch()
        if number % 2:
            (folder / f"{name}.dump.verified_archive").touch()
    dumps = hook.ls()
    assert len(dumps) == 1501
    assert dumps[0].key == key
    assert sum(dump.is_verified for dump in dumps) == 751
    assert all(
        dump.is_verified == bool(DumpKey.parse(dump.key).created_at.microsecond % 2)
        for dump in dumps[1:]
    )
