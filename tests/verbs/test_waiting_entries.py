"""Restores by several sessions at once, where pg_dump relies on the order of the archive alone."""

from pathlib import Path

import pytest

from airflow_provider_pgclone.core import dump as dump_module
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.waiting import WAITING_SQL, contents, stock_restore


@pytest.fixture
def source(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    split_small_tables(monkeypatch)
    return make_database(WAITING_SQL)


def test_a_restore_by_four_sessions(server: Server, source: str, make_hook: MakeHook) -> None:
    key = make_hook(source).dump(jobs=2)
    make_hook(f"{source}_new").restore(key, jobs=4)
    assert contents(server, f"{source}_new") == contents(server, source)


def test_a_restore_of_an_archive_without_these_dependencies(
    server: Server, source: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_module, "complete_dependencies", lambda toc: toc)
    key = make_hook(source).dump(jobs=2)
    make_hook(f"{source}_new").restore(key, jobs=4)
    assert contents(server, f"{source}_new") == contents(server, source)


def test_a_copy_by_four_sessions(server: Server, source: str, make_hook: MakeHook) -> None:
    make_hook(source).copy(target=f"{source}_new", method="stream", jobs=4)
    assert contents(server, f"{source}_new") == contents(server, source)


def test_a_restore_by_stock_programs(
    server: Server, source: str, make_hook: MakeHook, local_storage: Path
) -> None:
    archive = local_storage / make_hook(source).dump(jobs=2)
    stock_restore(server, archive, f"{source}_new")
    assert contents(server, f"{source}_new") == contents(server, source)
