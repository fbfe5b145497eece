"""Swaps and copies succeed while clients reconnect all the time, and no client is turned away."""

import pytest

from airflow_provider_pgclone.core.replacing import exchange
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.storm import ENDED, NO_DATABASE, Storm, storm

SWAPS, COPIES = 20, 5
VERSION_SQL = "CREATE TABLE version (number int NOT NULL); INSERT INTO version VALUES (1)"


@pytest.fixture
def live(make_database: MakeDatabase) -> str:
    """The database that the clients use."""
    return make_database(VERSION_SQL)


@pytest.fixture
def source(make_database: MakeDatabase) -> str:
    """The local database that is restored over it."""
    return make_database(VERSION_SQL)


@pytest.fixture
def hook(postgres_connection: str, live: str) -> PgCloneHook:
    return PgCloneHook(postgres_connection, database=live)


def test_swaps_succeed_and_no_client_is_told_that_the_database_does_not_exist(
    server: Server, hook: PgCloneHook, live: str, source: str
) -> None:
    numbers = range(2, SWAPS + 2)
    waiting = {number: restore_version(server, hook, source, number) for number in numbers}

    with storm(server, live) as clients:
        for number, temp_database in waiting.items():
            assert hook.swap(temp_database) == live
            assert server.value(live, "SELECT number FROM version") == number
            clients.wait_for_visits()

    assert_only_sessions_ended(clients)
    assert not any(name.startswith(f"{live}__") for name in server.names())


def test_copies_succeed_and_the_clients_of_the_source_only_wait(
    server: Server, hook: PgCloneHook, live: str
) -> None:
    copy = f"{live}_copy"
    with storm(server, live) as clients:
        for number in range(2, COPIES + 2):
            server.run(live, f"UPDATE version SET number = {number}")
            assert hook.copy(f":{copy}") == f":{copy}"
            assert server.value(copy, "SELECT number FROM version") == number
            clients.wait_for_visits()

    assert_only_sessions_ended(clients)
    assert not any(name.startswith(f"{copy}__") for name in server.names())


def test_without_the_lock_of_the_catalog_clients_are_told_so(
    server: Server, hook: PgCloneHook, live: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the storm is one: it notices when the swap does not keep clients out."""
    monkeypatch.setattr(exchange, "_keep_new_clients_out", lambda connection: None)
    monkeypatch.setattr(exchange, "_end_waiting_clients", lambda *arguments: None)

    with storm(server, live) as clients:
        for number in range(2, SWAPS + 2):
            hook.swap(restore_version(server, hook, source, number))
            clients.wait_for_visits()
            if clients.errors[NO_DATABASE]:
                break

    assert clients.errors[NO_DATABASE] > 0


def restore_version(server: Server, hook: PgCloneHook, source: str, number: int) -> str:
    """Return a temporary database that waits for its swap, with the given content."""
    server.run(source, f"UPDATE version SET number = {number}")
    hook.restore(f":{source}", swap=False)
    assert hook.temp_database is not None
    return hook.temp_database


def assert_only_sessions_ended(clients: Storm) -> None:
    """Sessions end, which the swap and the copy need; a client that connects anew is served."""
    assert set(clients.errors) == {ENDED}, clients.errors
