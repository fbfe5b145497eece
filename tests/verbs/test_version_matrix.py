"""Dumps and copies from each version of PostgreSQL into each other, by the clients of all."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import RestoreError, UnsupportedError
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.every_kind import EVERY_KIND_SQL, split_small_tables
from tests.support.fixtures.fingerprint import Fingerprint, fingerprint
from tests.support.services.postgres_versions import MATRIX, VERSIONS, bin_dir_of

pytestmark = pytest.mark.skipif(not MATRIX, reason="takes minutes: make test-matrix")

MAJORS = sorted(VERSIONS)
PAIRS = [(source, target) for source in MAJORS for target in MAJORS]
SOURCE, RESTORED, COPIED = "every_kind", "restored", "copied"
# The first pg_restore that reads what each pg_dump writes.
FIRST_READER = {14: 14, 15: 14, 16: 16, 17: 17, 18: 17}
# What a version has learned, which those before it do not understand.
NEW_SQL = {
    15: "CREATE TABLE new (a int, UNIQUE NULLS NOT DISTINCT (a))",
    16: "CREATE TABLE new (a text); CREATE VIEW later AS SELECT a IS JSON AS is_json FROM new",
    17: "CREATE VIEW later AS SELECT * FROM json_table('[1]', '$[*]' COLUMNS (a int PATH '$'))",
    18: "CREATE TABLE new (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)",
}


@dataclass(frozen=True)
class Versions:
    """A server of each version, and one folder by whose name ``{major}`` finds each client."""

    servers: Callable[[int], Server]
    pg_bin_dir: str
    storage: Path

    def hook(self, major: int, database: str, *, pg_bin_dir: str | None = None) -> PgCloneHook:
        return PgCloneHook(
            conn_id(major),
            str(self.storage),
            database=database,
            pg_bin_dir=pg_bin_dir or self.pg_bin_dir,
        )

    def client(self, major: int) -> str:
        """Return the folder of the client of one version alone."""
        return self.pg_bin_dir.replace("{major}", str(major))


def conn_id(major: int) -> str:
    return f"postgres_{major}"


@pytest.fixture(scope="module")
def versions(open_tmp: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    """All versions; a server is started when it is first asked for."""
    clients = tmp_path_factory.mktemp("clients")
    for major in MAJORS:
        (clients / str(major)).symlink_to(bin_dir_of(major))
    running: dict[int, Server] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def server(major: int) -> Server:
            if major not in running:
                folder = open_tmp / f"pair{major}"
                folder.mkdir()
                started = stack.enter_context(postgres_server(folder, bin_dir_of(major)))
                running[major] = Server(started)
                patch.setenv(f"AIRFLOW_CONN_{conn_id(major).upper()}", started.uri(""))
            return running[major]

        storage = tmp_path_factory.mktemp("dumps")
        yield Versions(server, f"{clients}/{{major}}", storage)


@dataclass(frozen=True)
class Dumped:
    """A database, its dump and what it holds."""

    key: str
    expected: Fingerprint


@pytest.fixture(scope="module")
def dump_of(versions: Versions) -> Callable[[int], Dumped]:
    """A dump of the database of a version, with tables in ranges."""
    dumps: dict[int, Dumped] = {}

    def get(major: int) -> Dumped:
        if major not in dumps:
            server = versions.servers(major)
            server.run("postgres", f"CREATE DATABASE {SOURCE}")
            server.run(SOURCE, EVERY_KIND_SQL)
            with pytest.MonkeyPatch.context() as patch:
                split_small_tables(patch)
                key = versions.hook(major, SOURCE).dump(instance=conn_id(major), jobs=2)
            dumps[major] = Dumped(key, contents(server, SOURCE))
        return dumps[major]

    return get


def contents(server: Server, database: str) -> Fingerprint:
    """Return what a database holds, its schema in the words of the newest pg_dump."""
    return fingerprint(server, database, bin_dir_of(MAJORS[-1]))


def assert_same(found: Fingerprint, expected: Fingerprint) -> None:
    """Compare rows by a checksum of each table, sequences and large objects."""
    assert len(found.tables) >= 15
    assert by_root(found) == by_root(expected)
    assert found.sequences == expected.sequences
    assert found.large_objects == expected.large_objects


def by_root(of: Fingerprint) -> dict[str, tuple[int, int]]:
    """Add up the partitions of a table: by the hash of an enum, rows go to others elsewhere."""
    tables: dict[str, tuple[int, int]] = {}
    for name, (rows, checksum) in of.tables.items():
        root = re.sub(r'_\d+"$', '"', name)
        before = tables.get(root, (0, 0))
        tables[root] = (before[0] + rows, before[1] + checksum)
    return tables


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_dump_comes_back_on_every_version(
    source: int, target: int, versions: Versions, dump_of: Callable[[int], Dumped]
) -> None:
    dumped, server = dump_of(source), versions.servers(target)
    assert versions.hook(target, RESTORED).restore(dumped.key, jobs=2) == dumped.key
    restored = contents(server, RESTORED)
    assert_same(restored, dumped.expected)
    if source == target:
        assert restored.schema == dumped.expected.schema
    server.drop(RESTORED)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_copy_by_stream_goes_to_every_version(
    source: int, target: int, versions: Versions, dump_of: Callable[[int], Dumped]
) -> None:
    expected, server = dump_of(source).expected, versions.servers(target)
    versions.hook(source, SOURCE).copy(
        target=COPIED, target_postgres_conn_id=conn_id(target), method="stream", jobs=2
    )
    assert_same(contents(server, COPIED), expected)
    server.drop(COPIED)


@pytest.mark.parametrize(("source", "target"), [(s, t) for s, t in PAIRS if s > t])
def test_what_an_older_server_does_not_understand_leaves_its_database_alone(
    source: int, target: int, versions: Versions
) -> None:
    newer, older = versions.servers(source), versions.servers(target)
    newer.run("postgres", "CREATE DATABASE new")
    newer.run("new", NEW_SQL[source])
    key = versions.hook(source, "new").dump()
    newer.drop("new")
    older.run("postgres", "CREATE DATABASE old")
    older.run("old", "CREATE TABLE mine AS SELECT 42 AS answer")
    before = older.names()
    with pytest.raises(RestoreError, match="syntax error"):
        versions.hook(target, "old").restore(key)
    assert older.names() == before
    assert older.value("old", "SELECT answer FROM mine") == 42
    older.drop("old")


@pytest.mark.parametrize(("server", "client"), [(s, c) for s, c in PAIRS if c < s])
def test_an_older_client_dumps_nothing(server: int, client: int, versions: Versions) -> None:
    versions.servers(server)
    hook = versions.hook(server, "postgres", pg_bin_dir=versions.client(client))
    with pytest.raises(UnsupportedError, match=f"Install the client of PostgreSQL {server}"):
        hook.dump(instance="refused")
    assert hook.ls("refused") == []


@pytest.mark.parametrize(("source", "client"), [(s, c) for s, c in PAIRS if c < FIRST_READER[s]])
def test_an_older_client_restores_nothing(
    source: int, client: int, versions: Versions, dump_of: Callable[[int], Dumped]
) -> None:
    key, server = dump_of(source).key, versions.servers(client)
    before = server.names()
    hook = versions.hook(client, RESTORED, pg_bin_dir=versions.client(client))
    wanted = f"Install the client of PostgreSQL {FIRST_READER[source]} or newer"
    with pytest.raises(UnsupportedError, match=wanted):
        hook.restore(key)
    assert server.names() == before


@pytest.mark.parametrize("major", MAJORS)
def test_a_connection_to_each_version_is_good(major: int, versions: Versions) -> None:
    server = versions.servers(major)
    server.run("postgres", "CREATE DATABASE good")
    ok, said = versions.hook(major, "good").test_connection()
    server.drop("good")
    assert ok, said
    assert f"pg_restore {major} in {versions.client(major)}" in said
