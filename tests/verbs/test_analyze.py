"""Statistics of restored tables, and tables that cannot be analyzed."""

from collections.abc import Sequence

import pytest

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.loading import Analysis
from airflow_provider_pgclone.core.postgres import Session
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

# An inheritance child on a server that nobody reaches, and statistics on an expression that fails.
FAILING_SQL = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere OPTIONS (user 'nobody');
CREATE TABLE parent (n int); INSERT INTO parent SELECT generate_series(1, 10);
CREATE FOREIGN TABLE far () INHERITS (parent) SERVER nowhere;
CREATE TABLE odd (n int); INSERT INTO odd VALUES (0), (1);
CREATE FUNCTION refuse(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''secret''; END';
CREATE STATISTICS of_odd ON refuse(n), n FROM odd;
CREATE TABLE fine (n int); INSERT INTO fine SELECT generate_series(1, 100);
"""
ANALYZED = "SELECT count(*) FROM pg_stats WHERE tablename = 'fine'"


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_table_that_cannot_be_analyzed_is_named_and_the_others_are_analyzed(
    jobs: int,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = make_database(FAILING_SQL)
    hook = make_hook(source)
    hook.restore(hook.dump(), jobs=jobs)
    copied = hook.copy(target=f"{source}_copy", method="stream", jobs=jobs)
    for table in ("parent", "odd"):
        assert caplog.text.count(f"cannot analyze the table public.{table}:") == 2
    assert "secret" not in caplog.text
    for name in (source, copied):
        assert server.value(name, ANALYZED) == 1


def test_analyzing_may_be_left_to_the_server(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    hook = make_hook(make_database("CREATE TABLE fine AS SELECT generate_series(1, 100) AS n"))
    key = hook.dump()
    restored = make_hook("without_statistics")
    restored.restore(key, analyze=False)
    hook.copy(target="copied_without", method="stream", analyze=False)
    for name in ("without_statistics", "copied_without"):
        assert server.value(name, ANALYZED) == 0
    restored.restore(key)
    assert server.value("without_statistics", ANALYZED) == 1


BESIDE_SQL = """
CREATE TABLE first AS SELECT n AS id, n % 7 AS seven FROM generate_series(1, 30000) n;
CREATE INDEX ON first ((id % 3));
CREATE STATISTICS of_first ON id, seven FROM first;
CREATE TABLE second AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 9000) n;
CREATE TABLE above (n int); CREATE TABLE below () INHERITS (above);
INSERT INTO below SELECT generate_series(1, 500);
"""
# Of each table, of its expression index, of its statistics object, and of all rows below a table.
COMPLETE = """
SELECT (
        SELECT array_agg(name ORDER BY name)
        FROM (SELECT DISTINCT tablename::text || inherited FROM pg_stats) AS all_of (name)
        WHERE name LIKE ANY ('{first%,second%,above%,below%}')
    ),
    (SELECT count(*) FROM pg_stats_ext WHERE n_distinct IS NOT NULL)
"""


def test_tables_are_analyzed_beside_other_work_once_and_after_all_that_counts(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beside: list[TableName] = []
    of = Analysis.of

    def noting(self: Analysis, tables: Sequence[TableName], session: Session) -> None:
        beside.extend(tables)
        of(self, tables, session)

    monkeypatch.setattr(Analysis, "of", noting)
    source = make_database(BESIDE_SQL)
    hook = make_hook(source)
    hook.restore(hook.dump(), jobs=2)
    copied = hook.copy(target=f"{source}_copy", method="stream", jobs=2)
    tables = ["abovetrue", "belowfalse", "first_expr_idxfalse", "firstfalse", "secondfalse"]
    for name in (source, copied):
        assert server.rows(name, COMPLETE) == [(tables, 1)]
    names = ["below", "first", "second"]  # what is above waits for all below
    assert sorted(name for _, name in beside) == sorted([*names, *names])
    # The numbers of PostgreSQL 14 may come too late.
    if int(server.value("postgres", "SHOW server_version_num")) >= 150000:
        assert caplog.text.count("counted by reading them: 0 of 4") == 2
        count = "SELECT sum(analyze_count) FROM pg_stat_user_tables"
        assert [server.value(name, count) for name in (source, copied)] == [4, 4]
