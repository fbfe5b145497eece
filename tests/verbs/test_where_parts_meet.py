"""Where guards, rights and locks of one verb meet those of another."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import BusyError, NotAllowedError
from airflow_provider_pgclone.core.reading import snapshot
from airflow_provider_pgclone.core.reading.references import check_references
from airflow_provider_pgclone.core.replacing import exchange
from airflow_provider_pgclone.core.replacing.locks import turn_to_exchange
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

KEY = "the key of this installation"


def test_a_dump_is_signed_though_restores_are_to_be_signed_everywhere(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever requires a signature has the key for restores; a dump takes the nearest key."""
    monkeypatch.setenv("AIRFLOW__PGCLONE__REQUIRE_SIGNED", "True")
    hook = make_hook(shop)
    assert hook.inspect(hook.dump(signing_key=KEY))["is_signed"]


def test_a_database_that_was_closed_stays_closed_without_its_rights(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", f"REVOKE ALL ON DATABASE {shop} FROM PUBLIC")
    key = make_hook(shop).dump()
    may = "SELECT has_database_privilege('public', '{}', 'connect')"
    for name, what in (("of_dump", key), ("of_local", f":{shop}")):
        make_hook(name).restore(what, no_acl=True)
        assert not server.value("postgres", may.format(name))


def test_a_right_that_is_revoked_during_a_restore_does_not_come_back(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_hook(shop).dump()

    @contextmanager
    def revoked_in_the_turn(session: Any) -> Iterator[None]:
        with turn_to_exchange(session):
            server.run("postgres", f"REVOKE ALL ON DATABASE {shop} FROM PUBLIC")
            yield

    monkeypatch.setattr(exchange, "turn_to_exchange", revoked_in_the_turn)
    make_hook(shop).restore(key)
    assert not server.value(
        "postgres", f"SELECT has_database_privilege('public', '{shop}', 'connect')"
    )


def test_a_source_that_requires_masks_is_copied_to_no_other_connection_without(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", '{"pg": {"require_masked": true}}')
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", server.server.uri(""))
    with pytest.raises(NotAllowedError, match="must be masked, and no column is"):
        make_hook(shop).copy(target="elsewhere", target_postgres_conn_id="other")
    assert server.names() == {shop}


def test_a_dump_does_not_wait_for_what_waits_for_its_pg_dump(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which would wait for the dump to read what it writes."""
    database = make_database(
        "CREATE TABLE ref (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE ref_1 PARTITION OF ref FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE kid (r int REFERENCES ref); INSERT INTO kid VALUES (NULL)"
    )

    def alter() -> None:
        with server.connect(database) as connection:
            connection.execute("ALTER TABLE kid ADD c int")

    def check_behind_an_alter(*arguments: Any) -> None:
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'kid'::regclass"
        while server.value(database, waits) == 0:
            pass
        check_references(*arguments)

    thread = threading.Thread(target=alter)
    monkeypatch.setattr(snapshot, "check_references", check_behind_an_alter)
    # It holds the lock of pg_dump, which has ended already, since the database is small.
    with server.connect(database) as reader, reader.transaction():
        reader.execute("SELECT FROM kid")
        with pytest.raises(BusyError, match="waits to alter"):
            make_hook(database).dump(exclude=["ref"])
    thread.join()


def test_a_user_who_made_a_role_and_may_not_become_it_restores_without_owners(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.run("postgres", "CREATE ROLE maker LOGIN PASSWORD 'long enough' CREATEDB CREATEROLE")
    address = server.server.uri("").partition("@")[2]
    uri = f"postgresql://maker:long%20enough@{address}"
    try:
        with psycopg.connect(f"{uri}postgres", autocommit=True) as connection:
            connection.execute("CREATE ROLE made_by_maker")
        server.run(shop, "ALTER TABLE users OWNER TO made_by_maker")
        key = make_hook(shop).dump()
        monkeypatch.setenv("AIRFLOW_CONN_MAKER", uri)
        make_hook("restored", postgres_conn_id="maker").restore(key)
        assert server.value("restored", "SELECT count(*) FROM users") == 500
    finally:
        for name in ("restored", shop):
            server.drop(name)
        server.run("postgres", "DROP ROLE made_by_maker; DROP ROLE maker")
