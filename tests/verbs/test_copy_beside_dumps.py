"""The server clones a database only if nobody is on it, and a dump of it is not ended for that."""

from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.replacing import sessions
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


def test_a_running_dump_is_not_ended_by_a_copy_nor_by_the_restore_of_a_local_key(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE DATABASE staging")
    before = server.names()
    with server.connect(shop) as application:
        application.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        dump, raised = in_background(make_hook(shop).dump)
        while not server.value("postgres", OURS.format(shop, "wait_event_type = 'Lock'")):
            assert dump.is_alive(), raised
        calls: list[Callable[[], object]] = [
            lambda: make_hook(shop).copy(":copied"),
            lambda: make_hook("staging").restore(f":{shop}"),
        ]
        for call in calls:
            with pytest.raises(
                BusyError, match=f"a dump or a copy of database '{shop}' is running"
            ):
                call()
        application.execute("ROLLBACK")
    dump.join(30)
    assert raised == []
    assert len(make_hook(shop).ls()) == 1
    assert server.names() == before


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
