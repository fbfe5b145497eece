"""A server that restarts in the middle of a verb: the target is whole, and another try succeeds."""

import itertools
import os
import pkgutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import PgCloneError, ServerError
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import postgres_server
from tests.faults.databases import SEVERAL_TABLES_SQL
from tests.support.fixtures.databases import Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.fingerprint import fingerprint

SHOP = "shop"
PATIENCE_SECONDS = 60
CORE = "airflow_provider_pgclone.core"
modes = pytest.mark.parametrize("mode", ["immediate", pytest.param("fast", marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def own_server(open_tmp: Path) -> Iterator[Server]:
    """A server that no other test uses."""
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    with postgres_server(folder) as started:
        yield Server(started)


@pytest.fixture
def server(own_server: Server) -> Iterator[Server]:
    """The same, with a shop; a crash lets sequences skip numbers since the last checkpoint."""
    own_server.run("postgres", f"CREATE DATABASE {SHOP}")
    own_server.run(SHOP, SEVERAL_TABLES_SQL)
    own_server.run(SHOP, "CHECKPOINT")
    yield own_server
    for name in own_server.names():
        own_server.drop(name)


@pytest.fixture
def hook(server: Server, local_storage: Path, monkeypatch: pytest.MonkeyPatch) -> PgCloneHook:
    split_small_tables(monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_OWN", server.server.uri(""))
    monkeypatch.setenv("AIRFLOW__PGCLONE__PG_BIN_DIR", str(server.server.bin_dir))
    return PgCloneHook("own", str(local_storage), database=SHOP)


def wait_until_up(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            server.names()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not recover"


def restart(server: Server, mode: str) -> None:
    log = server.server.data_dir.parent / "server.log"
    server.server.pg_ctl("restart", "--mode", mode, "--log", str(log))


class Before:
    """Does something once, before the given call of a function of the package goes on."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, path: str, call: int, act: Callable[[], None]
    ) -> None:
        self.is_done = False
        calls = itertools.count(1)
        original = pkgutil.resolve_name(f"{CORE}.{path}")

        def wrapped(*arguments: Any, **named: Any) -> Any:
            if next(calls) == call:
                self.is_done = True
                act()
            return original(*arguments, **named)

        monkeypatch.setattr(f"{CORE}.{path}", wrapped)


@modes
@pytest.mark.parametrize(
    ("step", "call"),
    [
        pytest.param("replacing.exchange.carry_over", 1, marks=pytest.mark.long),
        pytest.param("replacing.exchange._rename", 1, marks=pytest.mark.long),
        *(pytest.param("replacing.exchange._rename", n, marks=pytest.mark.long) for n in (2, 3, 5)),
        ("replacing.exchange._rename", 4),
        pytest.param("replacing.exchange._keep_new_clients_out", 1, marks=pytest.mark.long),
        pytest.param("replacing.exchange._end_waiting_clients", 1, marks=pytest.mark.long),
        pytest.param("replacing.exchange.drop_old", 1, marks=pytest.mark.long),
    ],
)
def test_between_the_statements_of_a_swap(
    step: str,
    call: int,
    mode: str,
    server: Server,
    hook: PgCloneHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The databases before and after an earlier restore are renamed too: five names change."""
    new = fingerprint(server, SHOP)
    key = hook.dump()
    hook.restore(key, reversible=True)
    server.run(SHOP, "DELETE FROM parent")
    old = fingerprint(server, SHOP)
    hook.restore(key, reversible=True, swap=False, maker="dag/task", run="one")
    temp = hook.temp_database
    assert temp is not None
    before = Before(monkeypatch, step, call, lambda: restart(server, mode))

    is_swapped = step.endswith("drop_old")
    if is_swapped:
        assert hook.swap(temp) == SHOP
    else:
        with pytest.raises(ServerError, match=r"^the server of 'postgres': .* (command|unexp)"):
            hook.swap(temp)
    assert before.is_done
    assert fingerprint(server, SHOP) == (new if is_swapped else old)

    hook.restore(key, reversible=True, maker="dag/task", run="one")
    assert fingerprint(server, SHOP) == fingerprint(server, f"{SHOP}__post") == new
    assert fingerprint(server, f"{SHOP}__pre") == old
    assert server.names() == {SHOP, f"{SHOP}__pre", f"{SHOP}__post"}


@pytest.mark.long
@modes
@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("replacing.attempt.mark_newborn", 1),
        ("restore.load_archive", 1),
        ("executing.statements.CopySink.write_rows", 3),
        ("loading.from_archive.check_rows", 1),
        ("loading.statistics.Analysis.of", 1),
        ("loading.statistics.Analysis.finish", 1),
        ("replacing.attempt.Attempt.keep_post", 1),
        ("replacing.attempt.mark_newborn", 2),
    ],
)
def test_in_a_restore(
    step: str,
    call: int,
    mode: str,
    server: Server,
    hook: PgCloneHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = fingerprint(server, SHOP)
    key = hook.dump()
    server.run(SHOP, "DELETE FROM parent")
    old = fingerprint(server, SHOP)
    before = Before(monkeypatch, step, call, lambda: restart(server, mode))
    with pytest.raises(PgCloneError):
        hook.restore(key, reversible=True)
    assert before.is_done
    assert fingerprint(server, SHOP) == old
    hook.restore(key, reversible=True)
    assert fingerprint(server, SHOP) == new
    assert fingerprint(server, f"{SHOP}__pre") == old
    assert server.names() == {SHOP, f"{SHOP}__pre", f"{SHOP}__post"}


@pytest.mark.long
@modes
@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("dump.open_skeleton", 1),
        ("reading.psql.RangeReader.pieces", 3),
        ("dump.manifest_block", 1),
    ],
)
def test_in_a_dump(
    step: str,
    call: int,
    mode: str,
    server: Server,
    hook: PgCloneHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fingerprint(server, SHOP)
    before = Before(monkeypatch, step, call, lambda: restart(server, mode))
    keys = []
    with suppress(PgCloneError):
        keys.append(hook.dump(jobs=2))
    assert before.is_done
    assert [dump.key for dump in hook.ls()] == keys
    for key in keys:
        hook.verify(key)
    hook.restore(hook.dump(jobs=2))
    assert fingerprint(server, SHOP) == whole
    assert server.names() == {SHOP}


@pytest.mark.long
def test_a_backend_that_is_killed_takes_all_others_along(
    server: Server, hook: PgCloneHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the kernel is out of memory: the server ends all sessions, and recovers."""
    new = fingerprint(server, SHOP)
    key = hook.dump()
    server.run(SHOP, "DELETE FROM parent")
    old = fingerprint(server, SHOP)

    def kill() -> None:
        query = "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'shop_\\_temp%' LIMIT 1"
        while not (found := server.rows("postgres", query)):  # a run may not have connected yet
            pass
        os.kill(found[0][0], signal.SIGKILL)

    before = Before(monkeypatch, "executing.statements.CopySink.write_rows", 2, kill)
    with pytest.raises(PgCloneError):
        hook.restore(key)
    assert before.is_done
    wait_until_up(server)
    assert fingerprint(server, SHOP) == old
    hook.restore(key)
    assert fingerprint(server, SHOP) == new
    assert server.names() == {SHOP}
