"""Copies on the same server."""

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

COUNT = "SELECT count(*) FROM users"


@pytest.mark.parametrize("strategy", [None, "wal_log", "file_copy"])
def test_a_copy_holds_the_same_rows(
    strategy: str | None, server: Server, shop: str, make_hook: MakeHook
) -> None:
    assert make_hook(shop).copy(f":{shop}_copy", strategy=strategy) == f":{shop}_copy"
    assert server.value(f"{shop}_copy", COUNT) == 500
    assert server.names() == {shop, f"{shop}_copy"}


def test_a_copy_ends_the_sessions_on_its_source(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    with server.connect(shop) as client:
        make_hook(shop).copy(f":{shop}_copy")
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")


def test_a_copy_replaces_a_database_of_that_name(
    server: Server, shop: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    other = make_database("CREATE TABLE users (id int)")
    make_hook(shop).copy(f":{other}")
    assert server.value(other, COUNT) == 500
    assert server.names() == {shop, other}


def test_a_copy_replaces_nothing_unless_it_may(
    server: Server, shop: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    other = make_database("CREATE TABLE users (id int)")
    with pytest.raises(InvalidInputError, match=f"'{other}' exists"):
        make_hook(shop).copy(f":{other}", replace=False)
    assert server.value(other, COUNT) == 0


@pytest.mark.parametrize(
    ("to", "named"),
    [
        (":pre", ":pre is a reserved name"),
        (":post", ":post is a reserved name"),
        ("no_colon", "'no_colon' is not a local key"),
        (":", "is not a database name"),
        (":" + "x" * 64, "has 64 bytes"),
        (":postgres", "'postgres' is the maintenance database"),
        (":template1", "'template1' is a template"),
    ],
)
def test_names_that_a_copy_cannot_have(
    to: str, named: str, server: Server, shop: str, make_hook: MakeHook
) -> None:
    with pytest.raises(InvalidInputError, match=named):
        make_hook(shop).copy(to)
    assert server.names() == {shop}


def test_a_database_is_not_copied_to_itself(shop: str, make_hook: MakeHook) -> None:
    with pytest.raises(InvalidInputError, match="cannot be copied to itself"):
        make_hook(shop).copy(f":{shop}")


def test_a_source_that_does_not_exist_is_named(make_hook: MakeHook) -> None:
    with pytest.raises(NotFoundError, match="'no_such' does not exist"):
        make_hook("no_such").copy(":copy_of_nothing")


def test_an_unknown_strategy_is_named(shop: str, make_hook: MakeHook) -> None:
    with pytest.raises(InvalidInputError, match="strategy 'fast'"):
        make_hook(shop).copy(":x", strategy="fast")


def test_a_template_can_be_copied(server: Server, make_hook: MakeHook) -> None:
    make_hook("template1").copy(":from_template")
    assert "from_template" in server.names()


def test_a_copy_of_a_waiting_database_is_one_of_its_own(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    make_hook(temp).copy(":to_look_at")
    hook.drop_temp(temp)
    assert server.names() == {shop, "to_look_at"}


def test_what_may_not_be_restored_over_may_not_be_replaced_by_a_copy(
    server: Server,
    shop: str,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    precious = make_database("CREATE TABLE users (id int)")
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "False")
    told = (
        f"'{precious}' exists and may not be replaced: allow_restore is set to false by the section"
    )
    with pytest.raises(InvalidInputError, match=told) as raised:
        make_hook(shop).copy(f":{precious}")
    assert raised.value.hint == "Choose another name for the copy."  # not to drop it
    make_hook(shop).copy(":new_copy")
    assert server.names() == {shop, precious, "new_copy"}
