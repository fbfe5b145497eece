"""Parallel restores come out right every time, by this package and by stock programs."""

from pathlib import Path

import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.waiting import WAITING_SQL, contents, stock_restore

ROUNDS = 20


@pytest.mark.long
@pytest.mark.parametrize("by_stock", [True, False])
def test_twenty_restores(
    by_stock: bool,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch)
    source = make_database(WAITING_SQL)
    expected = contents(server, source)
    key = make_hook(source).dump(jobs=2)
    for _ in range(ROUNDS):
        if by_stock:
            stock_restore(server, local_storage / key, "restored")
        else:
            make_hook("restored").restore(key, jobs=4)
        assert contents(server, "restored") == expected
        server.drop("restored")
