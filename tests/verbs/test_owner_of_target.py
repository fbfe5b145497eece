"""What the owner of a target can do to a restore of it by somebody with more rights."""

import json
from collections.abc import Iterator

import pytest
from psycopg import sql

from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

# Its table can be loaded only where the role can neither connect nor create objects.
CLOSED_SQL = """
CREATE FUNCTION is_closed() RETURNS bool LANGUAGE sql AS $$
    SELECT current_database() NOT LIKE '%temp%'
        OR NOT has_database_privilege('application', current_database(), 'CONNECT')
        AND NOT has_database_privilege('application', current_database(), 'CREATE')
$$;
CREATE TABLE users (id int CHECK (is_closed()));
INSERT INTO users VALUES (1);
"""
OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = "
MAY_CONNECT = "SELECT has_database_privilege('application', {}, 'CONNECT')"


@pytest.fixture
def target(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database of a role that is not a superuser."""
    server.run("postgres", "CREATE ROLE application LOGIN")
    name = make_database("SELECT 1")
    server.run("postgres", f"ALTER DATABASE {name} OWNER TO application")
    yield name
    for one in server.names():
        server.drop(one)
    server.run("postgres", "DROP ROLE application")


def comment(server: Server, database: str, text: str) -> None:
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    with server.connect("postgres") as connection:
        connection.execute(statement.format(sql.Identifier(database), sql.Literal(text)))


def test_the_owner_cannot_connect_while_a_dump_is_loaded(
    server: Server, target: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """They could exchange a table for one whose triggers run with the rights of the restore."""
    key = make_hook(make_database(CLOSED_SQL)).dump()
    hook = make_hook(target)
    hook.restore(key, swap=False)
    temp = hook.temp_database
    assert temp is not None
    assert server.value("postgres", f"{OWNER} '{temp}'") == "application"
    assert server.value("postgres", MAY_CONNECT.format(f"'{temp}'"))
    hook.swap(temp)
    hook.restore(key, reversible=True)
    for name in (target, f"{target}__post"):
        assert server.value("postgres", f"{OWNER} '{name}'") == "application"
        assert server.value("postgres", MAY_CONNECT.format(f"'{name}'"))


def test_the_owner_cannot_aim_a_swap_at_the_database_of_others(
    server: Server, target: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    other = make_database("CREATE TABLE payroll (id int)")
    hook = make_hook(target)
    hook.restore(hook.dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    marker = server.value(
        "postgres",
        f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{temp}'",
    )
    comment(server, temp, marker.replace(json.dumps(target), json.dumps(other)))
    for call in (hook.swap, hook.drop_temp, lambda name: hook.waiting(name).compare()):
        with pytest.raises(InvalidInputError, match=f"database '{temp}' is not "):
            call(temp)
    assert server.value(other, "SELECT to_regclass('payroll') IS NOT NULL")


@pytest.mark.parametrize(
    "text",
    [
        'airflow-provider-pgclone {"role": "temp", "target": ["x"], "attempt": {}}',
        'airflow-provider-pgclone {"role": [], "target": 5, "attempt": 5, "ready": true}',
        'airflow-provider-pgclone-origin {"key": 5, "temp": ["x"], "swapped_at": {}}',
        'airflow-provider-pgclone-origin {"key": "x", "temp": "y", "swapped_at": "never"}',
        'airflow-provider-pgclone-origin {"key": "x", "temp": "y", "swapped_at": "2026-01-01"}',
    ],
)
def test_no_comment_of_an_owner_ends_a_verb(
    server: Server, target: str, make_database: MakeDatabase, make_hook: MakeHook, text: str
) -> None:
    comment(server, target, text)
    hook = make_hook(target)
    hook.restore(hook.dump(), swap=False)
    assert hook.temp_database is not None
    hook.waiting(hook.temp_database).compare().markdown()
    hook.swap(hook.temp_database)
    assert server.value("postgres", f"{OWNER} '{target}'") == "application"
