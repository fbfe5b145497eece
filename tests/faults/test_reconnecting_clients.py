"""Clients that keep their sessions, and those of a pooler, through a swap: none reads a wrong row.

``tests/verbs/test_swap_storm.py`` has clients that connect to the server itself for a few queries.
"""

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.storm import NO_DATABASE, TIME_RAN_BACK, Storm, storming
from tests.support.services.pgbouncer import installed_pgbouncer, pgbouncer

VERSION_SQL = "CREATE TABLE version (number int NOT NULL); INSERT INTO version VALUES (1)"
swaps = pytest.mark.parametrize(
    "swaps", [pytest.param(3, id="some"), pytest.param(20, id="many", marks=pytest.mark.long)]
)


class LastingStorm(Storm):
    """Clients that keep their session until it breaks, as those of an application's pool do."""

    def __init__(self, server: Server, database: str) -> None:
        super().__init__(server, database)
        self._own = threading.local()

    def run_client(self) -> None:
        try:
            super().run_client()
        finally:
            self._close()

    def visit(self) -> int:
        try:
            session = self._session()
            with session.transaction():
                return self.read(session)
        except psycopg.Error:
            self._close()
            raise

    def _session(self) -> psycopg.Connection:
        if getattr(self._own, "session", None) is None:
            self._own.session = self.connect()
        session: psycopg.Connection = self._own.session
        return session

    def _close(self) -> None:
        session: psycopg.Connection | None = getattr(self._own, "session", None)
        self._own.session = None
        if session is not None:
            session.close()


@pytest.fixture
def live(make_database: MakeDatabase) -> str:
    """The database that the clients use."""
    return make_database(VERSION_SQL)


@pytest.fixture
def source(make_database: MakeDatabase) -> str:
    """The local database that is restored over it."""
    return make_database(VERSION_SQL)


@pytest.fixture(
    params=[
        "transaction",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("none", "session")),
    ],
)
def seen(request: pytest.FixtureRequest, server: Server, open_tmp: Path) -> Iterator[Server]:
    """The server as the clients see it: straight, or behind a pooler in one of its modes."""
    if request.param == "none":
        yield server
        return
    program = installed_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    folder.chmod(0o755)
    with pgbouncer(program, server.server, folder, request.param) as address:
        yield Server(replace(server.server, port=address.port))


@swaps
def test_clients_that_keep_their_sessions_read_the_old_database_or_the_new_one(
    swaps: int,
    server: Server,
    seen: Server,
    live: str,
    source: str,
    postgres_connection: str,
) -> None:
    hook = PgCloneHook(postgres_connection, database=live)
    with storming(LastingStorm(seen, live)) as clients:
        for number in range(2, swaps + 2):
            server.run(source, f"UPDATE version SET number = {number}")
            hook.restore(f":{source}")
            clients.wait_until_all_read(number)
    assert clients.errors[TIME_RAN_BACK] == clients.errors[NO_DATABASE] == 0, clients.errors
    assert server.names() == {live, source}
