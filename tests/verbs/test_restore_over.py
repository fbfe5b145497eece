"""Which databases may be replaced or made: ``restore_over``, wherever it is set."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import NotAllowedError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook


@pytest.fixture
def guarded(server: Server, postgres_connection: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a connection that may replace or make databases of some names only."""
    postgres = server.server
    connection = {
        "conn_type": "postgres",
        "host": postgres.host,
        "port": postgres.port,
        "login": postgres.user,
        "password": postgres.password,
        "extra": {"pgclone": {"restore_over": ["staging*", "Odd-?"]}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GUARDED", json.dumps(connection))
    return "guarded"


@pytest.fixture
def production(make_database: MakeDatabase) -> str:
    return make_database("CREATE TABLE precious ()")


def refuses(call: Callable[[], object], name: str, source: str) -> None:
    with pytest.raises(NotAllowedError) as raised:
        call()
    assert f"database {name!r} may not be replaced or made" in raised.value.message
    assert source in raised.value.message


def test_a_restore_goes_over_no_other_database_whatever_the_arguments_say(
    server: Server, shop: str, production: str, guarded: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    before = server.names()
    calls: list[dict[str, Any]] = [{}, {"swap": False}, {"restore_over": ["*"]}]
    for name in (production, "STAGING", "odd-1"):
        for options in calls:
            hook = make_hook(name, postgres_conn_id=guarded)
            refuses(lambda h=hook, o=options: h.restore(key, **o), name, "connection 'guarded'")  # type: ignore[misc]
    refuses(
        lambda: make_hook(production, postgres_conn_id=guarded).restore(f":{shop}"), production, ""
    )
    assert server.names() == before
    for name in ("staging_1", "Odd-1"):
        make_hook(name, postgres_conn_id=guarded).restore(key, reversible=True)
    # A restored database may be kept, and come back.
    make_hook("staging_1", postgres_conn_id=guarded).restore(":post")
    assert server.names() >= {"staging_1", "Odd-1"}


@pytest.mark.parametrize("source", ["section", "configuration", "arguments"])
def test_every_source_can_narrow_it(
    source: str,
    server: Server,
    shop: str,
    guarded: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_hook(shop).dump()
    options: dict[str, Any] = {}
    config = None
    if source == "section":
        monkeypatch.setenv("AIRFLOW__PGCLONE__RESTORE_OVER", "staging_2, staging_3")
    elif source == "configuration":
        configs = {"narrow": {"restore_over": ["staging_[23]"]}}
        monkeypatch.setenv("AIRFLOW_VAR_PGCLONE_CONFIGS", json.dumps(configs))
        config = "narrow"
    else:
        options = {"restore_over": "staging_[23]"}
    one, two = (
        make_hook(name, postgres_conn_id=guarded, config=config)
        for name in ("staging_1", "staging_2")
    )
    refuses(lambda: one.restore(key, **options), "staging_1", source)
    two.restore(key, **options)
    assert server.names() == {shop, "staging_2"}


def test_an_empty_list_allows_no_database(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_hook(shop).dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__RESTORE_OVER", "[]")
    refuses(lambda: make_hook(shop).restore(key), shop, "section")


def test_a_swap_puts_nothing_in_the_place_of_another_database(
    server: Server, shop: str, production: str, guarded: str, make_hook: MakeHook
) -> None:
    unguarded = make_hook(production)
    unguarded.restore(make_hook(shop).dump(), swap=False)
    temp = unguarded.temp_database
    assert temp is not None
    hook = make_hook("staging", postgres_conn_id=guarded)
    refuses(lambda: hook.swap(temp), production, "connection 'guarded'")
    refuses(lambda: hook.swap(temp, restore_over=["*"]), production, "connection 'guarded'")
    assert server.value(production, "SELECT to_regclass('precious') IS NOT NULL")
    assert temp in server.names()


@pytest.mark.parametrize("method", ["template", "stream"])
def test_a_copy_neither_replaces_nor_makes_another_database(
    method: str, server: Server, shop: str, production: str, guarded: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop, postgres_conn_id=guarded)
    before = server.names()
    for name in (production, "new"):
        refuses(lambda n=name: hook.copy(target=n, method=method), name, "connection 'guarded'")  # type: ignore[misc]
        refuses(lambda n=name: hook.copy(f":{n}", method=method), name, "connection 'guarded'")  # type: ignore[misc]
    assert server.names() == before
    hook.copy(":staging_copy", method=method)
    assert server.names() == {*before, "staging_copy"}


def test_the_connection_of_the_target_decides_about_a_copy_to_it(
    server: Server, shop: str, production: str, guarded: str, make_hook: MakeHook
) -> None:
    to_staging = make_hook(shop)
    options: dict[str, Any] = {"target_postgres_conn_id": guarded, "restore_over": ["*"]}
    refuses(lambda: to_staging.copy(target=production, **options), production, "'guarded'")
    to_staging.copy(target="staging_1", **options)
    make_hook(shop, postgres_conn_id=guarded).copy(target="new", target_postgres_conn_id="pg")
    assert server.names() == {shop, production, "staging_1", "new"}
