"""Rows that are copied in the binary format of COPY arrive as they were; others come as text."""

from collections.abc import Mapping, Sequence

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.reading import binary_tables, open_snapshot, psql, table_choice
from airflow_provider_pgclone.core.reading.binary_format import GAINS
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, copy_query
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

_DATES = ("-infinity", "4713-01-01 BC", "1999-12-31", "2000-01-01", "5874897-12-31", "infinity")
_TIMES = ("-infinity", "4713-01-01 00:00:00 BC", "1999-12-31 23:59:59.999999", "infinity")
# The limits of each type, and what its text would have to escape.
VALUES: Mapping[str, Sequence[str]] = {
    "bool": ("true", "false"),
    "int2": ("-32768", "0", "32767"),
    "int4": ("-2147483648", "0", "10", "2147483647"),
    "int8": ("-9223372036854775808", "2570", "9223372036854775807"),
    "float4": ("NaN", "-Infinity", "-0", "1.1754944e-38", "3.4028235e38"),
    "float8": ("NaN", "Infinity", "-0", "5e-324", "0.1", "1.7976931348623157e308"),
    "numeric": ("NaN", "0", "0.000", "-1e-300", "1e300", "12345678901234567890.0987654321"),
    "money": ("-92233720368547758.08", "0", "0.01"),
    "text": ("", "\\.", "\\N", "a\tb\nc\\d\r", "ü€😀", "\n", "x" * 9000),
    "varchar": ("", "\\.\n", "ä"),
    "bpchar": ("", " a  ", "\\N"),
    "bytea": ("", "\\x00ff0a5c2e", "\\xffff"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "json": ('{"b": 1,  "a": "\\n"}', "null", "[]"),
    "jsonb": ('{"b": 1, "a": "\\u00fc"}', "null", "1e5", '"\\\\."'),
    "inet": ("0.0.0.0/0", "10.1.2.3/8", "::1", "2001:db8::/32"),
    "cidr": ("10.0.0.0/8", "2001:db8::/32"),
    "macaddr": ("08:00:2b:01:02:03",),
    "date": _DATES,
    "time": ("00:00:00", "23:59:59.999999", "24:00:00"),
    "timetz": ("00:00:00+15:59", "24:00:00-15:59"),
    "timestamp": _TIMES,
    "timestamptz": _TIMES,
    "interval": ("0", "-178000000 years", "1 mon -1 day 00:00:00.000001"),
    "bit": ("0", "1"),
    "varbit": ("", "101", "0" * 70),
    "int4range": ("empty", "(,)", "[1,5)", "[-2147483648,)"),
    "int8range": ("empty", "(,)", "[1,5)"),
    "numrange": ("empty", "(,)", "(0.10,1.5]", "[NaN,NaN]"),
    "daterange": ("empty", "[-infinity,infinity)", "[2000-01-01,2000-01-05)"),
    "tsrange": ("empty", "(,)", '["2000-01-01 00:00","2000-01-02 00:00"]'),
    "tstzrange": ("empty", '(,"2000-01-02 00:00+05"]'),
}
# Each of them has a column that would be worth it.
OF_OTHER_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s');
CREATE TYPE pair AS (a int, b mood);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE moods AS RANGE (subtype = mood);
CREATE TYPE text AS (a int);
-- Its OID, and those of the types above, are others in the copy.
CREATE TABLE a_class AS SELECT now(), 'pg_class'::regclass AS a, 'pair'::regtype AS b;
CREATE TABLE an_enum AS SELECT now(), 'it''s'::mood AS a;
CREATE TABLE enums AS SELECT now(), ARRAY['sad', NULL]::mood[] AS a;
CREATE TABLE a_composite AS SELECT now(), (1, 'sad')::pair AS a;
CREATE TABLE a_namesake AS SELECT now(), ROW(1)::public.text AS a;
CREATE TABLE a_domain AS SELECT now(), 7::positive AS a;
CREATE TABLE domains AS SELECT now(), ARRAY[7]::positive[] AS a;
CREATE TABLE a_range AS SELECT now(), '[sad,"it''s"]'::moods AS a;
CREATE TABLE an_xml AS SELECT now(), '<a>1</a>'::xml AS a;
CREATE TABLE a_vector AS SELECT now(), '1 2'::int2vector AS a, 'a b'::tsvector AS b
"""
OF_GAINS = """
CREATE TABLE numbers AS SELECT 1 AS a, 2::bigint AS b, true AS c, 1.5 AS d;
CREATE TABLE many_numbers AS SELECT 1 AS a, 1 AS b, 1 AS c, true AS d, now();
CREATE TABLE numbers_and_array AS SELECT 1 AS a, 2 AS b, ARRAY[1] AS c, now();
CREATE TABLE events AS SELECT 1 AS a, 1 AS b, 1 AS c, now();
CREATE TABLE texts AS SELECT 1 AS a, 'a'::text AS b, 'b'::text AS c;
CREATE TABLE one_text AS SELECT 1 AS a, 'a'::text AS b
"""


@pytest.fixture(autouse=True)
def no_table_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let psql read all tables."""
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)


@pytest.fixture
def read_as_binary(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Note of each table that psql reads whether that is as binary."""
    noted: dict[str, bool] = {}

    def noting(pages: PageRange) -> str:
        query = copy_query(pages)
        noted[pages.table.name] = query.endswith("(FORMAT binary)")
        return query

    monkeypatch.setattr(psql, "copy_query", noting)
    return noted


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def table_of(name: str) -> str:
    """Return SQL that makes a table of a type, with its values, without one, and in arrays."""
    rows = "), (".join(map(literal, VALUES[name]))
    return f"""
        CREATE TABLE of_{name} (n int GENERATED ALWAYS AS IDENTITY, a {name}, dropped xml,
            many {name}[], at timestamptz DEFAULT now(), seen timestamptz,
            kind regtype GENERATED ALWAYS AS ('int4'::regtype) STORED);
        ALTER TABLE of_{name} DROP COLUMN dropped;
        INSERT INTO of_{name} (a) SELECT v::{name} FROM (VALUES ({rows}), (NULL)) AS of (v);
        INSERT INTO of_{name} (many) SELECT array_agg(a) FROM of_{name};
        INSERT INTO of_{name} (many) VALUES ('{{}}');
        INSERT INTO of_{name} (many) SELECT array_fill(NULL::{name}, '{{2,2}}', '{{5,-1}}')
    """


@pytest.mark.parametrize("jobs", [1, 2])
def test_values_of_each_type_arrive_as_they_are(
    jobs: int,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    read_as_binary: dict[str, bool],
) -> None:
    assert set(VALUES) == set(GAINS)
    source = make_database(";".join(map(table_of, VALUES)))
    copied = make_hook(source).copy(target=f"{source}_copy", method="stream", jobs=jobs)
    assert fingerprint(server, copied) == fingerprint(server, source)
    assert server.value(copied, "SELECT count(*) FROM of_text") == len(VALUES["text"]) + 4
    assert read_as_binary == dict.fromkeys((f"of_{name}" for name in VALUES), True)


def test_values_that_are_others_in_another_database_come_as_text(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    read_as_binary: dict[str, bool],
) -> None:
    source = make_database(OF_OTHER_TYPES)
    copied = make_hook(source).copy(target=f"{source}_copy", method="stream")
    assert fingerprint(server, copied) == fingerprint(server, source)
    assert set(read_as_binary.values()) == {False}
    assert len(read_as_binary) == 10


def test_a_table_is_read_as_binary_if_that_pays(
    make_database: MakeDatabase, make_hook: MakeHook, read_as_binary: dict[str, bool]
) -> None:
    source = make_database(OF_GAINS)
    make_hook(source).copy(target=f"{source}_copy", method="stream")
    assert {name for name, binary in read_as_binary.items() if binary} == {"events", "texts"}
    assert len(read_as_binary) == 6


def test_masked_rows_come_as_text(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    read_as_binary: dict[str, bool],
) -> None:
    rows = "SELECT n AS id, n AS secret, now() AS at FROM generate_series(1, 100) n"
    source = make_database(f"CREATE TABLE masked AS {rows}; CREATE TABLE plain AS {rows}")
    # Text, of which the binary form would be another number.
    masks = {"masked": {"secret": {"sql": "'1234'::text"}}}
    copied = make_hook(source).copy(target=f"{source}_copy", method="stream", masks=masks)
    assert server.value(copied, "SELECT sum(secret) FROM masked") == 123400
    assert server.value(copied, "SELECT sum(secret) FROM plain") == 5050
    assert read_as_binary == {"masked": False, "plain": True}


def test_servers_of_two_versions_exchange_text(server: Server, make_database: MakeDatabase) -> None:
    source = make_database("CREATE TABLE a AS SELECT now()")
    with open_snapshot(
        *(server.database(source), Selection(), Masking()),
        pg_bin_dir=str(server.server.bin_dir),
        cancellation=Cancellation(),
    ) as snapshot:
        major = snapshot.session.major
        assert binary_tables(snapshot, major) == {("public", "a")}
        assert binary_tables(snapshot, major + 1) == frozenset()


def test_a_temporary_table_of_somebody_else_is_not_looked_at(
    server: Server, make_hook: MakeHook
) -> None:
    """Its name may be none in the encoding of our session."""
    server.run(
        "postgres", "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'"
    )
    server.run("ascii", "CREATE TABLE t AS SELECT now()")
    with server.connect("ascii") as other:
        other.execute("SET client_encoding = 'SQL_ASCII'")
        other.execute(b'CREATE TEMPORARY TABLE "\xff" (a regclass)')
        make_hook("ascii").copy(target="ascii_copy", method="stream")
    assert server.value("ascii_copy", "SELECT count(*) FROM t") == 1
