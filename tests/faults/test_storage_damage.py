"""Bytes that are not those that were written: no restore takes them."""

import subprocess
import threading
from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.archive.footer import read_footer, read_manifest
from airflow_provider_pgclone.core.archive.manifest import Manifest
from airflow_provider_pgclone.core.errors import ArchiveError, PgCloneError, StorageError
from tests.support.fixtures.faulty_storage import Stage
from tests.support.services import storage_faults as faults
from tests.support.services.faulty_s3 import Exchange

STOCK_KEY = "stock/shop/none/2026-11-20-02-00-00-000000.dump"


def manifest_of(data: bytes) -> Manifest:
    footer = read_footer(data, len(data))
    assert footer is not None
    values = read_manifest(data[footer.offset : footer.offset + footer.length], footer)
    return Manifest.from_json(values)


def middle_of(data: bytes, table: str) -> int:
    """Return a place in the rows of a table; without a name, in the large objects."""
    part = next(part for part in manifest_of(data).entries if part.table == table)
    return part.block.offset + part.block.length // 2


def middle_of_manifest(data: bytes) -> int:
    footer = read_footer(data, len(data))
    assert footer is not None
    return footer.offset + footer.length // 2


PLACES: dict[str, tuple[Callable[[bytes], int], str]] = {
    "toc": (lambda data: manifest_of(data).toc_bytes // 2, "the table of contents differs"),
    "rows": (lambda data: middle_of(data, "noise"), r"the data of public\.noise \(block \d+\)"),
    "small": (lambda data: middle_of(data, "notes"), r"the data of public\.notes \(block \d+\)"),
    "large object": (lambda data: middle_of(data, ""), r"the large objects \(block \d+\)"),
    "manifest": (middle_of_manifest, "the manifest at the end of the archive is damaged"),
    "footer": (lambda data: len(data) - 20, "the manifest at the end of the archive is damaged"),
    "magic": (lambda data: len(data) - 60, "the end is missing|does not fit"),
}


@pytest.mark.parametrize(
    "place",
    [pytest.param(p, marks=() if p == "rows" else pytest.mark.long) for p in PLACES],
)
def test_a_bit_that_flips_on_its_way_fails_the_restore(place: str, stage: Stage) -> None:
    find, message = PLACES[place]
    offset = find(stage.get(stage.dumped()))
    rule = stage.proxy.break_on(faults.read_of(offset), faults.flipped_bit(offset))
    with pytest.raises(ArchiveError, match=message) as raised:
        stage.hook(stage.target).restore("sound")
    assert rule.hits
    assert "\n" not in str(raised.value)
    stage.check_target_is_as_it_was()


def stock_archive(stage: Stage) -> bytes:
    """Return what pg_dump writes into a pipe, compressed by zlib."""
    server = stage.server.server
    argv = [str(server.bin_dir / "pg_dump"), "-Fc", "--compress=gzip:1"]
    done = subprocess.run(
        [*argv, "--dbname", server.uri(stage.source)], check=True, capture_output=True
    )
    return done.stdout


@pytest.mark.parametrize("is_ours", [True, pytest.param(False, marks=pytest.mark.long)])
def test_an_object_that_is_replaced_meanwhile_fails_the_restore(
    is_ours: bool, stage: Stage
) -> None:
    """The new one has the same tables and other rows, so that a mixture would be a database."""

    def dumped() -> bytes:
        return stage.get(stage.dumped()) if is_ours else stock_archive(stage)

    old = dumped()
    stage.server.run(stage.source, "UPDATE noise SET noise = gen_random_bytes(1000)")
    new = dumped()
    stage.put(STOCK_KEY, old)
    replacing = threading.Lock()
    is_replaced = threading.Event()

    def replaced(exchange: Exchange) -> None:
        # A client that does not wait long enough asks again, and must not get the old one then.
        with replacing:
            if not is_replaced.is_set():
                stage.put(STOCK_KEY, new)
                is_replaced.set()
        exchange.send(exchange.pass_on())

    # Past what is read ahead for the table of contents: the rows would all be of the new one then.
    rule = stage.proxy.break_on(faults.read_of(len(old) * 3 // 4), replaced)
    with pytest.raises(ArchiveError if is_ours else StorageError) as raised:
        stage.hook(stage.target).restore("stock")
    assert rule.hits
    assert "\n" not in str(raised.value)
    stage.discard_dump(STOCK_KEY)
    stage.check_target_is_as_it_was()


CUTS: dict[str, Callable[[int], int]] = {
    "nothing": lambda size: 0,
    "a header": lambda size: 11,
    "a part of the table of contents": lambda size: 1500,
    "a tenth": lambda size: size // 10,
    "a half": lambda size: size // 2,
    "nine tenths": lambda size: size * 9 // 10,
    "all but some bytes": lambda size: size - 40,
    "all but one byte": lambda size: size - 1,
}


@pytest.mark.long
def test_an_archive_of_pg_dump_that_is_cut_fails_the_restore(stage: Stage) -> None:
    archive = stock_archive(stage)
    for cut in CUTS.values():
        stage.put(STOCK_KEY, archive[: cut(len(archive))])
        with pytest.raises(PgCloneError) as raised:
            stage.hook(stage.target).restore("stock")
        assert "\n" not in str(raised.value)
        assert stage.rows(stage.target) == 7
    stage.discard_dump(STOCK_KEY)
    stage.check_target_is_as_it_was()


@pytest.mark.long
def test_an_archive_of_pg_dump_with_a_flipped_bit_fails_the_restore(stage: Stage) -> None:
    archive = stock_archive(stage)
    stage.put(STOCK_KEY, archive)
    for tenths in (3, 6, 9):
        offset = len(archive) * tenths // 10
        stage.proxy.mend()
        stage.proxy.break_on(faults.read_of(offset), faults.flipped_bit(offset))
        with pytest.raises(PgCloneError) as raised:
            stage.hook(stage.target).restore("stock")
        assert "\n" not in str(raised.value)
    stage.proxy.mend()
    assert stage.hook(stage.target).restore("stock") == STOCK_KEY
    stage.discard_dump(STOCK_KEY)
    stage.check_target_is_restored()
