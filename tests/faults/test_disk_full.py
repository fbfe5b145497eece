"""A disk of the server that is full in the middle of a restore."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import PgCloneError, RestoreError
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import NOBODY, postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

MIB = 1024 * 1024
# PostgreSQL says the second where the last page fits in part.
FULL = "No space left on device|Check free disk space"
NOISE_SQL = """
CREATE EXTENSION pgcrypto;
CREATE TABLE noise AS SELECT n, gen_random_bytes(1000) AS noise FROM generate_series(1, {rows}) n;
"""


class Disk:
    """A file system of its own, of a size that can be changed."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs")
        os.chown(folder, NOBODY, NOBODY)

    def resize(self, mib: int) -> None:
        self._mount("-o", f"remount,size={mib}m")

    def fill(self) -> Path:
        """Take all its room, and return the file that does."""
        ballast = self.folder / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * MIB)
        return ballast

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True, capture_output=True)

    def _mount(self, *arguments: str) -> None:
        command = ["mount", *arguments, str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def make_disk(open_tmp: Path) -> Iterator[Callable[[int], Disk]]:
    made: list[Disk] = []

    def make(mib: int) -> Disk:
        folder = Path(tempfile.mkdtemp(dir=open_tmp))
        folder.chmod(0o755)
        try:
            made.append(Disk(folder / "disk", mib))
        except (PermissionError, FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here: {error}")
        return made[-1]

    yield make
    for disk in made:
        disk.close()


@pytest.fixture
def small_disk(make_disk: Callable[[int], Disk], server: Server) -> Iterator[Disk]:
    """The disk of a tablespace; what is written ahead of it has room elsewhere."""
    disk = make_disk(48)
    server.run("postgres", f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
    before = server.names()
    yield disk
    disk.resize(200)
    for name in server.names() - before:
        server.drop(name)
    server.run("postgres", "DROP TABLESPACE small")


@pytest.fixture
def target(small_disk: Disk, server: Server) -> str:
    """A database whose files have all their room.

    Those of a new one are sparse until a checkpoint, which every DROP DATABASE waits for: on a full
    disk it would fail.
    """
    server.run("postgres", "CREATE DATABASE target TABLESPACE small")
    server.run("target", "CREATE TABLE mine AS SELECT generate_series(1, 1000) AS n")
    server.run("target", "CHECKPOINT")
    return "target"


def make_source(server: Server, name: str, rows: int, more: str = "") -> str:
    server.run("postgres", f"CREATE DATABASE {name}")
    server.run(name, NOISE_SQL.format(rows=rows) + more)
    return name


@pytest.mark.parametrize("jobs", [3, pytest.param(1, marks=pytest.mark.long)])
def test_while_rows_are_loaded(
    jobs: int,
    server: Server,
    target: str,
    small_disk: Disk,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch, 2 * MIB)
    source = make_source(server, "source", 40_000)
    key = make_hook(source).dump()
    before = fingerprint(server, target)
    with pytest.raises(RestoreError, match=FULL) as raised:
        make_hook(target).restore(key, jobs=jobs)
    assert_is_one_line(raised.value)
    assert server.names() == {source, target}
    assert fingerprint(server, target) == before
    small_disk.resize(200)
    make_hook(target).restore(key, jobs=jobs)
    assert fingerprint(server, target) == fingerprint(server, source)
    assert server.names() == {source, target}


@pytest.mark.long
def test_while_an_index_is_built(
    server: Server, target: str, small_disk: Disk, make_hook: MakeHook
) -> None:
    indexes = "".join(f"CREATE INDEX ON noise (noise, n, ({n}));" for n in range(4))
    source = make_source(server, "source", 9_000, indexes)
    key = make_hook(source).dump()
    before = fingerprint(server, target)
    with pytest.raises(RestoreError, match=FULL) as raised:
        make_hook(target).restore(key)
    assert "INDEX" in str(raised.value)
    assert_is_one_line(raised.value)
    assert server.names() == {source, target}
    assert fingerprint(server, target) == before


@pytest.mark.long
def test_while_a_database_is_copied(
    server: Server, target: str, small_disk: Disk, make_hook: MakeHook
) -> None:
    """By files: what PostgreSQL copies by its log takes its room at the next checkpoint only."""
    source = make_source(server, "source", 15_000)
    hook = make_hook(target)
    hook.restore(make_hook(source).dump())
    with pytest.raises(PgCloneError, match=FULL) as raised:
        hook.copy(":copied", strategy="file_copy")
    assert_is_one_line(raised.value)
    assert server.names() == {source, target}
    assert fingerprint(server, target) == fingerprint(server, source)
    small_disk.resize(200)
    hook.copy(":copied", strategy="file_copy")
    assert fingerprint(server, "copied") == fingerprint(server, source)


@pytest.mark.long
def test_a_server_that_stops_for_want_of_room_comes_back_with_the_target_whole(
    make_disk: Callable[[int], Disk], local_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is written ahead finds no room, the whole server goes down."""
    disk = make_disk(400)
    settings = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
    with postgres_server(disk.folder, settings=settings) as started:
        server = Server(started)
        monkeypatch.setenv("AIRFLOW_CONN_OWN", started.uri(""))
        monkeypatch.setenv("AIRFLOW__PGCLONE__PG_BIN_DIR", str(started.bin_dir))
        source = make_source(server, "source", 20_000)
        key = PgCloneHook("own", str(local_storage), database=source).dump()
        server.run("postgres", "CREATE DATABASE target")
        server.run("target", "CREATE TABLE mine AS SELECT generate_series(1, 1000) AS n")
        before = fingerprint(server, "target")
        hook = PgCloneHook("own", str(local_storage), database="target")

        ballast = disk.fill()
        with pytest.raises(PgCloneError) as raised:
            hook.restore(key)
        assert_is_one_line(raised.value)
        ballast.unlink()
        with suppress(RuntimeError):  # it may have stopped by itself, or not
            started.stop("immediate")
        started.start()
        assert fingerprint(server, "target") == before
        hook.restore(key)
        assert fingerprint(server, "target") == fingerprint(server, source)
        assert server.names() == {source, "target"}


def assert_is_one_line(error: PgCloneError) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 400
