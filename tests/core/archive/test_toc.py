import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.encoding import MAGIC
from airflow_provider_pgclone.core.archive.footer import manifest_head
from airflow_provider_pgclone.core.archive.toc import Toc, TocEntry, read_toc, write_toc
from airflow_provider_pgclone.core.errors import ArchiveError, PgCloneError, UnsupportedError
from tests.core.conftest import RunTool
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server

# The bytes of an archive are the same for each example.
of_one_archive = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)


@pytest.fixture
def archive(run_tool: RunTool, make_database: MakeDatabase) -> bytes:
    return dump(run_tool, make_database(SHOP_SQL))


def dump(run_tool: RunTool, database: str, *arguments: str) -> bytes:
    result = run_tool("pg_dump", database, "--format=custom", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def in_chunks(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def toc_bytes(content: bytes) -> int:
    """Return how many bytes come before the data, by giving them one at a time."""
    taken = itertools.count()
    read_toc(bytes([byte]) for byte in content if next(taken) >= 0)
    return next(taken)


def entry(toc: Toc, description: str, tag: str) -> TocEntry:
    (found,) = (e for e in toc.entries if (e.description, e.tag) == (description, tag))
    return found


def test_an_archive_tells_its_version_and_origin(archive: bytes) -> None:
    toc = read_toc(iter([archive]))
    assert toc.version == (1, 16)
    assert toc.first_reader == 17
    assert toc.compression == "gzip"
    assert toc.database.startswith("shop")
    assert toc.server_version.startswith("17.")
    assert toc.pg_dump_version.startswith("17.")


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
def test_an_archive_tells_its_compression(
    run_tool: RunTool, make_database: MakeDatabase, compression: str
) -> None:
    content = run_tool("pg_dump", make_database("SELECT 1"), "-Fc", f"--compress={compression}")
    if b"not supported" in content.stderr or b"does not support" in content.stderr:
        pytest.skip(f"this pg_dump has no {compression}")
    assert read_toc(iter([content.stdout])).compression == compression


def test_the_entries_are_those_that_pg_restore_lists(archive: bytes, run_tool: RunTool) -> None:
    listed = run_tool_list(run_tool, archive)
    assert len(listed) > 10
    # pg_restore shows neither the entries that it does itself nor the schema of none.
    ours = {
        f"{e.dump_id}; {e.description} {e.namespace or '-'} {e.tag}"
        for e in read_toc(iter([archive])).entries
    }
    assert listed <= ours


def run_tool_list(run_tool: RunTool, archive: bytes) -> set[str]:
    """Return what ``pg_restore --list`` shows, without OIDs and owners."""
    result = run_tool("pg_restore", "unused", "--list", stdin=archive)
    lines = [line for line in result.stdout.decode().splitlines() if not line.startswith(";")]
    words = [line.split() for line in lines]
    return {" ".join([first, *rest[2:-1]]) for first, *rest in words}


def test_an_entry_has_its_definition_and_what_it_depends_on(archive: bytes) -> None:
    toc = read_toc(iter([archive]))
    table = entry(toc, "TABLE", "users")
    data = entry(toc, "TABLE DATA", "users")
    assert table.namespace == "public"
    assert table.definition.startswith("CREATE TABLE public.users (")
    assert data.copy_statement == "COPY public.users (id, email) FROM stdin;\n"
    assert data.dependencies == (table.dump_id,)


def test_the_owners_are_the_roles_that_own_something(
    run_tool: RunTool, server: Server, make_database: MakeDatabase
) -> None:
    server.run("postgres", 'CREATE ROLE "odd owner"')
    name = make_database('CREATE TABLE t (); ALTER TABLE t OWNER TO "odd owner"')
    try:
        toc = read_toc(iter([dump(run_tool, name)]))
    finally:
        server.drop(name)
        server.run("postgres", 'DROP ROLE "odd owner"')
    assert entry(toc, "TABLE", "t").owner == "odd owner"
    assert toc.owners == {"odd owner"}


def test_the_options_of_the_database_are_in_every_archive(archive: bytes) -> None:
    options = read_toc(iter([archive])).database_options
    assert options == {"ENCODING": "UTF8", "LOCALE_PROVIDER": "libc", "LOCALE": "C"}


def test_the_name_of_a_database_is_not_taken_for_its_options(
    run_tool: RunTool, server: Server
) -> None:
    name = "odd LC_COLLATE = 'x' \"ENCODING = 'LATIN1'"
    identifier = '"' + name.replace('"', '""') + '"'
    server.run(
        "postgres",
        f"CREATE DATABASE {identifier} TEMPLATE template0 ENCODING 'UTF8' "
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
    )
    content = dump(run_tool, "dbname='" + name.replace("'", "\\'") + "'")
    assert read_toc(iter([content])).database_options == {
        "ENCODING": "UTF8",
        "LOCALE_PROVIDER": "builtin",
        "LOCALE": "C",
        "BUILTIN_LOCALE": "C.UTF-8",
    }


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_size_of_the_chunks_does_not_matter(archive: bytes, size: int) -> None:
    assert read_toc(in_chunks(archive, size)) == read_toc(iter([archive]))


def test_no_more_chunks_are_taken_than_needed(archive: bytes) -> None:
    chunks = in_chunks(archive, 1)
    read_toc(chunks)
    assert sum(map(len, chunks)) == len(archive) - toc_bytes(archive)


def test_an_archive_that_is_cut_within_its_toc_is_never_read(archive: bytes) -> None:
    end = toc_bytes(archive)
    assert end > 1000
    for cut in range(end):
        with pytest.raises(ArchiveError):
            read_toc(iter([archive[:cut]]))
    assert read_toc(iter([archive[:end]])) == read_toc(iter([archive]))


@of_one_archive
@given(data=st.data())
def test_flipped_bits_give_a_toc_or_one_of_our_errors(archive: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive)
    bits = st.integers(0, 8 * toc_bytes(archive) - 1)
    for bit in data.draw(st.lists(bits, min_size=1, max_size=4)):
        damaged[bit // 8] ^= 1 << bit % 8
    read_or_our_error(bytes(damaged))


@given(st.binary(max_size=200))
def test_garbage_gives_one_of_our_errors(garbage: bytes) -> None:
    read_or_our_error(garbage)


@given(st.integers(12, 16), st.integers(0, 9), st.integers(0, 9), st.binary(max_size=400))
def test_garbage_after_a_good_start_gives_a_toc_or_one_of_our_errors(
    minor: int, int_bytes: int, offset_bytes: int, garbage: bytes
) -> None:
    read_or_our_error(MAGIC + bytes([1, minor, 0, int_bytes, offset_bytes, 1]) + garbage)


def read_or_our_error(content: bytes) -> None:
    try:
        toc = read_toc(iter([content]))
    except PgCloneError:
        return
    assert toc.owners is not None
    assert toc.database_options is not None
    # A restore writes it anew, and looks for a manifest with an id of its own.
    assert len(read_toc(iter([write_toc(toc)])).entries) == len(toc.entries)
    assert manifest_head(toc.unused_id, 1)


@pytest.mark.parametrize(("major", "minor"), [(1, 17), (2, 0), (1, 11), (0, 0)])
def test_an_unknown_version_is_named(archive: bytes, major: int, minor: int) -> None:
    newer = MAGIC + bytes([major, minor]) + archive[len(MAGIC) + 2 :]
    with pytest.raises(UnsupportedError, match=rf"format {major}\.{minor}"):
        read_toc(iter([newer]))


def test_another_format_than_custom_is_refused(
    run_tool: RunTool, make_database: MakeDatabase
) -> None:
    name = make_database("SELECT 1")
    for other, reason in {"plain": "PGDMP", "tar": "PGDMP"}.items():
        content = run_tool("pg_dump", name, f"--format={other}").stdout
        with pytest.raises(ArchiveError, match=reason):
            read_toc(iter([content]))


def test_an_empty_object_is_refused() -> None:
    with pytest.raises(ArchiveError):
        read_toc(iter([]))
