"""What the owner of a target can do to a restore of it by somebody with more rights."""

import json
from collections.abc import Iterator

import pytest
from psycopg import sql

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.replacing import Marker, Origin, attempt_database_name
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
LONG = "a_name_that_is_longer_than_what_an_attempt_has_room_for"
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


@pytest.fixture
def stranger(server: Server, target: str) -> Iterator[str]:
    """A role that may create databases, and owns none of the others."""
    server.run("postgres", "CREATE ROLE stranger LOGIN CREATEDB")
    yield "stranger"
    for one in server.names():
        if server.value("postgres", f"{OWNER} '{one}'") == "stranger":
            server.drop(one)
    server.run("postgres", "DROP ROLE stranger")


def plant(server: Server, name: str, owner: str, marker: Marker | None) -> None:
    server.run("postgres", f"CREATE DATABASE {name} OWNER {owner}")
    server.run(name, "CREATE TABLE planted (id int)")
    if marker is not None:
        comment(server, name, marker.text())


def test_a_planted_pre_is_not_restored(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    hook = make_hook(target)
    plant(server, f"{target}__pre", stranger, Marker("pre", target, "00000000"))
    for call in (hook.restore, hook.choices("prod").check):
        with pytest.raises(UnsupportedError, match="__pre' belongs to 'stranger'"):
            call(":pre")
    assert hook.current().pre is None
    server.run("postgres", f"ALTER DATABASE {target}__pre OWNER TO application")
    assert hook.choices("prod").check(":pre") == ":pre"
    assert hook.current().pre is not None
    hook.restore(":pre")
    assert server.value(target, "SELECT to_regclass('planted') IS NOT NULL")


def test_a_planted_pre_of_the_same_run_does_not_cost_the_target(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    """Otherwise the restore counts as a retry, and drops what it should keep."""
    hook = make_hook(target)
    key = hook.dump()
    plant(server, f"{target}__pre", stranger, Marker("pre", target, "00000000", "task", "run 1"))
    with pytest.raises(UnsupportedError, match="__pre' exists and was not created"):
        hook.restore(key, reversible=True, maker="task", run="run 1")
    assert server.names() == {target, f"{target}__pre"}


def test_where_masks_are_required_pre_must_be_what_a_restore_kept(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    hook = make_hook(target)
    plant(server, f"{target}__pre", "application", None)
    with pytest.raises(UnsupportedError, match="__pre' was not kept by a restore"):
        hook.restore(":pre", require_masked=True)
    comment(server, f"{target}__pre", Marker("pre", target, "00000000").text())
    assert hook.restore(":pre", require_masked=True) == ":pre"


def test_under_a_prefix_no_other_database_of_the_server_is_chosen(
    target: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    other = make_database("SELECT 1")
    hook = make_hook(target)
    assert hook.choices().check(f":{other}") == f":{other}"
    for key in (f":{other}", f":{target}__pre"):
        with pytest.raises(InvalidInputError, match="and not a dump under the prefix"):
            hook.choices("prod/shop").check(key)


def test_no_comment_of_a_stranger_makes_a_swap_look_done(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    hook = make_hook(target)
    hook.restore(hook.dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    hook.drop_temp(temp)
    plant(server, "theirs", stranger, None)
    comment(server, "theirs", Origin("prod/shop", temp).below(None))
    with pytest.raises(NotFoundError, match=f"database '{temp}' does not exist"):
        hook.swap(temp)


def test_only_what_waits_for_the_target_is_told_of_it(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    plant(server, "theirs", stranger, Marker("temp", target, "00000000", ready=True))
    assert make_hook(target).current().waiting == ()


@pytest.mark.parametrize("role", ["temp", "post", "old", "old_post"])
def test_no_two_targets_share_the_name_of_a_database_of_an_attempt(role: str) -> None:
    """The owner of one could otherwise have it swapped in for the other, by its comment."""
    names = [LONG, LONG + "_2", "short"]
    made = {name: attempt_database_name(name, role, "0123abcd") for name in names}
    suffix = f"__{role}_0123abcd"
    like = made[LONG].removesuffix(suffix)  # what is cut of a long name may be a name too
    made[like] = attempt_database_name(like, role, "0123abcd")
    assert len(set(made.values())) == len(made)
    assert all(len(name.encode()) <= 63 and name.endswith(suffix) for name in made.values())
    assert made["short"] == f"short{suffix}"
