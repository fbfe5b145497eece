"""Owners that a user who is not a superuser restores, also where they may not create objects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_tools import stock_archive

ROLES = ("owners_app", '"Owners; ""odd"', "owners_clerk")
# The owners of objects may not create in these schemas, or by a right of the dump alone.
OWNED_SQL = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE INDEX ON users (email);
ALTER TABLE users OWNER TO owners_app;
CREATE SCHEMA "Its; schema" AUTHORIZATION "Owners; ""odd";
CREATE TABLE "Its; schema".orders (id int PRIMARY KEY, user_id int REFERENCES users);
CREATE VIEW "Its; schema".few AS SELECT 1 AS one;
CREATE FUNCTION "Its; schema".one() RETURNS int LANGUAGE sql RETURN 1;
CREATE TYPE "Its; schema".mood AS ENUM ('happy');
ALTER TABLE "Its; schema".orders OWNER TO owners_app;
ALTER VIEW "Its; schema".few OWNER TO owners_app;
ALTER FUNCTION "Its; schema".one OWNER TO owners_app;
ALTER TYPE "Its; schema".mood OWNER TO owners_app;
CREATE SCHEMA granted;
GRANT CREATE, USAGE ON SCHEMA granted TO owners_app;
CREATE TABLE granted.notes ();
ALTER TABLE granted.notes OWNER TO owners_app;
ALTER SCHEMA granted OWNER TO "Owners; ""odd";
INSERT INTO users VALUES (1, 'a@example.org'); INSERT INTO "Its; schema".orders VALUES (1, 1);
"""
OWNERS = """
SELECT relname::text AS name, relowner::regrole::text AS owner FROM pg_class
WHERE relnamespace::regnamespace::text IN ('public', '"Its; schema"', 'granted')
UNION ALL SELECT proname, proowner::regrole::text FROM pg_proc WHERE proname = 'one'
UNION ALL SELECT typname, typowner::regrole::text FROM pg_type WHERE typname = 'mood'
UNION ALL SELECT nspname, nspowner::regrole::text FROM pg_namespace
WHERE nspname IN ('public', 'Its; schema', 'granted')
ORDER BY 1, 2
"""
MAY_CREATE = """
SELECT nspname::text, rolname::text, has_schema_privilege(r.oid, n.oid, 'CREATE')
FROM pg_namespace n, pg_roles r
WHERE nspname IN ('public', 'Its; schema', 'granted') AND rolname LIKE '_wners%'
ORDER BY 1, 2
"""


@pytest.fixture
def clerk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a connection whose user may act for the owners, and create databases."""
    before = server.names()
    for role in ROLES:
        server.run("postgres", f"CREATE ROLE {role}")
    server.run("postgres", "ALTER ROLE owners_clerk LOGIN CREATEDB PASSWORD 'clerk'")
    server.run("postgres", f"GRANT {', '.join(ROLES[:2])} TO owners_clerk")
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_CLERK", f"postgresql://owners_clerk:clerk@{address}")
    yield "clerk"
    for database in server.names() - before:
        server.drop(database)
    for role in ROLES:
        server.run("postgres", f"DROP ROLE {role}")


@pytest.fixture
def source(clerk: str, make_database: MakeDatabase) -> str:
    return make_database(OWNED_SQL)


def owns_public(server: Server) -> bool:
    with server.connect("postgres") as session:
        return session.info.server_version >= 150000


@pytest.mark.parametrize("way", ["dump", "archive of pg_dump", "replaced", "copy"])
def test_owners_without_the_right_to_create_in_a_schema_get_their_objects(
    way: str,
    server: Server,
    source: str,
    clerk: str,
    make_hook: MakeHook,
    local_storage: Path,
) -> None:
    target = f"{source}_new"
    hook = make_hook(target, postgres_conn_id=clerk)
    if way == "replaced":
        server.run("postgres", f"CREATE DATABASE {target} OWNER owners_app")
    if way == "copy":
        server.run("postgres", f"ALTER DATABASE {source} OWNER TO owners_clerk")
        make_hook(source).copy(target=target, target_postgres_conn_id=clerk, method="stream")
    elif way == "archive of pg_dump":  # which is read as one stream
        hook.restore(str(stock_archive(server, source, local_storage).relative_to(local_storage)))
    else:
        hook.restore(make_hook(source).dump())
    assert server.rows(target, OWNERS) == server.rows(source, OWNERS)
    # The owner of a database has the schema public of it.
    heirs = {"owners_clerk", "owners_app" if way == "replaced" else ""}
    found, expected = (
        [row for row in server.rows(name, MAY_CREATE) if row[0] != "public" or row[1] not in heirs]
        for name in (target, source)
    )
    assert found == expected
    assert server.value(target, 'SELECT count(*) FROM "Its; schema".orders') == 1


def test_without_rights_the_owners_lose_the_right_to_create_again(
    server: Server, source: str, clerk: str, make_hook: MakeHook
) -> None:
    target = f"{source}_new"
    make_hook(target, postgres_conn_id=clerk).restore(make_hook(source).dump(), no_acl=True)
    assert server.rows(target, OWNERS) == server.rows(source, OWNERS)
    may = {row[:2] for row in server.rows(target, MAY_CREATE) if row[2]}
    assert ("granted", "owners_app") not in may
    assert ("Its; schema", "owners_app") not in may
    assert (("public", "owners_app") in may) is not owns_public(server)


def test_a_schema_public_of_a_superuser_costs_no_other_owner(
    server: Server,
    source: str,
    clerk: str,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Databases that come from PostgreSQL 14 have one."""
    server.run(source, "ALTER SCHEMA public OWNER TO postgres")
    key = make_hook(source).dump()
    target = f"{source}_new"
    make_hook(target, postgres_conn_id=clerk).restore(key)
    query = OWNERS.replace("'public', 'Its; schema', 'granted')\nORDER", "'granted')\nORDER")
    assert query != OWNERS
    assert server.rows(target, query) == server.rows(source, query)
    if owns_public(server):
        assert "not restoring the owner 'postgres' of the schema public" in caplog.text


def test_a_user_without_the_rights_of_the_owners_owns_everything(
    server: Server, source: str, clerk: str, make_hook: MakeHook
) -> None:
    """It could give tables away, but then not index them."""
    server.run("postgres", f"REVOKE {', '.join(ROLES[:2])} FROM owners_clerk")
    server.run("postgres", "ALTER ROLE owners_clerk NOINHERIT")
    server.run("postgres", f"GRANT {', '.join(ROLES[:2])} TO owners_clerk")
    hook: PgCloneHook = make_hook(f"{source}_new", postgres_conn_id=clerk)
    hook.restore(make_hook(source).dump())
    owners = {owner for _, owner in server.rows(f"{source}_new", OWNERS)}
    assert owners <= {"owners_clerk", "pg_database_owner", "postgres"}
    assert "owners_clerk" in owners
