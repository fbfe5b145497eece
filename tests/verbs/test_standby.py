"""Dumps of a standby, as one takes them to spare the primary."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from example_dags.services import PostgresServer, standby_server
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

SQL = """
CREATE TABLE events AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) n;
CREATE INDEX ON events (n);
ALTER TABLE events SET (autovacuum_enabled = off);
SELECT lo_from_bytea(0, 'large');
"""


@pytest.fixture
def source(make_database: MakeDatabase) -> str:
    return make_database(SQL)


@pytest.fixture
def standby(
    source: str, postgres: PostgresServer, open_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresServer]:
    """A standby that has the source, under the connection ``standby``."""
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    with standby_server(postgres, folder) as started:
        monkeypatch.setenv("AIRFLOW_CONN_STANDBY", started.uri(source))
        yield started


def catch_up(server: Server, standby: PostgresServer) -> None:
    """Wait until a standby has replayed all that its primary has written.

    It replays locks as well, and a dump does not wait for those.
    """
    written = server.value("postgres", "SELECT pg_current_wal_flush_lsn()")
    replayed = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
    while not Server(standby).value("postgres", replayed):
        pass


def test_a_standby_is_dumped_and_copied_as_its_primary_is(
    server: Server,
    source: str,
    standby: PostgresServer,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch)
    hook = make_hook(source)
    of_standby = make_hook(source, postgres_conn_id="standby")
    for jobs in (1, 3):
        catch_up(server, standby)
        key = of_standby.dump(jobs=jobs)
        hook.restore(key, jobs=jobs)
        assert server.value(source, "SELECT count(DISTINCT text) FROM events") == 20000
    catch_up(server, standby)
    of_standby.copy(target="copied", target_postgres_conn_id="pg")
    assert fingerprint(server, "copied") == fingerprint(server, source)


def test_a_promoted_clone_is_another_server(
    server: Server, source: str, standby: PostgresServer, make_hook: MakeHook
) -> None:
    """It has the system identifier of its origin."""
    of_clone = make_hook(source, postgres_conn_id="standby")
    with pytest.raises(InvalidInputError, match="cannot be copied over itself"):
        of_clone.copy(target=source, target_postgres_conn_id="pg")
    clone = Server(standby)
    clone.run("postgres", "SELECT pg_promote()")
    clone.run(source, "DELETE FROM events WHERE n > 5")
    of_clone.copy(target=source, target_postgres_conn_id="pg")
    assert server.value(source, "SELECT count(*) FROM events") == 5


def test_a_standby_is_not_restored_to(
    source: str, standby: PostgresServer, make_hook: MakeHook
) -> None:
    key = make_hook(source).dump()
    with pytest.raises(UnsupportedError, match="the server is a standby"):
        make_hook(source, postgres_conn_id="standby").restore(key)
