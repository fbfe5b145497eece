"""What cannot follow a database that is replaced, where it appears after a restore has begun."""

from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.replacing import exchange
from tests.support.fixtures.databases import Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

kinds = pytest.mark.parametrize(
    ("setup", "cleanup", "named"),
    [
        pytest.param(
            "BEGIN; INSERT INTO users VALUES (0, 'x'); PREPARE TRANSACTION 'half_done'",
            "ROLLBACK PREPARED 'half_done'",
            "has prepared transactions: half_done. Finish",
            id="a prepared transaction",
            marks=pytest.mark.long,  # PostgreSQL waits 5 s for it to go
        ),
        pytest.param(
            "SELECT pg_create_logical_replication_slot('follower', 'pgoutput')",
            "SELECT pg_drop_replication_slot('follower')",
            "has replication slots: follower. Finish",
            id="a replication slot",
        ),
        pytest.param(
            "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere' PUBLICATION p "
            "WITH (connect = false)",
            "ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed",
            "has subscriptions: feed. Finish",
            id="a subscription",
            marks=pytest.mark.long,
        ),
    ],
)


def run_each(server: Server, database: str, statements: str) -> None:
    with server.connect(database) as connection:
        for statement in statements.split(";"):
            connection.execute(statement.encode())


@kinds
def test_what_appears_between_restore_and_swap_is_named_and_the_swap_can_be_tried_again(
    setup: str, cleanup: str, named: str, server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key, new = hook.dump(), fingerprint(server, shop)
    server.run(shop, "DELETE FROM orders")
    old = fingerprint(server, shop)
    hook.restore(key, swap=False)
    temp = hook.temp_database
    assert temp is not None
    run_each(server, shop, setup)
    try:
        with pytest.raises(UnsupportedError, match=f"^database '{shop}' {named}"):
            hook.swap(temp)
        assert server.names() == {shop, temp}
    finally:
        run_each(server, shop, cleanup)
    assert fingerprint(server, shop) == old
    assert hook.swap(temp) == shop
    assert fingerprint(server, shop) == new


@kinds
def test_what_appears_behind_the_last_look_is_named_too(
    setup: str,
    cleanup: str,
    named: str,
    server: Server,
    shop: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slot would be dropped with the old database, and nobody would be told."""
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders")
    old = fingerprint(server, shop)
    monkeypatch.setattr(
        exchange, "exchange", after(run_each, server, shop, setup, then=exchange.exchange)
    )
    try:
        with pytest.raises(UnsupportedError, match=f"^database '{shop}' {named}"):
            hook.restore(key)
        assert server.names() == {shop}
    finally:
        run_each(server, shop, cleanup)
    assert fingerprint(server, shop) == old


def after(
    act: Callable[..., None], *arguments: object, then: Callable[..., None]
) -> Callable[..., None]:
    def call(*of_then: object, **named: object) -> None:
        act(*arguments)
        then(*of_then, **named)

    return call
