"""Rows of an extension's tables that refer to each other, as those of PostGIS's topology do."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core import dump as dump_module
from example_dags.services import postgres_server
from example_dags.services.postgres import installed_bin_dir
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.waiting import stock_restore

CONTROL = "default_version = '1.0'\nrelocatable = false\n"
SCRIPT = """
CREATE TABLE public.topology (id int PRIMARY KEY);
CREATE TABLE public.layer (id int PRIMARY KEY REFERENCES public.topology);
SELECT pg_catalog.pg_extension_config_dump('public.layer', '');
SELECT pg_catalog.pg_extension_config_dump('public.topology', '');
"""
# The first table takes much longer to load than those that refer to it.
SQL = """
CREATE EXTENSION layers;
INSERT INTO topology SELECT generate_series(1, 100000);
INSERT INTO layer VALUES (1), (100000);
CREATE TABLE own (id int REFERENCES topology); INSERT INTO own VALUES (100000);
"""
COUNTS = "SELECT (SELECT count(*) FROM topology), (SELECT count(*) FROM layer), * FROM own"


@pytest.fixture(scope="module")
def extended(open_tmp: Path) -> Iterator[Server]:
    """A server of its own, which has the extension `layers`."""
    installed, copy = installed_bin_dir(), open_tmp / "with_layers"
    shutil.copytree(installed.parent, copy, symlinks=True)
    (plpgsql,) = copy.rglob("plpgsql.control")
    plpgsql.with_name("layers.control").write_text(CONTROL)
    plpgsql.with_name("layers--1.0.sql").write_text(SCRIPT)
    folder = open_tmp / "extended"
    folder.mkdir()
    with postgres_server(folder, copy / installed.name) as server:
        yield Server(server)


@pytest.fixture
def source(
    extended: Server, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv(f"AIRFLOW_CONN_{postgres_connection.upper()}", extended.server.uri(""))
    extended.run("postgres", "CREATE DATABASE source")
    extended.run("source", SQL)
    yield "source"
    for name in extended.names():
        extended.drop(name)


@pytest.mark.parametrize("completed", ["in the archive", "by the restore"])
def test_they_are_restored_by_several_sessions(
    completed: str,
    extended: Server,
    source: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if completed == "by the restore":
        monkeypatch.setattr(dump_module, "complete_dependencies", lambda toc: toc)
    make_hook("restored").restore(make_hook(source).dump(), jobs=4)
    assert extended.rows("restored", COUNTS) == [(100000, 2, 100000)]


def test_they_are_copied_by_several_sessions(
    extended: Server, source: str, make_hook: MakeHook
) -> None:
    make_hook(source).copy(target="restored", method="stream", jobs=4)
    assert extended.rows("restored", COUNTS) == [(100000, 2, 100000)]


def test_they_are_restored_by_stock_programs(
    extended: Server, source: str, make_hook: MakeHook, local_storage: Path
) -> None:
    stock_restore(extended, local_storage / make_hook(source).dump(), "restored")
    assert extended.rows("restored", COUNTS) == [(100000, 2, 100000)]
