"""What pg_dump is told to leave out, by a filter and by arguments: these tables, and no others."""

import os
import subprocess
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.archive.toc import TableName, read_toc
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres.clients import tool_major
from airflow_provider_pgclone.core.reading import table_choice, table_filter
from airflow_provider_pgclone.core.reading.table_filter import (
    argument_bytes,
    exclude_arguments,
    filter_lines,
    most_argument_bytes,
    room_for_arguments,
)
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

SCHEMA = 'o"d\\d\r\n.S*'
NAMES = [
    *(
        "plain",
        "Upper",
        "ünï",
        "日本",
        "🦄",
        "a.b",
        ".",
        "a b",
        " a",
        " ",
        "a\tb",
        "a,b",
        "#",
        "a#b",
    ),
    *('"', '""', 'a"b', 'a"."b', "'", "a'b\\'", "\\", "a\\", "\\n", "a\\b", '"\\"'),
    *("\n", "a\nb", "\r", "a\rb", "\r\n", "a\n\r\nb\r", "\r" * 63, '"' * 63, "\\" * 63),
    *("*", "a*", "?", "a?b", "x[0-9]", "[]", "$", "a$", "(x)", "{x}", "^a|b$", "|", "-", "--x"),
    *("\x01", "\x0b", "\x7f", "\x85", "\xa0", "\u2028"),
]
# What the names above would match as patterns, or be were an escape lost.
OTHERS = ["a", "b", "ab", "nb", "anb", "arb", "aXb", "abc", "r", "n", "upper", "x0", "x", "XX"]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def odd_names(server: Server, make_database: MakeDatabase) -> str:
    statements = [
        f"CREATE TABLE {quote(schema)}.{quote(name)} (a int);"
        for schema in ("public", SCHEMA)
        for name in NAMES + OTHERS
    ]
    return make_database(f"CREATE SCHEMA {quote(SCHEMA)};" + "\n".join(statements))


@pytest.mark.parametrize("schema", ["public", SCHEMA])
@pytest.mark.parametrize("way", ["filter", "arguments"])
def test_a_name_of_any_characters_means_just_its_table(
    way: str, schema: str, server: Server, odd_names: str
) -> None:
    pg_dump = str(server.server.bin_dir / "pg_dump")
    if way == "filter" and tool_major(pg_dump) < table_filter.FIRST_FILTER_MAJOR:
        pytest.skip("this pg_dump has no filter")
    left_out: list[TableName] = [(schema, name) for name in NAMES]
    by_filter = way == "filter"
    archive = subprocess.run(
        [
            *(pg_dump, "--format=custom", "--dbname", server.server.uri(odd_names)),
            *(["--filter=-"] if by_filter else exclude_arguments(left_out)),
        ],
        input=filter_lines(left_out) if by_filter else b"",
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    toc = read_toc(iter([archive]))
    everything = {(s, name) for s in ("public", SCHEMA) for name in NAMES + OTHERS}
    with_data = {(entry.namespace, entry.tag) for entry in toc.entries if entry.has_data}
    assert with_data == everything - set(left_out)


def test_the_room_for_arguments_is_what_the_system_takes() -> None:
    def run(size: int) -> None:
        count = size // argument_bytes("x" * 1000)
        subprocess.run(["true", *["x" * 1000] * count], check=True)

    room = room_for_arguments([], {})
    assert room > 100 * 1024
    assert room_for_arguments(["x" * 991], {"y" * 500: "z" * 490}) == room - 2000
    run(room)
    with pytest.raises(OSError, match="too long"):
        run(most_argument_bytes() + 64 * 1024)


COUNT = 120
ROOM_FOR = 40


@pytest.fixture
def many_tables(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of many tables that all are planned; there is room for the names of some."""
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 1)
    taken = most_argument_bytes() - room_for_arguments([], {})
    # The names of 40 to 80 tables, since that of the connection's variables is not known.
    room = sum(argument_bytes(word) for word in exclude_arguments([("public", "t100")] * ROOM_FOR))
    monkeypatch.setattr(table_filter, "MOST_BYTES", taken + 2 * room)
    return make_database(
        f"DO $$BEGIN FOR n IN 1 .. {COUNT} LOOP "
        "EXECUTE format('CREATE TABLE t%s AS SELECT %s AS n', n, n); END LOOP; END$$"
    )


def parallel_tables(archive: Path) -> int:
    """Return how many tables of an archive were read in ranges."""
    with archive.open("rb") as file:
        toc = read_toc(iter(lambda: file.read(65536), b""))
    # The first dependency of pg_dump's own data is its table.
    tables = {entry.dump_id for entry in toc.entries if entry.description == "TABLE"}
    data = [entry for entry in toc.entries if entry.description == "TABLE DATA"]
    assert len(data) == COUNT
    return sum(entry.dependencies[0] not in tables for entry in data)


@pytest.mark.parametrize("way", ["filter", "arguments"])
def test_many_tables_do_not_overflow_the_command_line(
    way: str,
    server: Server,
    many_tables: str,
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "arguments":
        monkeypatch.setattr(table_filter, "FIRST_FILTER_MAJOR", 99)
    elif tool_major(str(server.server.bin_dir / "pg_dump")) < table_filter.FIRST_FILTER_MAJOR:
        pytest.skip("this pg_dump has no filter")
    archive = local_storage / make_hook(many_tables).dump(jobs=2)
    planned = parallel_tables(archive)
    if way == "filter":
        assert planned == COUNT
    else:
        assert ROOM_FOR < planned < 2 * ROOM_FOR
    target = f"{many_tables}_restored"
    server.run("postgres", f"CREATE DATABASE {target}")
    subprocess.run(
        [
            *(str(server.server.bin_dir / "pg_restore"), "--exit-on-error", "--jobs=2"),
            *("--dbname", server.server.uri(target), str(archive)),
        ],
        check=True,
    )
    assert fingerprint(server, target) == fingerprint(server, many_tables)


def test_patterns_that_are_too_long_for_the_system_are_refused(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    with pytest.raises(InvalidInputError, match="do not fit into the arguments of pg_dump"):
        make_hook(shop).dump(exclude=["users" + "|x" * 70_000])
    assert not list(local_storage.rglob("*.dump"))


def test_an_excluded_partition_is_left_out_whatever_the_encoding_of_its_name(
    server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    options = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    server.run("postgres", f"CREATE DATABASE latin {options}")
    server.run(
        "latin",
        """
        CREATE TABLE events (day int, secret text) PARTITION BY RANGE (day);
        CREATE TABLE "été" PARTITION OF events FOR VALUES FROM (0) TO (10);
        INSERT INTO events VALUES (1, 'canary');
        """,
    )
    archive = local_storage / make_hook("latin").dump(exclude=["events"])
    script = subprocess.run(
        [str(server.server.bin_dir / "pg_restore"), "--file=-", str(archive)],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert b"PARTITION" in script
    assert b"canary" not in script
