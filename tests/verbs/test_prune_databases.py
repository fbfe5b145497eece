"""Pruning a server: what dead attempts have left is dropped, and nothing else."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from airflow_provider_pgclone.core.errors import NotAllowedError
from airflow_provider_pgclone.core.replacing import attempt_database_name
from airflow_provider_pgclone.core.replacing.marker import BIRTHMARK_CONNECTION_LIMIT, Marker
from example_dags.services import PostgresServer, standby_server
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

OF_ONE, OF_OTHER = "0000000a", "0000000b"
RULE: dict[str, Any] = {"keep_last": 1}

Leave = Callable[..., str]


@pytest.fixture
def leave(server: Server) -> Leave:
    """Make a database with a marker, as an attempt leaves it, and return its name."""

    def make(name: str, marker: Marker | None = None, *, limit: int = -1) -> str:
        with server.connect("postgres") as connection:
            create = sql.SQL("CREATE DATABASE {} CONNECTION LIMIT {}")
            connection.execute(create.format(sql.Identifier(name), sql.Literal(limit)))
            if marker is not None:
                comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
                text = sql.Literal(marker.text())
                connection.execute(comment.format(sql.Identifier(name), text))
        return name

    return make


@pytest.fixture
def dropped(make_hook: MakeHook, local_storage: Path) -> Callable[..., set[str]]:
    """Prune the server and an empty location, and return what was dropped."""
    local_storage.mkdir()

    def call(**arguments: Any) -> set[str]:
        return set(make_hook("").prune("*", **RULE, **arguments).dropped_databases)

    return call


def hours_ago(count: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=count)).isoformat()


def hold_lock(connection: psycopg.Connection, target: str) -> None:
    digest = sha256(f"airflow-provider-pgclone:{target}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    connection.execute("SELECT pg_advisory_lock(%s)", [key])


def test_what_dead_attempts_left_of_any_target_is_dropped_and_nothing_else(
    server: Server, leave: Leave, dropped: Callable[..., set[str]]
) -> None:
    odd = 'Shop "of" 50% größe'
    dead = {
        leave(f"shop__temp_{OF_ONE}", Marker("temp", "shop", OF_ONE)),
        leave(f"shop__post_{OF_ONE}", Marker("post_temp", "shop", OF_ONE)),
        leave(f"shop__old_{OF_ONE}", Marker("old", "shop", OF_ONE)),
        leave(f"shop__old_pre_{OF_ONE}", Marker("old", "shop", OF_ONE)),
        leave(f"{odd}__temp_{OF_OTHER}", Marker("temp", odd, OF_OTHER)),
        leave("x__drill_0000000c", Marker("drill", "x__drill_0000000c", "0000000c")),
        leave("gone__temp_0000000d", limit=BIRTHMARK_CONNECTION_LIMIT),
        leave("gone__drill_0000000d", limit=BIRTHMARK_CONNECTION_LIMIT),
        leave(f"{'x' * 48}__temp_0000000d", limit=BIRTHMARK_CONNECTION_LIMIT),
    }
    others = {
        leave("shop"),
        leave("shop__pre", Marker("pre", "shop", OF_ONE)),
        leave("shop__post", Marker("post", "shop", OF_ONE)),
        # Alike in name, and somebody else's.
        leave("shop__temp_0000000e"),
        leave("shop__post_0000000e"),
        leave("gone__temp_0000000e", limit=7),
        leave("birthmark_alone", limit=BIRTHMARK_CONNECTION_LIMIT),
        # Its name was cut: whose it is cannot be told.
        leave(
            attempt_database_name("x" * 49, "temp", "0000000d"), limit=BIRTHMARK_CONNECTION_LIMIT
        ),
        # Renamed by hand: maybe the only copy that somebody has.
        leave("shop_rescued", Marker("temp", "shop", OF_ONE)),
    }
    assert dropped(preview=True) == dead
    assert server.names() == dead | others
    assert dropped() == dead
    assert server.names() == others
    assert dropped() == set()


def test_a_database_that_was_put_in_place_by_hand_survives_the_next_restore(
    server: Server, shop: str, make_hook: MakeHook, dropped: Callable[..., set[str]]
) -> None:
    """A marker goes with a rename; the name alone tells that it is in use."""
    hook = make_hook(shop)
    key = hook.dump()
    server.run("postgres", f"ALTER DATABASE {shop} RENAME TO broken")
    text = Marker("temp", shop, OF_ONE).text()
    server.run("postgres", f"CREATE DATABASE {shop} TEMPLATE broken")
    server.run("postgres", f"COMMENT ON DATABASE {shop} IS '{text}'")
    assert dropped() == set()
    hook.restore(key, swap=False)
    assert shop in server.names()
    assert server.value(shop, "SELECT count(*) FROM users") == 500


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_a_lock_that_is_held_protects_what_is_of_its_target(
    database: str, server: Server, leave: Leave, dropped: Callable[..., set[str]]
) -> None:
    """Also where it is held in another maintenance database."""
    guarded = {
        leave(f"shop__temp_{OF_ONE}", Marker("temp", "shop", OF_ONE)),
        leave("shop__temp_0000000d", limit=BIRTHMARK_CONNECTION_LIMIT),
        leave(f"shop__old_{OF_OTHER}", Marker("old", "shop", OF_OTHER)),
    }
    free = leave(f"other__temp_{OF_ONE}", Marker("temp", "other", OF_ONE))
    with server.connect(database) as holder:
        hold_lock(holder, "shop")
        assert dropped(preview=True) == {free}
        assert dropped() == {free}
        assert server.names() == guarded
    assert dropped() == guarded


def test_a_database_that_waits_for_its_swap_goes_when_it_is_old(
    server: Server, leave: Leave, dropped: Callable[..., set[str]]
) -> None:
    def wait(target: str, created_at: str) -> set[str]:
        temp = Marker("temp", target, OF_ONE, ready=True, created_at=created_at)
        return {
            leave(f"{target}__temp_{OF_ONE}", temp),
            leave(f"{target}__post_{OF_ONE}", replace(temp, role="post_temp", ready=False)),
        }

    given_up = wait("a", hours_ago(169))
    young = wait("b", hours_ago(167))
    undated = wait("c", "") | wait("d", "yesterday") | wait("e", "2020-01-01T00:00:00")
    # Another attempt at the same target, which is dead.
    dead = leave(f"b__temp_{OF_OTHER}", Marker("temp", "b", OF_OTHER, created_at=hours_ago(1)))
    assert dropped() == given_up | {dead}
    assert dropped(temp_older_than_hours=166) == young
    assert dropped(temp_older_than_hours=0) == set()
    assert server.names() == undated


def test_a_real_restore_that_waits_for_its_swap_is_left_until_it_is_given_up(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), reversible=True, swap=False)
    waiting = server.names() - {shop}
    assert len(waiting) == 2
    assert hook.prune("pg", **RULE).dropped_databases == ()
    pruned = hook.prune("pg", **RULE, temp_older_than_hours=0)
    assert set(pruned.dropped_databases) == waiting
    assert server.names() == {shop}


def test_a_restore_at_work_is_not_disturbed(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    shop = make_database("CREATE TABLE t AS SELECT n FROM generate_series(1, 300000) n")
    hook = make_hook(shop)
    key = hook.dump()
    thread, raised = in_background(lambda: hook.restore(key, reversible=True))
    prunes = 0
    while thread.is_alive():
        assert make_hook(shop).prune("pg", **RULE).dropped_databases == ()
        prunes += 1
    assert raised == []
    assert prunes > 1
    assert server.names() == {shop, f"{shop}__pre", f"{shop}__post"}


def test_what_cannot_be_dropped_is_told_and_keeps_nothing_else(
    server: Server,
    leave: Leave,
    dropped: Callable[..., set[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = leave(f"a__temp_{OF_ONE}", Marker("temp", "a", OF_ONE))
    server.run("postgres", f"ALTER DATABASE {stuck} IS_TEMPLATE true")
    try:
        others = {
            leave(f"a__old_{OF_ONE}", Marker("old", "a", OF_ONE)),
            leave(f"b__temp_{OF_ONE}", Marker("temp", "b", OF_ONE)),
        }
        assert dropped() == others
        assert f"leftover database '{stuck}' cannot be dropped" in caplog.text
    finally:
        server.run("postgres", f"ALTER DATABASE {stuck} IS_TEMPLATE false")


def test_databases_are_left_alone_where_restores_are_not_allowed(
    server: Server,
    leave: Leave,
    dropped: Callable[..., set[str]],
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = leave(f"shop__temp_{OF_ONE}", Marker("temp", "shop", OF_ONE))
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "False")
    assert dropped() == set()
    key = local_storage / "prod/shop/none/2020-01-01-00-00-00-000000.dump"
    key.parent.mkdir(parents=True)
    for path in (key, Path(str(key).replace("2020", "2021"))):
        path.touch()
    with pytest.raises(NotAllowedError, match="allow_restore is set to false"):
        dropped(temp_databases=True)
    assert key.exists()
    assert server.names() == {dead}
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "True")
    assert dropped(temp_databases=False) == set()
    assert server.names() == {dead}


@pytest.fixture
def standby(
    leave: Leave, postgres: PostgresServer, open_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The connection of a standby whose primary has a dead attempt."""
    leave(f"shop__temp_{OF_ONE}", Marker("temp", "shop", OF_ONE))
    with standby_server(postgres, Path(tempfile.mkdtemp(dir=open_tmp))) as started:
        monkeypatch.setenv("AIRFLOW_CONN_STANDBY", started.uri(""))
        yield "standby"


def test_the_storage_of_a_standby_is_pruned_and_its_databases_are_not(
    server: Server, standby: str, make_hook: MakeHook, local_storage: Path
) -> None:
    """Who is at work on the primary holds no lock there."""
    local_storage.mkdir()
    hook = make_hook("", postgres_conn_id=standby)
    assert hook.prune("*", **RULE).dropped_databases == ()
    assert hook.prune("*", **RULE, preview=True).dropped_databases == ()
    assert server.names() == {f"shop__temp_{OF_ONE}"}
