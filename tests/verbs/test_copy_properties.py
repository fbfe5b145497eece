"""Whose owner, rights, settings, limit and comment a copy has."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.replacing.properties import Properties, read_properties
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

METHODS = ("template", "stream")


@pytest.fixture
def owners(server: Server) -> Iterator[tuple[str, str]]:
    """Two roles, dropped after the databases that they own."""
    roles = ("copy_source_owner", "copy_target_owner")
    for role in roles:
        server.run("postgres", f"CREATE ROLE {role}")
    yield roles
    owned = "SELECT datname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE NOT rolsuper"
    for (name,) in server.rows("postgres", owned):
        server.drop(name)
    for role in roles:
        server.run("postgres", f"DROP ROLE {role}")


def dress(server: Server, database: str, owner: str, *, is_open: bool) -> None:
    """Give a database properties that tell it from others."""
    for statement in (
        f"ALTER DATABASE {database} OWNER TO {owner}",
        f"{'GRANT' if is_open else 'REVOKE'} CONNECT ON DATABASE {database} "
        f"{'TO' if is_open else 'FROM'} PUBLIC",
        f"ALTER DATABASE {database} SET work_mem = '{'5MB' if is_open else '6MB'}'",
        f"ALTER ROLE {owner} IN DATABASE {database} SET statement_timeout = '7s'",
        f"ALTER DATABASE {database} CONNECTION LIMIT {'30' if is_open else '31'}",
        f"COMMENT ON DATABASE {database} IS 'belongs to {owner}'",
    ):
        server.run("postgres", statement)


def properties_of(server: Server, database: str) -> Properties:
    with server.session("postgres") as session:
        return read_properties(session, database)


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_that_replaces_a_database_has_the_properties_of_that_database(
    method: str,
    server: Server,
    shop: str,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    owners: tuple[str, str],
) -> None:
    """Else production rows would be open to all who may enter the source."""
    target = make_database("CREATE TABLE users (id int)")
    dress(server, shop, owners[0], is_open=True)
    dress(server, target, owners[1], is_open=False)
    before = properties_of(server, target)
    make_hook(shop).copy(target=target, method=method)
    assert server.value(target, "SELECT count(*) FROM users") == 500
    assert properties_of(server, target) == before


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_to_a_new_name_has_the_properties_of_its_source(
    method: str, server: Server, shop: str, make_hook: MakeHook, owners: tuple[str, str]
) -> None:
    dress(server, shop, owners[0], is_open=False)
    expected = properties_of(server, shop)
    make_hook(shop).copy(target=f"{shop}_new", method=method)
    assert properties_of(server, f"{shop}_new") == expected


@pytest.mark.parametrize("verb", [*METHODS, "restore"])
def test_properties_that_cannot_be_set_leave_no_database_behind(
    verb: str,
    server: Server,
    shop: str,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    owners: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the owner is changed the user could not drop it, and every later attempt would fail."""
    if int(server.value("postgres", "SHOW server_version_num")) < 160000:
        pytest.skip("GRANT WITH INHERIT is of PostgreSQL 16")
    target = make_database("SELECT 1")
    server.run("postgres", f"ALTER DATABASE {target} OWNER TO {owners[1]}")
    server.run("postgres", f"ALTER DATABASE {target} CONNECTION LIMIT 30")
    user = owners[0]
    server.run("postgres", f"ALTER ROLE {user} LOGIN CREATEDB NOINHERIT PASSWORD 'secret'")
    server.run("postgres", f"GRANT {owners[1]} TO {user}")
    server.run("postgres", f"ALTER DATABASE {shop} OWNER TO {user}")
    server.run("postgres", f"GRANT pg_read_all_data, pg_signal_backend TO {user} WITH INHERIT TRUE")
    key = make_hook(shop).dump()
    before = server.names()
    address = f"{server.server.host}:{server.server.port}"
    monkeypatch.setenv("AIRFLOW_CONN_LIMITED", f"postgresql://{user}:secret@{address}/{target}")
    hook = make_hook(target if verb == "restore" else shop, postgres_conn_id="limited")
    calls: dict[str, Callable[[], object]] = {
        "restore": partial(hook.restore, key),
        **{method: partial(hook.copy, target=target, method=method) for method in METHODS},
    }
    with pytest.raises(UnsupportedError, match="cannot apply the owner, rights and settings"):
        calls[verb]()
    assert server.names() == before
