"""A dump that is running is not ended, neither by a copy of its database nor by a swap over it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.replacing import exchange, sessions
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

OURS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = '{}' AND application_name = 'airflow-provider-pgclone' AND {}"
)


@pytest.fixture(autouse=True)
def closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for sessions that may be about to end."""
    monkeypatch.setattr(sessions, "CLOSED_SESSION_SECONDS", 0.0)


@contextmanager
def a_dump_running(server: Server, database: str, make_hook: MakeHook) -> Iterator[None]:
    """Let a dump wait for a lock while the block runs, and end well after it."""
    with server.connect(database) as application:
        application.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        dump, raised = in_background(make_hook(database).dump)
        while not server.value("postgres", OURS.format(database, "wait_event_type = 'Lock'")):
            assert dump.is_alive(), raised
        try:
            yield
        finally:
            application.execute("ROLLBACK")
            dump.join(30)
    assert raised == []


def test_a_running_dump_is_not_ended_by_a_copy_nor_by_the_restore_of_a_local_key(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE DATABASE staging")
    before = server.names()
    with a_dump_running(server, shop, make_hook):
        calls: list[Callable[[], object]] = [
            lambda: make_hook(shop).copy(":copied"),
            lambda: make_hook("staging").restore(f":{shop}"),
        ]
        for call in calls:
            with pytest.raises(
                BusyError, match=f"a dump or a copy of database '{shop}' is running"
            ):
                call()
    assert len(make_hook(shop).ls()) == 1
    assert server.names() == before


def test_a_running_dump_is_not_ended_by_a_swap_over_its_database(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE DATABASE staging")
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, reversible=True)
    hook.restore(key, swap=False)
    waiting = hook.temp_database
    assert waiting is not None
    before = server.names()
    with a_dump_running(server, shop, make_hook):
        calls: list[Callable[[], object]] = [
            lambda: make_hook(shop).restore(key, reversible=True),
            lambda: make_hook(shop).restore(":pre"),
            lambda: make_hook(shop).swap(waiting),
            lambda: make_hook("staging").copy(f":{shop}"),
            lambda: make_hook("staging").copy(f":{shop}", method="stream"),
        ]
        for call in calls:
            with pytest.raises(
                BusyError, match=f"a dump or a copy of database '{shop}' is running"
            ):
                call()
    assert len(make_hook(shop).ls()) == 2
    assert server.names() == before
    make_hook(shop).swap(waiting)


def test_a_dump_of_the_database_before_a_restore_is_not_ended_by_the_next_one(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, reversible=True)
    with (
        a_dump_running(server, f"{shop}__pre", make_hook),
        pytest.raises(BusyError, match=f"a dump or a copy of database '{shop}__pre' is running"),
    ):
        hook.restore(key)
    hook.restore(key)
    assert f"{shop}__pre" not in server.names()


def test_a_dump_that_starts_when_the_swap_has_looked_is_not_ended(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    waiting = hook.temp_database
    assert waiting is not None
    monkeypatch.setattr(exchange, "wait_for_readers", lambda *arguments, **options: None)
    with server.session(shop) as dump:
        with pytest.raises(BusyError, match=f"a dump or a copy of database '{shop}' is running"):
            hook.swap(waiting)
        assert dump.fetch_row("SELECT count(*) FROM public.orders") == (2000,)
    hook.swap(waiting)


def test_a_swap_waits_for_a_dump_as_long_as_it_is_told(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    waiting = hook.temp_database
    assert waiting is not None
    server.run(shop, "DELETE FROM orders")
    with server.session(shop) as dump:
        swap, raised = in_background(lambda: make_hook(shop).swap(waiting, wait_seconds=60))
        held = "EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid "
        held += "AND locktype = 'advisory')"
        while not server.value("postgres", OURS.format("postgres", held)):
            assert swap.is_alive(), raised
        assert dump.fetch_row("SELECT count(*) FROM public.orders") == (0,)
        assert waiting in server.names()
    swap.join(30)
    assert raised == []
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


def test_a_copy_waits_for_a_dump_as_long_as_it_is_told(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    with server.session(shop) as dump:
        copy, raised = in_background(lambda: make_hook(shop).copy(":copied", wait_seconds=60))
        held = "EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid "
        held += "AND locktype = 'advisory')"
        while not server.value("postgres", OURS.format("postgres", held)):
            assert copy.is_alive(), raised
        assert dump.fetch_row("SELECT count(*) FROM public.users") == (500,)
        assert "copied" not in server.names()
    copy.join(30)
    assert raised == []
    assert server.names() == {shop, "copied"}
