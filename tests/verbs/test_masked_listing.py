"""Listing masked dumps, by little more than a look at the end of each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, CancelledError, InvalidInputError
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.repository.requirements import is_dump_masked
from airflow_provider_pgclone.core.repository.stored_archive import open_archive, read_manifest_of
from airflow_provider_pgclone.core.storage.local import LocalStorage
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.masked import MASKING, MaskedDump
from tests.support.fixtures.stock_tools import stock_archive


def keys(hook: PgCloneHook, **options: Any) -> list[str]:
    return [found.key for found in hook.ls(**options)]


def test_masked_dumps_are_listed_alone(
    shop: str,
    server: Server,
    make_hook: MakeHook,
    local_storage: Path,
    masked_dump: MaskedDump,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = make_hook(shop)
    older, plain, newer = masked_dump(hook), hook.dump(), masked_dump(hook)
    stock = stock_archive(server, shop, local_storage)
    assert keys(hook, masked=True) == [newer, older]
    assert set(keys(hook)) == {older, plain, newer, str(stock.relative_to(local_storage))}
    assert keys(hook, masked=False) == keys(hook)
    assert keys(hook, masked=True, limit=1) == [newer]
    assert "counts as not masked" not in caplog.text


def flipped(data: bytes) -> bytes:
    """Change a bit of the manifest, which is not far before the end."""
    place = len(data) - 100
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "flipped": (flipped, "the manifest at the end of the archive is damaged"),
    "cut": (lambda data: data[:-1], "the end is missing: the archive was cut"),
    "cut to a third": (lambda data: data[: len(data) // 3], "the end is missing"),
    "cut at the start": (lambda data: data[1:], "does not fit it: the archive is damaged"),
    "short": (lambda data: b"x", "is not an archive of pg_dump"),
    "empty": (lambda data: b"", "the archive is empty"),
    "other": (lambda data: b"x" * 10_000, "is not an archive of pg_dump"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_dump_counts_as_not_masked_and_hides_no_other(
    kind: str,
    shop: str,
    make_hook: MakeHook,
    local_storage: Path,
    masked_dump: MaskedDump,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage, message = DAMAGES[kind]
    hook = make_hook(shop)
    whole, damaged = masked_dump(hook), masked_dump(hook)
    assert keys(hook, masked=True) == [damaged, whole]
    path = local_storage / damaged
    path.write_bytes(damage(path.read_bytes()))
    assert keys(hook, masked=True) == [whole]
    assert f"{damaged} counts as not masked: " in caplog.text
    assert message in caplog.text
    with pytest.raises(ArchiveError, match=damaged):
        hook.restore(damaged, require_masked=True)


def test_a_dump_that_was_found_damaged_is_not_listed(
    shop: str, make_hook: MakeHook, local_storage: Path, masked_dump: MaskedDump
) -> None:
    """Since no restore would take it."""
    hook = make_hook(shop)
    key = masked_dump(hook)
    path = local_storage / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert keys(hook, masked=True) == [key]
    with pytest.raises(ArchiveError):
        hook.verify(key)
    assert keys(hook, masked=True) == []


def test_masked_dumps_may_be_asked_for_that_are_verified(
    shop: str, make_hook: MakeHook, masked_dump: MaskedDump
) -> None:
    hook = make_hook(shop)
    verified, unverified, plain = masked_dump(hook), masked_dump(hook), hook.dump()
    hook.verify(verified)
    hook.verify(plain)
    assert keys(hook, verified=True) == [plain, verified]
    assert keys(hook, masked=True) == [unverified, verified]
    assert keys(hook, masked=True, verified=True) == [verified]


@pytest.mark.parametrize("other", ["instances", "databases", "configs", "local", "files"])
def test_only_dumps_can_be_masked(other: str, make_hook: MakeHook, local_storage: Path) -> None:
    local_storage.mkdir()
    hook: Any = make_hook("shop")
    with pytest.raises(InvalidInputError, match=f"{other} and masked cannot be listed together"):
        hook.ls(masked=True, what=other)
    with pytest.raises(InvalidInputError, match=f"{other} and verified and masked cannot be"):
        hook.ls(verified=True, masked=True, what=other)


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What is read of which dump, from where to where."""
    read_range, found = LocalStorage.read_range, []

    def noted(self: LocalStorage, path: str, start: int, end: int) -> bytes:
        found.append((path, start, end))
        return read_range(self, path, start, end)

    monkeypatch.setattr(LocalStorage, "read_range", noted)
    return found


def test_a_listing_reads_the_ends_of_no_more_dumps_than_it_shows(
    shop: str,
    make_hook: MakeHook,
    local_storage: Path,
    masked_dump: MaskedDump,
    ranges: list[tuple[str, int, int]],
) -> None:
    hook = make_hook(shop)
    masked = [masked_dump(hook) for _ in range(3)]
    plain = hook.dump()
    storage = LocalStorage(str(local_storage))
    archive = open_archive(storage, find_dump(storage, masked[2]))
    last_block = archive.required_manifest.entries[-1].block
    ranges.clear()
    assert keys(hook, masked=True, limit=1) == [masked[2]]
    assert {path for path, _, _ in ranges} == {plain, masked[2]}
    starts = [start for path, start, _ in ranges if path == masked[2]]
    assert len(starts) == 2
    assert min(starts) == last_block.offset + last_block.length
    ranges.clear()
    assert len(keys(hook)) == 4
    assert ranges == []


def test_the_end_of_a_dump_tells_what_the_whole_does(
    shop: str, server: Server, make_hook: MakeHook, local_storage: Path, masked_dump: MaskedDump
) -> None:
    storage = LocalStorage(str(local_storage))
    found = find_dump(storage, masked_dump(make_hook(shop)))
    manifest = read_manifest_of(storage, found)
    assert manifest is not None
    assert manifest == open_archive(storage, found).manifest
    assert manifest.facts()["masking"] == MASKING
    stock = stock_archive(server, shop, local_storage)
    found = find_dump(storage, str(stock.relative_to(local_storage)))
    assert read_manifest_of(storage, found) is None


def test_a_dump_may_be_deleted_while_it_is_listed(
    shop: str, make_hook: MakeHook, local_storage: Path, masked_dump: MaskedDump
) -> None:
    storage = LocalStorage(str(local_storage))
    found = find_dump(storage, masked_dump(make_hook(shop)))
    cancellation = Cancellation()
    assert is_dump_masked(storage, found, cancellation)
    (local_storage / found.key).unlink()
    assert not is_dump_masked(storage, found, cancellation)
    cancellation.cancel()
    with pytest.raises(CancelledError):
        is_dump_masked(storage, found, cancellation)
