import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.catalog.patterns import (
    display_name,
    parse_column_pattern,
    parse_schema_pattern,
    parse_table_pattern,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import MakeDatabase, Server

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("users", "users", True),
        ("users", "users2", False),
        ("user", "users", False),
        ("USERS", "users", True),
        ("users", "USERS", False),
        ("Users", "Users", False),
        ('"Users"', "Users", True),
        ('U"SERS"', "uSERS", True),
        ("Größe", "größe", True),
        ("GRÖSSE", "grÖsse", True),
        ("GRÖSSE", "grösse", False),
        ("user*", "users", True),
        ("user*", "user", True),
        ("*", "anything\nat all", True),
        ('"user*"', "users", False),
        ('"user*"', "user*", True),
        ("user?", "users", True),
        ("user?", "user", False),
        ('"user?"', "users", False),
        ("user[sz]", "usersz", False),
        ("user[sz]", "userz", True),
        ("a|b", "b", True),
        ("a|b", "ab", False),
        ("user[]", "user[]", True),
        ("user[]s]", "user[]s]", True),
        ("user[]s]", "users", False),
        ("user(s)+", "userss", True),
        ('"user(s)+"', "users", False),
        ("us$er", "us$er", True),
        ("user$", "user", False),
        ('"us$er"', "us$er", True),
        ('"a.b"', "a.b", True),
        ('"a.b"', "axb", False),
        ('"say ""hi"""', 'say "hi"', True),
        ('"a b"', "a b", True),
        ('"back\\slash"', "back\\slash", True),
    ],
)
def test_a_pattern_matches_whole_names_as_psql_has_it(
    pattern: str, name: str, matches: bool
) -> None:
    assert bool(parse_table_pattern(pattern).name.fullmatch(name)) is matches


def test_a_dot_outside_of_quotes_separates_schema_and_table() -> None:
    pattern = parse_table_pattern('Audit*."Log.2026"')
    assert pattern.schema is not None
    assert pattern.schema.fullmatch("audit_eu")
    assert pattern.name.fullmatch("Log.2026")


def test_without_a_dot_there_is_no_schema() -> None:
    assert parse_table_pattern("users").schema is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "public.",
        ".users",
        "a.b.c",
        '"open',
        'a"',
        '""',
        "a(",
        "[z-a]",
        "+",
        "a{99999999999}",
    ],
)
def test_what_is_no_table_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_table_pattern(text)


def test_a_character_class_is_refused_since_it_would_mean_something_else_here() -> None:
    with pytest.raises(InvalidInputError, match=r"\[\[:digit:\]\]"):
        parse_table_pattern("events_[[:digit:]]")


def test_a_schema_pattern_has_no_dot() -> None:
    assert parse_schema_pattern("Pub*").fullmatch("public")
    assert parse_schema_pattern('"a.b"').fullmatch("a.b")


IN_QUOTES = "Put a name that contains a dot in double quotes."


@pytest.mark.parametrize(
    ("parse", "text", "message", "hint"),
    [
        (
            parse_table_pattern,
            "a.b.c",
            "the table pattern 'a.b.c' has too many dots",
            f"Write schema.table. {IN_QUOTES}",
        ),
        (
            parse_column_pattern,
            "a.b.c.d",
            "the column pattern 'a.b.c.d' has too many dots",
            f"Write schema.table.column. {IN_QUOTES}",
        ),
        (
            parse_schema_pattern,
            "public.users",
            "the schema pattern 'public.users' has a dot",
            IN_QUOTES,
        ),
        (parse_column_pattern, "a..b", "'a..b' is not a valid name pattern", None),
        (
            parse_schema_pattern,
            "a(",
            "'a(' is not a valid name pattern: missing ), unterminated subpattern at position 1",
            None,
        ),
    ],
)
def test_a_pattern_that_is_refused_is_named_with_what_to_write(
    parse: Callable[[str], object], text: str, message: str, hint: str | None
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


USERS_ID = ("public", "users", "id")


@pytest.mark.parametrize(
    ("pattern", "column", "matches"),
    [
        ("id", USERS_ID, True),
        ("ID", USERS_ID, True),
        ("i", USERS_ID, False),
        ("users.id", USERS_ID, True),
        ("users.id", ("audit", "users", "id"), True),
        ("users.id", ("public", "orders", "id"), False),
        ("users.id", ("public", "users", "name"), False),
        ("public.users.id", USERS_ID, True),
        ("public.users.id", ("audit", "users", "id"), False),
        ("public.users.id", ("public", "orders", "id"), False),
        ("public.users.id", ("public", "users", "name"), False),
        ("p*.u*.*", USERS_ID, True),
        ('*."users.id"', ("public", "a", "users.id"), True),
        ('*."users.id"', USERS_ID, False),
    ],
)
def test_a_column_pattern_reads_its_parts_from_the_right(
    pattern: str, column: tuple[str, str, str], matches: bool
) -> None:
    assert parse_column_pattern(pattern).matches(*column) is matches


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (("users",), "users"),
        (("public", "users_2"), "public.users_2"),
        (("Public", "users"), '"Public".users'),
        (("a.b", "2nd"), '"a.b"."2nd"'),
        (('say "hi"',), '"say ""hi"""'),
        (("größe", ""), '"größe".""'),
    ],
)
def test_names_are_shown_as_they_may_be_written(parts: tuple[str, ...], shown: str) -> None:
    assert display_name(*parts) == shown


@given(st.tuples(names, names, names))
def test_a_shown_name_is_a_pattern_of_that_name_alone(parts: tuple[str, str, str]) -> None:
    pattern = parse_column_pattern(display_name(*parts))
    assert pattern.matches(*parts)
    for place in range(3):
        other = [*parts[:place], f"{parts[place]}x", *parts[place + 1 :]]
        assert not pattern.matches(*other)


TABLES = [
    ("public", name)
    for name in (
        *("users", "Users", "USERS", "users2", "user", "us$er", "a.b", "axb", "a b", 'q"q'),
        *(
            "größe",
            "GRÖSSE",
            "grÖsse",
            "t[]",
            "t(1)",
            "t1",
            "ta",
            "back\\slash",
            "new\nline",
            "a|b",
        ),
    )
] + [("Audit", "users"), ("audit", "users"), ("audit", "log"), ("a.b", "users")]

PATTERNS = [
    *("users", "USERS", '"Users"', 'u"SERS"', "user?", "user*", "user", "us$er", '"us$er"'),
    *('"a.b"', "a?b", '"a b"', '"q""q"', "größe", "GRÖSSE", "Gr*", "t[]", "t[a-z]", "t.1"),
    *("t[0-9]+", '"t(1)"', '"back\\slash"', "new?line", "a|b", '"a|b"', "ta|users", "*"),
    *("*.users", "audit.users", '"Audit".users', "Audit.*", '"a.b".users', "pg_c*.pg_class"),
    *("public.user*", '*."users2"', "(users)", "users{1}"),
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def left_out_by_pg_dump(server: Server, database: str, pattern: str) -> set[tuple[str, str]]:
    """Return the tables whose data is not in a dump that excludes the pattern."""
    dumped = subprocess.run(
        [
            server.server.bin_dir / "pg_dump",
            *("--data-only", "--inserts", f"--exclude-table-data={pattern}"),
            server.server.uri(database),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {table for table in TABLES if marker(table) not in dumped}


def marker(table: tuple[str, str]) -> str:
    return f"row {TABLES.index(table):03}"


def matched_by_us(server: Server, database: str, pattern_text: str) -> set[tuple[str, str]]:
    pattern = parse_table_pattern(pattern_text)
    rows = server.rows(
        database,
        "SELECT nspname, relname, pg_table_is_visible(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r'",
    )
    return {
        (schema, name)
        for schema, name, visible in rows
        if pattern.name.fullmatch(name)
        and (visible if pattern.schema is None else pattern.schema.fullmatch(schema))
    } & set(TABLES)


@pytest.fixture
def odd_tables(make_database: MakeDatabase) -> str:
    schemas = sorted({schema for schema, _ in TABLES} - {"public"})
    statements = [f"CREATE SCHEMA {quoted(schema)};" for schema in schemas]
    for table in TABLES:
        name = ".".join(map(quoted, table))
        statements.append(f"CREATE TABLE {name} (x text);")
        statements.append(f"INSERT INTO {name} VALUES ('{marker(table)}');")
    return make_database("\n".join(statements))


def test_a_pattern_matches_exactly_the_tables_that_pg_dump_leaves_out(
    server: Server, odd_tables: str
) -> None:
    ours = {pattern: matched_by_us(server, odd_tables, pattern) for pattern in PATTERNS}
    pg_dumps = {pattern: left_out_by_pg_dump(server, odd_tables, pattern) for pattern in PATTERNS}
    assert ours == pg_dumps
    assert sum(map(len, ours.values())) > len(PATTERNS)
