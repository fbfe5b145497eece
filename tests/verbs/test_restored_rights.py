"""Rights where the server lacks a role, or the user may not restore all of them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import RestoreError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_tools import stock_archive

RIGHTS_SQL = """
CREATE TABLE users (id int, email text);
CREATE FUNCTION reveal() RETURNS text SECURITY DEFINER LANGUAGE sql RETURN 'secret';
REVOKE ALL ON FUNCTION reveal() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reveal() TO "Rights; gone", rights_here;
GRANT SELECT ON users TO rights_here WITH GRANT OPTION;
GRANT SELECT (email) ON users TO "Rights; gone";
SET ROLE rights_here;
GRANT SELECT ON users TO rights_other, "Rights; gone";
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE "Rights; gone" GRANT SELECT ON TABLES TO rights_here;
ALTER DEFAULT PRIVILEGES FOR ROLE rights_here REVOKE ALL ON FUNCTIONS FROM PUBLIC;
"""
MAY = (
    "SELECT has_function_privilege('public', 'reveal()', 'execute'), "
    "has_function_privilege('rights_here', 'reveal()', 'execute'), "
    "has_table_privilege('rights_other', 'users', 'select'), "
    "(SELECT count(*) FROM pg_default_acl)"
)
RIGHT = (False, True, True, 1)


@pytest.fixture
def roles(server: Server) -> Iterator[None]:
    """Roles, of which ``"Rights; gone"`` is gone after a dump."""
    before = server.names()
    names = ('"Rights; gone"', "rights_here", "rights_other")
    for name in names:
        server.run("postgres", f"CREATE ROLE {name}")
    yield
    for database in server.names() - before:
        server.drop(database)
    for name in names:
        server.run("postgres", f"DROP ROLE IF EXISTS {name}")


def forget(server: Server, database: str) -> None:
    server.drop(database)
    server.run("postgres", 'DROP ROLE "Rights; gone"')


@pytest.mark.parametrize("is_ours", [True, False])
def test_one_absent_role_costs_its_own_rights_alone(
    is_ours: bool,
    roles: None,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = make_database(RIGHTS_SQL)
    hook = make_hook(source)
    if is_ours:
        key = hook.dump()
    else:  # which is read as one stream
        key = str(stock_archive(server, source, local_storage).relative_to(local_storage))
    forget(server, source)
    hook.restore(key)
    assert server.rows(source, MAY) == [RIGHT]
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    (line,) = [text for text in warned if "which the server lacks" in text]
    assert "'Rights; gone'" in line
    for name in ("FUNCTION public.reveal()", "COLUMN public.users.email", "TABLE public.users"):
        assert name in line
    hook.restore(key, no_owner=True)
    assert server.rows(source, MAY) == [RIGHT]
    with pytest.raises(RestoreError, match='role "Rights; gone" does not exist'):
        hook.restore(key, no_acl=False)
    hook.restore(key, no_acl=True)
    assert server.rows(source, MAY) == [(True, True, False, 0)]


@pytest.fixture
def clerk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a connection whose user may create databases and little else."""
    server.run("postgres", "CREATE ROLE rights_clerk LOGIN CREATEDB PASSWORD 'clerk'")
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_CLERK", f"postgresql://rights_clerk:clerk@{address}")
    before = server.names()
    yield "clerk"
    for database in server.names() - before:
        server.drop(database)
    server.run("postgres", "DROP ROLE rights_clerk")


def test_a_user_who_is_no_superuser_restores_the_rights_on_the_schema_public(
    roles: None,
    clerk: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = make_database(
        RIGHTS_SQL + "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        "GRANT USAGE ON SCHEMA public TO rights_here; COMMENT ON SCHEMA public IS 'of the shop';"
        "CREATE EXTENSION pg_trgm; REVOKE ALL ON FUNCTION show_trgm(text) FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION show_trgm(text) TO rights_here"
    )
    key = make_hook(source).dump()
    make_hook("of_clerk", postgres_conn_id=clerk).restore(key)
    assert server.rows("of_clerk", MAY)[0][:3] == RIGHT[:3]
    assert "not restoring rights on objects that only another owner may change" in caplog.text
    assert "FUNCTION public.show_trgm" in caplog.text
    query = "SELECT has_schema_privilege('public', 'public', 'usage'), obj_description(oid) FROM "
    shown = server.rows("of_clerk", f"{query} pg_namespace WHERE nspname = 'public'")
    with server.connect("postgres") as session:
        owns_public = session.info.server_version >= 150000
    assert shown[0][0] is not owns_public
    assert (shown[0][1] == "of the shop") is owns_public


def may_connect(server: Server, database: str, role: str) -> bool:
    query = f"SELECT has_database_privilege('{role}', '{database}', 'connect')"
    return bool(server.value("postgres", query))


def test_a_new_target_has_the_rights_on_the_database_that_was_dumped(
    roles: None, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(RIGHTS_SQL)
    for statement in (
        f"REVOKE ALL ON DATABASE {source} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {source} TO rights_here",
        f'GRANT CREATE ON DATABASE {source} TO "Rights; gone"',
    ):
        server.run("postgres", statement)
    key = make_hook(source).dump()
    local, target = f"{source}_local", f"{source}_new"
    make_hook(local).restore(f":{source}")
    assert not may_connect(server, local, "public")
    server.drop(local)
    forget(server, source)
    make_hook(target).restore(key, reversible=True)
    for name in (target, f"{target}__post"):
        assert not may_connect(server, name, "public")
        assert may_connect(server, name, "rights_here")


def test_a_new_target_is_closed_where_an_archive_does_not_tell_its_rights(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    make_hook(f"{shop}_new").restore(key)
    assert not may_connect(server, f"{shop}_new", "public")
    make_hook(f"{shop}_bare").restore(key, no_acl=True)
    assert not may_connect(server, f"{shop}_bare", "public")
    hook.restore(key)
    assert may_connect(server, shop, "public")
    server.run(shop, "GRANT SELECT ON users TO pg_monitor")
    make_hook(f"{shop}_told").restore(hook.dump())
    assert may_connect(server, f"{shop}_told", "public")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("is_ours", [True, False])
def test_rights_on_large_objects_are_restored(
    is_ours: bool,
    jobs: int,
    roles: None,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
) -> None:
    """Stock pg_restore 17 and later fail if another role than the owner has granted a right."""
    source = make_database("""
        SELECT lo_create(n) FROM generate_series(70001, 70003) n;
        GRANT SELECT, UPDATE ON LARGE OBJECT 70001, 70002, 70003
            TO rights_here, "Rights; gone" WITH GRANT OPTION;
        SET ROLE rights_here;
        GRANT SELECT ON LARGE OBJECT 70001, 70002 TO rights_other;
        RESET ROLE;
    """)
    rights = "SELECT oid, lomacl::text FROM pg_largeobject_metadata ORDER BY oid"
    before = server.rows(source, rights)
    hook = make_hook(source)
    if is_ours:
        key = hook.dump()
    else:
        key = str(stock_archive(server, source, local_storage).relative_to(local_storage))
    hook.restore(key, jobs=jobs)
    assert server.rows(source, rights) == before
