"""Many restores, swaps and copies side by side on one server, and a swap beside a lost standby."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from airflow_provider_pgclone.core.replacing import locks
from example_dags.services import postgres_server
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

SQL = "CREATE TABLE version (number int); INSERT INTO version VALUES (1)"


def all_at_once(calls: list[Callable[[], object]]) -> None:
    """Run calls in threads of their own, and raise the first error."""
    started = [in_background(call) for call in calls]
    for thread, _ in started:
        thread.join()
    for _, raised in started:
        if raised:
            raise raised[0]


@pytest.mark.parametrize(("fleet", "rounds"), [(4, 3), pytest.param(8, 20, marks=pytest.mark.long)])
def test_swaps_side_by_side_all_succeed(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, fleet: int, rounds: int
) -> None:
    source = make_database(SQL)
    names = [f"fleet{number}" for number in range(fleet)]
    make_hook(source).copy(target=names[0], method="template")
    for name in names[1:]:
        make_hook(source).copy(target=name, method="template")
    for _ in range(rounds):
        waiting = {}
        for name in names:
            hook = make_hook(name)
            hook.restore(f":{source}", swap=False, maker=name)
            waiting[name] = hook.temp_database
        all_at_once(
            [
                lambda name=name, temp=temp: make_hook(name).swap(temp)  # type: ignore[misc]
                for name, temp in waiting.items()
            ]
        )
        assert {server.value(name, "SELECT number FROM version") for name in names} == {1}
    assert server.names() == {source, *names}


@pytest.mark.long
def test_restores_of_a_fleet_at_once_all_succeed(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(SQL)
    key = make_hook(source).dump()
    names = [f"fleet{number}" for number in range(8)]
    for _ in range(5):
        all_at_once(
            [
                lambda name=name: make_hook(name).restore(key, reversible=True)  # type: ignore[misc]
                for name in names
            ]
        )
    assert server.names() == {
        source,
        *names,
        *(f"{n}__{k}" for n in names for k in ("pre", "post")),
    }


def test_swaps_from_two_maintenance_databases_take_turns(
    server: Server, make_database: MakeDatabase
) -> None:
    """An advisory lock is of one database, and each connection may have another one."""
    other = make_database(SQL)
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with server.session(other) as session:
            entered.set()
            with locks.turn_to_exchange(session):
                order.append("second")

    with server.session("postgres") as session, locks.turn_to_exchange(session):
        thread, raised = in_background(second)
        assert entered.wait(10)
        server.value("postgres", "SELECT count(*) FROM pg_class")
        order.append("first")
    thread.join()
    assert raised == []
    assert order == ["first", "second"]


@pytest.fixture
def forlorn(
    open_tmp: Path, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server of its own, of the hook's connection, which may wait for a standby that is gone."""
    folder = open_tmp / "forlorn"
    folder.mkdir()
    with postgres_server(folder) as started:
        monkeypatch.setenv(f"AIRFLOW_CONN_{postgres_connection.upper()}", started.uri(""))
        yield Server(started)


def test_a_swap_lets_clients_log_in_although_a_synchronous_standby_is_gone(
    forlorn: Server, make_hook: MakeHook
) -> None:
    for name in ("live", "other"):
        forlorn.run("postgres", f"CREATE DATABASE {name}")
    forlorn.run("live", SQL)
    hook = make_hook("live")
    key = hook.dump()
    forlorn.run("live", "UPDATE version SET number = 2")
    hook.restore(key, swap=False)
    temp = hook.temp_database
    assert temp is not None
    forlorn.run("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    forlorn.run("postgres", "ALTER SYSTEM SET synchronous_commit = 'on'")
    forlorn.run("postgres", "SELECT pg_reload_conf()")
    with forlorn.connect("postgres") as watcher:
        watcher.execute("SET statement_timeout = '20s'; SET synchronous_commit = local")
        thread, raised = in_background(lambda: hook.swap(temp))
        renamed = f"SELECT count(*) FROM pg_database WHERE datname = '{temp}'"
        try:
            while watcher.execute(renamed.encode()).fetchone() != (0,):
                assert thread.is_alive(), raised
            # What the swap drops afterwards waits for the standby. Nobody else does.
            for name in ("live", "other"):
                with psycopg.connect(forlorn.server.uri(name), connect_timeout=5) as client:
                    assert client.execute("SELECT 1").fetchone() == (1,)
            assert forlorn.value("live", "SELECT number FROM version") == 1
        finally:
            watcher.execute("ALTER SYSTEM RESET synchronous_standby_names")
            watcher.execute("SELECT pg_reload_conf()")
            thread.join()
    assert raised == []
