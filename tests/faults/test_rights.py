"""Users who lack a right: refused by what is to be granted, and the target stays as it was."""

from collections.abc import Iterator

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from tests.support.fixtures.databases import Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

PASSWORD = "long enough"


@pytest.fixture
def clerk(server: Server, shop: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A role that may create databases and owns the shop, and nothing more; the hook's user."""
    server.run(
        "postgres",
        f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}' CREATEDB; "
        f"CREATE ROLE visitor LOGIN PASSWORD '{PASSWORD}'; "
        f"ALTER DATABASE {shop} OWNER TO clerk",
    )
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_CLERK", f"postgresql://clerk:long%20enough@{address}")
    yield "clerk"
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE clerk, visitor")


@pytest.mark.long  # PostgreSQL waits 5 s for the session to go
@pytest.mark.parametrize("visitor", ["visitor", "postgres"])
def test_a_session_that_cannot_be_ended_is_named_with_the_right_that_it_takes(
    visitor: str, server: Server, shop: str, clerk: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    before = fingerprint(server, shop)
    hook = make_hook(shop, postgres_conn_id=clerk)
    hook.restore(key, swap=False, maker="dag/task")
    temp = hook.temp_database
    assert temp is not None
    password = PASSWORD if visitor == "visitor" else server.server.password
    with psycopg.connect(
        host="127.0.0.1",
        port=server.server.port,
        user=visitor,
        password=password,
        dbname=shop,
        autocommit=True,
    ) as session:
        with pytest.raises(UnsupportedError, match="cannot be ended: process") as raised:
            hook.swap(temp)
        assert str(session.info.backend_pid) in raised.value.message
        assert "Grant pg_signal_backend" in str(raised.value)
        assert session.execute("SELECT 1").fetchone() == (1,)
        assert fingerprint(server, shop) == before
        assert server.names() == {shop, temp}
    hook.restore(key, maker="dag/task")
    assert server.names() == {shop}
    assert server.value(shop, "SELECT count(*) FROM users") == 500


def test_membership_without_the_right_to_create_is_refused_before_anything_is_made(
    server: Server, shop: str, clerk: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    server.run("postgres", "ALTER ROLE clerk NOCREATEDB")
    hook = make_hook(shop, postgres_conn_id=clerk)
    with pytest.raises(UnsupportedError, match='ALTER ROLE "clerk" CREATEDB'):
        hook.restore(key)
    with pytest.raises(UnsupportedError, match='ALTER ROLE "clerk" CREATEDB'):
        hook.copy(":other")
    assert server.names() == {shop}


def test_settings_that_the_user_may_not_give_are_told_and_the_target_keeps_them(
    server: Server, shop: str, clerk: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    server.run("postgres", f"ALTER DATABASE {shop} SET log_min_messages TO 'debug1'")
    hook = make_hook(shop, postgres_conn_id=clerk)
    with pytest.raises(UnsupportedError, match='permission denied to set parameter "log_min'):
        hook.restore(key)
    assert server.names() == {shop}
    assert server.value(shop, "SHOW log_min_messages") == "debug1"
