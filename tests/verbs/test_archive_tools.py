"""Archives are restored by stock programs in every way, with the same database as a result.

In the matrix an archive of each version's server is restored by each version's programs that read
its format, into their own server and into that of the archive.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.postgres.clients import tool_major
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.every_kind import EVERY_KIND_SQL, split_small_tables
from tests.support.fixtures.fingerprint import Fingerprint, fingerprint
from tests.support.fixtures.stock_tools import WAYS, StockTools
from tests.support.services.postgres_versions import MATRIX, VERSIONS, bin_dir_of

# Stands for the version of the server that all tests run on.
INSTALLED = 0
# The first pg_restore that reads what each pg_dump writes: K_VERS_1_15 came with 16, 1_16 with 17.
FIRST_READER = {14: 14, 15: 14, 16: 16, 17: 17, 18: 17, INSTALLED: INSTALLED}
MAJORS = sorted(VERSIONS) if MATRIX else [INSTALLED]
# Of the archive, of the programs and of the server to restore to.
CASES = [
    (source, tools, target)
    for source in MAJORS
    for tools in MAJORS
    if tools >= FIRST_READER[source]
    for target in sorted({source, tools})
]
SOURCE = "every_kind"

ServerOf = Callable[[int], Server]
ArchiveOf = Callable[[int], Path]


@pytest.fixture(scope="module")
def server_of(request: pytest.FixtureRequest, open_tmp: Path) -> Iterator[ServerOf]:
    """The server of a version, which is started when first asked for."""
    with ExitStack() as stack:
        servers: dict[int, Server] = {}

        def get(major: int) -> Server:
            if major not in servers:
                if major == INSTALLED:
                    running = request.getfixturevalue("postgres")
                else:
                    folder = open_tmp / f"postgres{major}"
                    folder.mkdir()
                    running = stack.enter_context(postgres_server(folder, bin_dir_of(major)))
                servers[major] = Server(running)
            return servers[major]

        yield get
        if INSTALLED in servers:
            servers[INSTALLED].drop(SOURCE)


@pytest.fixture(scope="module")
def archive_of(server_of: ServerOf, tmp_path_factory: pytest.TempPathFactory) -> ArchiveOf:
    """A dump of a server's database, with tables in ranges."""
    folder = tmp_path_factory.mktemp("dumps")
    archives: dict[int, Path] = {}

    def get(major: int) -> Path:
        if major not in archives:
            server = server_of(major)
            server.run("postgres", f"CREATE DATABASE {SOURCE}")
            server.run(SOURCE, EVERY_KIND_SQL)
            with pytest.MonkeyPatch.context() as patch:
                split_small_tables(patch)
                patch.setenv("AIRFLOW_CONN_SOURCE", server.server.uri(SOURCE))
                hook = PgCloneHook("source", str(folder), pg_bin_dir=str(server.server.bin_dir))
                archives[major] = folder / hook.dump(jobs=3)
        return archives[major]

    return get


def _name(case: tuple[int, int, int]) -> str:
    return "{} by {} into {}".format(*(major or "installed" for major in case))


@pytest.fixture(params=CASES, ids=_name)
def case(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    versions: tuple[int, int, int] = request.param
    return versions


@pytest.fixture
def archive(archive_of: ArchiveOf, case: tuple[int, int, int]) -> Path:
    return archive_of(case[0])


@pytest.fixture
def source(server_of: ServerOf, case: tuple[int, int, int]) -> Server:
    return server_of(case[0])


@pytest.fixture
def tools_bin_dir(server_of: ServerOf, case: tuple[int, int, int]) -> Path:
    return server_of(case[1]).server.bin_dir


@pytest.fixture
def target(server_of: ServerOf, case: tuple[int, int, int]) -> Iterator[Server]:
    """The server to restore to, with an empty database named ``restored``."""
    server = server_of(case[2])
    server.run("postgres", "CREATE DATABASE restored TEMPLATE template0")
    yield server
    server.drop("restored")


@pytest.fixture
def tools(tools_bin_dir: Path, target: Server) -> StockTools:
    with target.connect("restored") as connection:
        major = connection.info.server_version // 10000
    return StockTools(tools_bin_dir, major, target.server.uri("restored"))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_restoring_gives_the_same_database(
    way: str, source: Server, archive: Path, tools: StockTools, target: Server
) -> None:
    tools.restore(way, archive)
    newest = max(source.server.bin_dir, target.server.bin_dir, key=major_of)
    restored, expected = (
        fingerprint(target, "restored", newest),
        fingerprint(source, SOURCE, newest),
    )
    if (major_of(source.server.bin_dir) < 15) != (major_of(target.server.bin_dir) < 15):
        restored, expected = without_public(restored), without_public(expected)
    assert restored == expected


def major_of(bin_dir: Path) -> int:
    return tool_major(str(bin_dir / "pg_dump"))


def without_public(of: Fingerprint) -> Fingerprint:
    """Leave out the owner and the rights of the schema public.

    An archive names them only where they are not those of its version, and 15 has others than 14:
    https://www.postgresql.org/docs/15/release-15.html.
    """
    about = r"--\n-- Name: (public; Type: SCHEMA|SCHEMA public; Type: ACL);.*?(?=--\n-- )"
    return replace(of, schema=re.sub(about, "", of.schema, flags=re.DOTALL))


def test_one_table_can_be_taken_out(
    source: Server, archive: Path, tools: StockTools, target: Server
) -> None:
    tools.restore_table(archive, "events")
    (rows,) = fingerprint(target, "restored").tables.items()
    assert rows == ('"public"."events"', fingerprint(source, SOURCE).tables['"public"."events"'])


def test_a_list_names_every_range(archive: Path, tools: StockTools) -> None:
    listed = tools.list(archive)
    assert listed.count(" TABLE DATA public events ") > 3
    assert listed.count(" TABLE DATA public empty ") == 1
