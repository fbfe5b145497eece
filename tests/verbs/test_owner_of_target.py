"""What the owner of a target can do to a restore of it by somebody with more rights."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from psycopg import sql

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.replacing import (
    Marker,
    Origin,
    attempt_database_name,
    target_lock,
)
from tests.support.fixtures.background import in_background
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
PASSWORD = "by-the-way"
# A restore that waits for the lock of its target has asked for it in vain.
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'airflow-provider-pgclone' "
    "AND pid <> {} AND state = 'idle' AND query LIKE '%pg_try_advisory_lock%'"
)
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


@pytest.fixture
def connection_of(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a connection of a role."""

    def make(role: str) -> str:
        server.run("postgres", f"ALTER ROLE {role} CREATEDB PASSWORD '{PASSWORD}'")
        where = {"host": server.server.host, "port": server.server.port}
        who = {"conn_type": "postgres", "login": role, "password": PASSWORD}
        monkeypatch.setenv(f"AIRFLOW_CONN_{role.upper()}", json.dumps({**who, **where}))
        return role

    return make


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
    with pytest.raises(UnsupportedError, match="__pre' belongs to 'stranger', and not to"):
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


@pytest.fixture
def lost(server: Server, target: str, make_hook: MakeHook) -> str:
    """A target that somebody has dropped, of whose owner a restore has kept *pre* and *post*."""
    hook = make_hook(target)
    server.run(target, "CREATE TABLE before (id int)")
    hook.restore(hook.dump(), reversible=True)
    server.run("postgres", f"DROP DATABASE {target}")
    return target


def test_a_lost_target_gets_its_owner_back_from_pre(
    server: Server, lost: str, make_hook: MakeHook
) -> None:
    hook = make_hook(lost)
    assert hook.choices("prod").check(":pre") == ":pre"
    hook.restore(":pre")
    assert server.value(lost, "SELECT to_regclass('before') IS NOT NULL")
    assert server.value("postgres", f"{OWNER} '{lost}'") == "application"
    assert hook.current().pre is not None


def test_where_masks_are_required_the_target_tells_whose_pre_it_is(
    server: Server, lost: str, make_hook: MakeHook
) -> None:
    hook = make_hook(lost)
    with pytest.raises(UnsupportedError) as caught:
        hook.restore(":pre", require_masked=True)
    assert caught.value.hint is not None
    server.run("postgres", caught.value.hint.partition("empty: ")[2].removesuffix("."))
    assert hook.restore(":pre", require_masked=True) == ":pre"
    assert server.value("postgres", f"{OWNER} '{lost}'") == "application"


def test_a_user_who_may_not_own_pre_does_not_restore_it(
    lost: str, stranger: str, make_hook: MakeHook, connection_of: Callable[[str], str]
) -> None:
    hook = make_hook(lost, postgres_conn_id=connection_of(stranger))
    with pytest.raises(UnsupportedError, match="'stranger' may not rename") as error:
        hook.restore(":pre")
    assert error.value.hint == "Let 'application' or a member of it do so."


def test_a_pre_of_a_superuser_does_not_end_the_swap_of_somebody_else(
    server: Server,
    target: str,
    make_hook: MakeHook,
    connection_of: Callable[[str], str],
) -> None:
    key = make_hook(target).dump()
    hook = make_hook(target, postgres_conn_id=connection_of("application"))
    plant(server, f"{target}__pre", server.server.user, Marker("pre", target, "00000000"))
    hook.restore(key, no_owner=True)
    assert server.names() == {target, f"{target}__pre"}
    with pytest.raises(UnsupportedError, match="'application' may not rename or copy") as error:
        hook.restore(key, no_owner=True, reversible=True)
    assert error.value.hint is not None
    server.run("postgres", error.value.hint.partition("': ")[2].removesuffix("."))
    hook.restore(key, no_owner=True, reversible=True)
    assert server.names() == {target, f"{target}__pre", f"{target}__post"}


def test_a_reversible_restore_of_a_lost_target_does_not_part_it_from_its_pre(
    server: Server, lost: str, make_hook: MakeHook
) -> None:
    """Its owner would be another one than theirs, and the next restore could not renew them."""
    hook = make_hook(lost)
    key = make_hook("postgres").dump()
    with pytest.raises(UnsupportedError, match=f"'{lost}' does not exist: a restore makes it"):
        hook.restore(key, reversible=True)
    assert server.names() == {f"{lost}__pre", f"{lost}__post"}
    hook.restore(":pre")
    hook.restore(key, reversible=True)
    assert server.value("postgres", f"{OWNER} '{lost}__pre'") == "application"


def test_a_change_of_the_owner_of_the_target_leaves_pre_and_is_told(
    server: Server,
    target: str,
    stranger: str,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = make_hook(target)
    key = hook.dump()
    hook.restore(key, reversible=True)
    kept = [f"{target}__post", f"{target}__pre"]
    server.run("postgres", f"ALTER DATABASE {target} OWNER TO {stranger}")
    for name in kept:
        with pytest.raises(
            UnsupportedError, match=f"{name}' belongs to 'application', and not to 'stranger'"
        ) as error:
            hook.restore(key, reversible=True)
        assert error.value.hint is not None
        start = error.value.hint.index("ALTER DATABASE")
        server.run("postgres", error.value.hint[start:].partition(". ")[0])
    hook.restore(key, reversible=True)
    for name in kept:
        assert server.value("postgres", f"{OWNER} '{name}'") == stranger
    server.run("postgres", f"ALTER DATABASE {target} OWNER TO application")
    hook.restore(key)
    assert server.names() == {target, *kept}
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    for key, name in zip((":post", ":pre"), kept, strict=True):
        assert any(one.startswith(f"leaving {key} as it is: database '{name}'") for one in told)


def test_a_member_of_the_owner_may_own_pre(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    hook = make_hook(target)
    key = hook.dump()
    hook.restore(key, reversible=True)
    server.run("postgres", f"ALTER DATABASE {target}__pre OWNER TO stranger")
    server.run("postgres", "GRANT stranger TO application")  # is not what makes it one
    with pytest.raises(UnsupportedError, match="__pre' belongs to 'stranger'"):
        hook.restore(key, reversible=True)
    server.run("postgres", "REVOKE stranger FROM application; GRANT application TO stranger")
    hook.restore(key, reversible=True)
    assert server.value("postgres", f"{OWNER} '{target}__pre'") == "application"


def test_what_takes_the_name_of_pre_during_a_wait_is_not_restored(
    server: Server, target: str, stranger: str, make_hook: MakeHook
) -> None:
    hook = make_hook(target)
    hook.restore(hook.dump(), reversible=True)
    with server.session("postgres") as other:
        with target_lock(other, target, wait_seconds=0):
            restore, raised = in_background(lambda: hook.restore(":pre", wait_seconds=60))
            while not server.value("postgres", WAITS.format(other.pid)):
                assert restore.is_alive(), raised
            server.drop(f"{target}__pre")
            plant(server, f"{target}__pre", stranger, Marker("pre", target, "00000000"))
        restore.join(60)
    assert [type(one) for one in raised] == [UnsupportedError]
    assert "__pre' belongs to 'stranger'" in str(raised[0])
    assert server.value(target, "SELECT to_regclass('planted') IS NULL")


@pytest.mark.parametrize("role", ["temp", "old"])
def test_no_comment_of_a_stranger_stops_a_restore_or_its_cleaning(
    server: Server,
    target: str,
    stranger: str,
    make_hook: MakeHook,
    connection_of: Callable[[str], str],
    role: Literal["temp", "old"],
) -> None:
    key = make_hook(target).dump()
    hook = make_hook(target, postgres_conn_id=connection_of("application"))
    plant(server, "a_00000000", stranger, Marker(role, target, "00000000"))
    hook.restore(key, no_owner=True)
    assert server.names() == {target, "a_00000000"}


def test_no_comment_of_a_stranger_stops_the_drop_of_what_waits(
    server: Server,
    target: str,
    stranger: str,
    make_hook: MakeHook,
    connection_of: Callable[[str], str],
) -> None:
    key = make_hook(target).dump()
    hook = make_hook(target, postgres_conn_id=connection_of("application"))
    hook.restore(key, no_owner=True, swap=False)
    temp = hook.temp_database
    assert temp is not None
    attempt = temp.rpartition("_")[2]
    post = attempt_database_name(target, "post", attempt)
    plant(server, post, stranger, Marker("post_temp", target, attempt))
    plant(server, "a_theirs", stranger, Marker("temp", target, attempt))
    hook.drop_temp(temp)
    assert server.names() == {target, post, "a_theirs"}


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
