"""Tables that pg_dump can read, and of which our sessions cannot plan a query."""

import logging
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import RestoreError, UnsupportedError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_tools import stock_archive

ROWS = "SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 9000) n"
# The functions get their bodies last, because CREATE INDEX of PostgreSQL 17 refuses such ones.
SQL = f"""
CREATE FUNCTION inner_f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 7';
CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 7';
CREATE TABLE counted AS {ROWS};
CREATE TABLE plain AS {ROWS};
CREATE INDEX ON plain (lower(note));
CREATE STATISTICS of_f ON (f(id)), note FROM counted;
"""
INDEX_SQL = f"CREATE TABLE indexed AS {ROWS}; CREATE INDEX ON indexed (f(id));"
BODY_SQL = (
    "CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT inner_f($1)'"
)


@pytest.fixture
def source(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without the index, which no pg_restore can create either."""
    split_small_tables(monkeypatch)
    return make_database(f"{SQL}{BODY_SQL}")


@pytest.fixture
def indexed(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    split_small_tables(monkeypatch)
    return make_database(f"{SQL}{INDEX_SQL}{BODY_SQL}")


def test_they_are_dumped_and_restored(
    server: Server, source: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        key = make_hook(source).dump()
        make_hook(f"{source}_new").restore(key)
    assert (
        "pg_dump alone reads a table: PostgreSQL cannot plan a query of public.counted: "
        "function inner_f(integer) does not exist" in caplog.text
    )
    assert "cannot analyze the table public.counted" in caplog.text
    assert "public.plain" not in caplog.text
    assert fingerprint_by_copy(server, f"{source}_new") == fingerprint_by_copy(server, source)
    assert server.value(
        f"{source}_new", "SELECT count(*) FROM pg_stats WHERE schemaname = 'public'"
    )


def fingerprint_by_copy(server: Server, database: str) -> object:
    """Return the fingerprint, which is taken by queries, with a function that can be planned."""
    server.run(database, BODY_SQL.replace("inner_f", "public.inner_f"))
    return fingerprint(server, database)


def test_they_are_copied(server: Server, source: str, make_hook: MakeHook) -> None:
    make_hook(source).copy(target=f"{source}_new", method="stream", jobs=3)
    assert fingerprint_by_copy(server, f"{source}_new") == fingerprint_by_copy(server, source)


def test_they_are_dumped_where_an_index_calls_the_function(
    server: Server, indexed: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    """Like an archive of pg_dump, it can be restored up to that index."""
    with caplog.at_level(logging.WARNING):
        key = make_hook(indexed).dump()
    for table in ("counted", "indexed"):
        assert f"cannot plan a query of public.{table}" in caplog.text
    tables = make_hook(indexed).inspect(key)["tables"]
    assert tables["public.indexed"] == tables["public.counted"] == 9000
    with pytest.raises(RestoreError, match=r"INDEX indexed_f_idx: .*inner_f\(integer\) does not"):
        make_hook(f"{indexed}_new").restore(key)


def test_a_stock_archive_is_restored(
    server: Server, source: str, make_hook: MakeHook, local_storage: Path
) -> None:
    archive = stock_archive(server, source, local_storage)
    make_hook(f"{source}_new").restore(str(archive.relative_to(local_storage)))
    assert fingerprint_by_copy(server, f"{source}_new") == fingerprint_by_copy(server, source)


@pytest.mark.parametrize(
    "arguments", [{"masks": {"counted": {"note": "null"}}}, {"checksums": True}]
)
def test_what_needs_a_query_names_the_table(
    arguments: dict[str, object], source: str, make_hook: MakeHook, local_storage: Path
) -> None:
    with pytest.raises(UnsupportedError, match=r"cannot plan a query of public\.counted: function"):
        make_hook(source).dump(**arguments)  # type: ignore[arg-type]
    assert not list(local_storage.rglob("*.dump"))


def test_another_table_can_be_masked(server: Server, source: str, make_hook: MakeHook) -> None:
    key = make_hook(source).dump(masks={"plain": {"note": "null"}})
    make_hook(f"{source}_new").restore(key)
    assert server.rows(f"{source}_new", "SELECT DISTINCT note FROM plain") == [(None,)]
