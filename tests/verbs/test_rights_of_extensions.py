"""Rights on what extensions have made, as a user who is not a superuser restores them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import postgres_server
from example_dags.services.postgres import installed_bin_dir
from tests.support.fixtures.databases import Server

# Whoever creates it owns what it makes; trusted extensions make objects of the superuser.
CONTROL = "default_version = '1'\nsuperuser = false\nschema = ours\n"
SCRIPT = """
CREATE TABLE prices (price int);
CREATE FUNCTION price(VARIADIC "TO" int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TYPE coin AS ENUM ('penny');
REVOKE ALL ON FUNCTION price(int[]) FROM PUBLIC;
"""
SOURCE_SQL = """
CREATE EXTENSION ours; CREATE EXTENSION pg_trgm;
GRANT USAGE ON SCHEMA ours TO reader;
GRANT SELECT ON ours.prices TO reader; GRANT INSERT (price) ON ours.prices TO reader;
GRANT EXECUTE ON FUNCTION ours.price(int[]) TO reader;
REVOKE ALL ON FUNCTION ours.total(int), show_trgm(text) FROM PUBLIC;
REVOKE ALL ON TYPE ours.coin FROM PUBLIC;
"""
MAY = """
SELECT has_schema_privilege('reader', 'ours', 'USAGE'),
    has_table_privilege('reader', 'ours.prices', 'SELECT'),
    has_column_privilege('reader', 'ours.prices', 'price', 'INSERT'),
    has_function_privilege('reader', 'ours.price(int[])', 'EXECUTE'),
    has_function_privilege('reader', 'ours.total(int)', 'EXECUTE'),
    has_type_privilege('reader', 'ours.coin', 'USAGE')
"""
RIGHT = (True, True, True, True, False, False)
SHOW_TRGM = "SELECT has_function_privilege('reader', 'show_trgm(text)', 'EXECUTE')"


@pytest.fixture(scope="module")
def server(open_tmp: Path) -> Iterator[Server]:
    """A server that has such an extension."""
    bin_dir = installed_bin_dir()
    programs = open_tmp / "of_extensions"
    shutil.copytree(bin_dir.parent, programs, symlinks=True)
    controls = list(programs.rglob("extension/pg_trgm.control"))
    if not controls:
        pytest.skip("the extensions of this server are not beside its programs")
    (controls[0].parent / "ours.control").write_text(CONTROL)
    (controls[0].parent / "ours--1.sql").write_text(SCRIPT)
    folder = open_tmp / "of_extensions_data"
    folder.mkdir()
    with postgres_server(folder, programs / bin_dir.name) as started:
        server = Server(started)
        server.run("postgres", "CREATE ROLE clerk LOGIN CREATEDB PASSWORD 'clerk'")
        server.run("postgres", "CREATE ROLE reader; CREATE ROLE boss SUPERUSER")
        yield server


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_owner_restores_the_rights_on_what_its_extension_has_made(
    jobs: int,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_BOSS", server.server.uri(""))
    monkeypatch.setenv("AIRFLOW_CONN_CLERK", f"postgresql://clerk:clerk@{address}")
    monkeypatch.setenv("AIRFLOW__PGCLONE__PG_BIN_DIR", str(server.server.bin_dir))
    server.drop("source")
    server.run("postgres", "CREATE DATABASE source")
    server.run("source", SOURCE_SQL)
    key = PgCloneHook("boss", str(tmp_path), database="source").dump()
    server.drop("target")
    PgCloneHook("clerk", str(tmp_path), database="target").restore(key, jobs=jobs)
    assert server.rows("target", MAY) == [RIGHT] == server.rows("source", MAY)
    assert server.rows("target", SHOW_TRGM) == [(True,)]
    # What belongs to another is as it was, and named.
    warned = "not restoring rights on objects that only another owner may change: FUNCTION "
    assert f"{warned}public.show_trgm(text)\n" in caplog.text
    owner = "SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'show_trgm'"
    assert server.value("target", owner) == "postgres"
