"""What is derived from a mask key crosses no network unencrypted, and stands in no environment."""

import os

import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.masking.rules import encrypted, key
from airflow_provider_pgclone.core.postgres import Database
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

MASKS = {"public.users": {"email": "email"}}
KEY = "a key that nobody can guess"


@pytest.mark.parametrize("host", ["", "/run/postgresql", "localhost", "127.0.0.1", "::1", "@abc"])
def test_on_this_machine_nothing_changes(host: str) -> None:
    database = Database("shop", {"host": host, "sslmode": "disable"})
    assert encrypted(database) is database


@pytest.mark.parametrize(
    ("given", "mode"),
    [(None, "require"), ("allow", "require"), ("prefer", "require"), ("verify-full",) * 2],
)
def test_a_network_needs_tls(given: str | None, mode: str) -> None:
    hosts = [
        {"host": "db.example.org"},
        {"host": "10.0.0.7"},
        {"host": "localhost,db.example.org"},
        {"host": "a,db.example.org", "hostaddr": "127.0.0.1,"},
    ]
    for host in hosts:
        parameters = host | ({} if given is None else {"sslmode": given})
        assert encrypted(Database("shop", parameters)).parameters["sslmode"] == mode


def test_the_environment_counts_as_it_does_for_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    assert encrypted(Database("shop")).parameters["sslmode"] == "verify-ca"
    monkeypatch.setenv("PGSSLMODE", "disable")
    with pytest.raises(UnsupportedError, match=r"cross the network to db\.example\.org"):
        encrypted(Database("shop"))


def test_a_service_in_the_environment_is_refused(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    with pytest.raises(UnsupportedError, match="while PGSERVICE is set"):
        make_hook(shop).dump(masks=MASKS, mask_key=KEY)


def test_a_masked_dump_over_a_network_without_tls_is_refused_unless_allowed(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key, "_is_here", lambda _: False)
    hook = make_hook(shop)
    with pytest.raises(UnsupportedError, match="has no TLS"):
        hook.dump(masks=MASKS, mask_key=KEY)
    hook.dump(masks={"public.users": {"email": {"sql": "'u' || id"}}})  # without a key
    dumped = hook.dump(masks=MASKS, mask_key=KEY, mask_without_tls=True)
    assert hook.inspect(dumped)["masking"]["is_keyed"]


def test_the_options_of_a_connection_hold_beside_the_key(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "-c%20app.suffix=mine"
    monkeypatch.setenv("AIRFLOW_CONN_WITH_OPTIONS", f"{server.server.uri('')}?options={options}")
    hook = make_hook(shop, postgres_conn_id="with_options")
    masks = {"public.users": {"email": {"sql": "id || current_setting('app.suffix')"}}}
    make_hook("restored").restore(hook.dump(masks=masks, mask_key=KEY))
    assert server.value("restored", "SELECT min(email) FROM users") == "100mine"
    assert "PGSERVICEFILE" not in os.environ
