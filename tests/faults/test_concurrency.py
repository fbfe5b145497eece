"""Restores and swaps of one target at once: one after the other, never both."""

import os
import signal
from functools import partial
from typing import Any

import pytest

from airflow_provider_pgclone.core import swap
from airflow_provider_pgclone.core.errors import BusyError
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.processes import PATIENCE_SECONDS, CallFailedError, StartCall

RESTORES = 3
SQL = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, {rows}) n;
"""


@pytest.fixture
def shop(make_database: MakeDatabase) -> str:
    return make_database(SQL.format(rows=50_000))


@pytest.fixture
def other(make_database: MakeDatabase) -> str:
    return make_database(SQL.format(rows=7))


def test_of_restores_at_once_that_do_not_wait_one_wins(
    server: Server, shop: str, other: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    key, whole = make_hook(other).dump(), fingerprint(server, other)
    calls = [start_call("restore", shop, key=key, maker=str(n)) for n in range(RESTORES)]
    won, refused = 0, []
    for call in calls:
        try:
            call.result()
            won += 1
        except CallFailedError as error:
            refused.append(error)
    assert won >= 1
    assert {error.kind for error in refused} <= {BusyError.__name__}
    assert all(f"into database '{shop}' is running" in error.message for error in refused)
    assert fingerprint(server, shop) == whole
    assert server.names() == {shop, other}


@pytest.mark.long
def test_restores_at_once_that_wait_all_succeed_in_turn(
    server: Server, shop: str, other: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    """Each sees the one before it as the database that it replaces, and leaves nothing of it."""
    keys = [make_hook(name).dump() for name in (shop, other)]
    contents = [fingerprint(server, name) for name in (shop, other)]
    calls = [
        start_call("restore", shop, key=keys[n % 2], maker=str(n), reversible=True, wait_seconds=50)
        for n in range(RESTORES)
    ]
    for call in calls:
        call.result()
    found = {name: fingerprint(server, name) for name in server.names() - {other}}
    assert set(found) == {shop, f"{shop}__pre", f"{shop}__post"}
    assert all(content in contents for content in found.values())
    assert found[shop] == found[f"{shop}__post"]


def test_a_lost_attempt_that_still_runs_keeps_its_retry_out(
    server: Server, shop: str, other: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    """As where Airflow's supervisor was killed: after minutes a retry starts beside the task."""
    key, whole = make_hook(other).dump(), fingerprint(server, other)
    old = fingerprint(server, shop)
    attempt: dict[str, Any] = {"key": key, "maker": "dag/task", "run": "one", "reversible": True}
    lost = start_call("restore", shop, **attempt)
    stop_beside_its_temp(server, shop, lost.pid)

    with pytest.raises(CallFailedError, match=f"into database '{shop}' is running") as raised:
        start_call("restore", shop, **attempt).result()
    assert raised.value.kind == BusyError.__name__
    assert fingerprint(server, shop) == old

    retry = start_call("restore", shop, wait_seconds=50, **attempt)
    os.kill(lost.pid, signal.SIGCONT)
    lost.result()
    retry.result()
    assert server.names() == {shop, other, f"{shop}__pre", f"{shop}__post"}
    assert fingerprint(server, shop) == fingerprint(server, f"{shop}__post") == whole
    assert fingerprint(server, f"{shop}__pre") == old


@pytest.mark.long
def test_a_retry_goes_on_when_the_lost_attempt_dies(
    server: Server, shop: str, other: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    key, whole = make_hook(other).dump(), fingerprint(server, other)
    attempt: dict[str, Any] = {"key": key, "maker": "dag/task", "run": "one"}
    lost = start_call("restore", shop, **attempt)
    stop_beside_its_temp(server, shop, lost.pid)
    retry = start_call("restore", shop, wait_seconds=50, **attempt)
    lost.kill()
    retry.result()
    assert fingerprint(server, shop) == whole
    assert server.names() == {shop, other}


def stop_beside_its_temp(server: Server, target: str, pid: int) -> None:
    """Stop a process once it has made its temporary database, and holds the target's lock."""
    while not any(name.startswith(f"{target}__temp_") for name in server.names()):
        pass
    os.kill(pid, signal.SIGSTOP)


def test_of_swaps_of_one_database_at_once_one_is_made_and_all_succeed(
    server: Server, shop: str, other: str, make_hook: MakeHook
) -> None:
    hooks = [make_hook(shop) for _ in range(RESTORES)]
    hooks[0].restore(make_hook(other).dump(), swap=False)
    temp = hooks[0].temp_database
    assert temp is not None
    calls = [in_background(partial(hook.swap, temp, wait_seconds=50)) for hook in hooks]
    for thread, _ in calls:
        thread.join(PATIENCE_SECONDS)
    assert [error for _, errors in calls for error in errors] == []
    assert server.value(shop, "SELECT count(*) FROM users") == 7
    assert server.names() == {shop, other}


def test_a_swap_that_ends_between_two_looks_of_another_is_found(
    server: Server,
    shop: str,
    other: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = make_hook(shop)
    hook.restore(make_hook(other).dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    make_hook(shop).swap(temp)
    look, looks = swap._swapped_in, iter([False, True])  # the first one: just before that swap
    monkeypatch.setattr(swap, "_swapped_in", lambda *given: look(*given) if next(looks) else None)
    assert hook.swap(temp) == shop
    assert server.value(shop, "SELECT count(*) FROM users") == 7


@pytest.mark.long
def test_a_dump_that_starts_just_before_the_server_clones_its_database_goes_on(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it had connected after the look for it; PostgreSQL itself waits 5 s for sessions."""
    monkeypatch.setattr(
        "airflow_provider_pgclone.core.copy.wait_for_readers", lambda *_, **__: None
    )
    with server.session(shop) as dump:
        with pytest.raises(BusyError, match=f"a dump or a copy of database '{shop}' is running"):
            make_hook(shop).copy(":copied")
        assert dump.fetch_row("SELECT count(*) FROM public.users") == (50_000,)
    assert server.names() == {shop}
