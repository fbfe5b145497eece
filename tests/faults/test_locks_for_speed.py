"""Locks against planted functions, of tables that could be read without them, only slower."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.catalog.holding import (
    TableOfOthers,
    begin_holding,
    tables_of_others,
)
from airflow_provider_pgclone.core.postgres import Session
from example_dags.services import postgres_server
from tests.support.fixtures.databases import MakeDatabase, Server

TABLES = 64
OWNER = "stranger"


@pytest.fixture
def strange(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database of which somebody who is no superuser owns the tables."""
    server.run("postgres", f"CREATE ROLE {OWNER}")
    tables = "".join(
        f"CREATE TABLE t{n} (); ALTER TABLE t{n} OWNER TO {OWNER};" for n in range(TABLES)
    )
    yield make_database(tables)
    for name in server.names():
        server.drop(name)
    server.run("postgres", f"DROP ROLE {OWNER}")


def held_of(session: Session, tables: list[TableOfOthers]) -> set[str]:
    """Lock tables, and return the names of those that could be locked."""
    held = begin_holding(session, tables, casts=False, for_speed=True, warns=False)
    return {table.name for table in tables if held.holds(table)}


def test_a_table_that_somebody_holds_leaves_the_others_to_us(
    server: Server, strange: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with server.connect(strange) as other, server.session(strange) as session:
        other.execute("BEGIN; LOCK TABLE t7 IN SHARE UPDATE EXCLUSIVE MODE")
        tables = tables_of_others(session)
        assert held_of(session, tables) == {table.name for table in tables} - {"t7"}
    assert len(tables) == TABLES
    # All at once, then halves, until the one is alone.
    assert caplog.text.count("could not lock") == 7


@pytest.mark.long
def test_an_autovacuum_gives_way(open_tmp: Path) -> None:
    eager = {
        "autovacuum_naptime": "1s",
        "autovacuum_vacuum_threshold": "0",
        "autovacuum_vacuum_scale_factor": "0",
        # A page each tenth of a second.
        "autovacuum_vacuum_cost_delay": "100ms",
        "autovacuum_vacuum_cost_limit": "1",
    }
    with postgres_server(Path(tempfile.mkdtemp(dir=open_tmp)), settings=eager) as started:
        server = Server(started)
        server.run(
            "postgres",
            f"CREATE ROLE {OWNER}; CREATE TABLE t0 AS SELECT n, repeat('x', 1000) AS filler FROM "
            f"generate_series(1, 10000) n; ALTER TABLE t0 OWNER TO {OWNER}; DELETE FROM t0",
        )
        progress = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 't0'::regclass"
        with server.session("postgres") as session:
            while not server.value("postgres", progress):
                pass
            assert held_of(session, tables_of_others(session)) == {"t0"}
