"""Settings of the target or of the user that would break its load, if they reached the sessions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.settings import DISTURBED_SQL, DISTURBING
from tests.support.fixtures.stock_tools import stock_archive

# Of a role these end any session of it, also those on the maintenance database.
OF_ALL_SESSIONS = (
    *("statement_timeout", "idle_session_timeout", "transaction_timeout", "temp_file_limit"),
    "role",
)


def disturb(server: Server, holder: str, names: Iterable[str]) -> None:
    for name in names:
        try:
            server.run("postgres", f"ALTER {holder} SET {name} TO '{DISTURBING[name]}'")
        except psycopg.errors.UndefinedObject:  # the server is older
            continue


@pytest.mark.parametrize("is_ours", [True, False])
def test_settings_of_the_target_do_not_disturb_its_load(
    is_ours: bool,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
) -> None:
    database = make_database(DISTURBED_SQL)
    hook = make_hook(database)
    if is_ours:
        key = hook.dump(checksums=True)
    else:
        key = str(stock_archive(server, database, local_storage).relative_to(local_storage))
    before = fingerprint(server, database)
    disturb(server, f"DATABASE {database}", DISTURBING)
    hook.restore(key, checksums=is_ours, jobs=2)
    settings = "SELECT count(*) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase "
    assert server.value("postgres", f"{settings} WHERE datname = '{database}'") == 1
    server.run("postgres", f"ALTER DATABASE {database} RESET ALL")
    assert fingerprint(server, database) == before


@pytest.fixture
def settled(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A superuser, the user of the connection of the same name."""
    server.run("postgres", "CREATE ROLE settled SUPERUSER LOGIN PASSWORD 'settled'")
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_SETTLED", f"postgresql://settled:settled@{address}")
    yield "settled"
    owned = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = 'settled'"
    for (name,) in server.rows("postgres", owned):
        server.drop(name)
    server.run("postgres", "DROP ROLE settled")


def test_settings_of_the_user_do_not_disturb_a_restore_or_a_copy(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, settled: str
) -> None:
    source = make_database(DISTURBED_SQL)
    key = make_hook(source).dump()
    before = fingerprint(server, source)
    names = [name for name in DISTURBING if name not in OF_ALL_SESSIONS]
    disturb(server, f"ROLE {settled}", names)
    restored, copied = f"{source}_restored", f"{source}_copied"
    make_hook(restored, postgres_conn_id=settled).restore(key, jobs=2)
    hook = make_hook(source)
    hook.copy(target=copied, target_postgres_conn_id=settled, jobs=2)
    for name in (restored, copied):
        assert fingerprint(server, name) == before


def test_the_connection_limit_of_the_target_holds_after_the_swap_alone(
    server: Server, shop: str, make_hook: MakeHook, settled: str
) -> None:
    server.run("postgres", f"ALTER ROLE {settled} NOSUPERUSER CREATEDB")
    server.run("postgres", f"ALTER DATABASE {shop} OWNER TO {settled}")
    server.run("postgres", f"ALTER DATABASE {shop} CONNECTION LIMIT 1")
    key = make_hook(shop).dump()
    make_hook(shop, postgres_conn_id=settled).restore(key, jobs=4, reversible=True)
    limits = f"SELECT datconnlimit FROM pg_database WHERE datname LIKE '{shop}%'"
    assert server.rows("postgres", limits) == [(1,)] * 3
