"""What a swap would change, on a real server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_pgclone.core.compare
from airflow_provider_pgclone.core.comparing import counts
from airflow_provider_pgclone.core.comparing.counts import count_rows
from airflow_provider_pgclone.core.comparing.tables import RowCount
from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    RestoreError,
    ServerError,
)
from airflow_provider_pgclone.core.postgres import Session
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

EMAIL = {"email": "example.invalid"}


def test_tables_that_come_go_and_change_are_told_with_their_rows(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump(masks={"public.users": {"email": EMAIL}}, mask_key="a key of 16 characters")
    server.run(shop, "CREATE TABLE added (n int); INSERT INTO added SELECT generate_series(1, 3)")
    server.run(shop, "DELETE FROM orders WHERE id <= 500; DROP VIEW spenders")
    hook.restore(key, swap=False, reversible=True)
    assert hook.temp_database is not None
    server.run(hook.temp_database, "CREATE TABLE fresh AS SELECT 1 AS n")
    found = hook.waiting(hook.temp_database).compare()
    assert [(one.name, one.rows, one.is_estimate) for one in found.changes] == [
        ("public.orders", 500, False),
        ("public.added", -3, False),
        ("public.fresh", 1, False),
        ("public.users", 0, False),
    ]
    assert (found.target, found.is_masked, found.left_out) == (shop, True, ())
    assert (found.kept, found.dropped) == (f"{shop}__pre", [])
    assert found.after.key == key
    assert found.after.size_bytes
    text = found.markdown()
    assert "| public.orders | 1,500 | 2,000 | +500 |" in text
    hook.swap(hook.temp_database)
    hook.restore(key, swap=False)
    assert hook.temp_database is not None
    again = hook.waiting(hook.temp_database).compare()
    assert (again.kept, again.dropped) == ("", [f"{shop}__post", f"{shop}__pre"])
    assert again.now is not None
    assert again.now.key == key
    assert again.now.since is not None


def test_an_undo_is_compared_without_the_storage(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), reversible=True)
    server.run(shop, "DELETE FROM orders")
    hook.restore(":pre", swap=False)
    local_storage.rename(local_storage.with_name("elsewhere"))
    assert hook.temp_database is not None
    found = hook.waiting(hook.temp_database).compare()
    assert (found.after.key, found.is_masked, found.kept, found.dropped) == (":pre", None, "", [])
    assert "**What it holds now is dropped.**" in found.markdown()
    hook.swap(hook.temp_database)
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000
    assert f"{shop}__pre" in server.names()


def test_a_dump_that_was_deleted_meanwhile_is_noted(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, swap=False)
    Path(hook._arguments["storage_location"], key).unlink()
    assert hook.temp_database is not None
    assert "was deleted" in hook.waiting(hook.temp_database).compare().note


def test_only_a_database_that_waits_is_compared_or_worked_on(
    shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    with pytest.raises(InvalidInputError, match=f"database '{shop}' is not waiting for a swap"):
        hook.waiting(shop).compare()
    with (
        pytest.raises(InvalidInputError, match="is not waiting for a swap"),
        hook.waiting(shop).connect(),
    ):
        pass
    with pytest.raises(NotFoundError, match="'no_such' does not exist"):
        hook.waiting("no_such").environment()


def test_whoever_may_not_restore_gets_no_waiting_database(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "false")
    with pytest.raises(NotAllowedError, match="allow_restore"):
        hook.waiting("any")


def test_work_on_a_waiting_database_is_one_transaction(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    name = hook.temp_database
    assert name is not None
    waiting = hook.waiting(name)
    with waiting.connect() as connection:
        connection.execute("UPDATE orders SET total = 1")  # a name without its schema

    def work_that_fails() -> None:
        with waiting.connect() as connection:
            connection.execute("UPDATE orders SET total = 2")
            connection.execute("TABLE no_such")

    with pytest.raises(ServerError, match='relation "no_such" does not exist'):
        work_that_fails()
    assert server.rows(name, "SELECT DISTINCT total FROM orders") == [(1,)]
    assert waiting.environment()["PGDATABASE"] == name
    waiting.check(["SELECT count(*) = 2000 FROM orders"])
    with pytest.raises(RestoreError, match="check_sql number 1"):
        waiting.check(["SELECT count(*) = 0 FROM orders"])


def test_partitions_count_for_their_table(server: Server, make_database: MakeDatabase) -> None:
    name = make_database(
        """
        CREATE TABLE events (n int) PARTITION BY RANGE (n);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
        CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20)
            PARTITION BY RANGE (n);
        CREATE TABLE events_2_1 PARTITION OF events_2 FOR VALUES FROM (10) TO (20);
        CREATE TABLE empty (n int) PARTITION BY RANGE (n);
        INSERT INTO events SELECT generate_series(0, 19);
        """
    )
    with server.session(name) as session:
        assert count_rows(session) == {
            "public.events": RowCount(20),
            "public.empty": RowCount(0),
        }


def test_what_is_not_counted_in_time_or_locked_is_estimated(server: Server, shop: str) -> None:
    server.run(shop, "ANALYZE")
    with server.session(shop) as session:
        found = count_rows(session, seconds=0)
    assert found["public.orders"] == RowCount(2000, is_estimate=True)
    with server.connect(shop) as other, server.session(shop) as session:
        other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        found = count_rows(session)
    assert found == {
        "public.orders": RowCount(2000, is_estimate=True),
        "public.users": RowCount(500),
    }


def test_a_table_of_others_is_locked_only_while_it_is_counted(
    server: Server, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    original = counts._counted

    def counted(session: Session, *arguments: Any) -> Iterator[tuple[int, int]]:
        query = (
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            " AND mode = 'ShareUpdateExclusiveLock'"
        )
        held.extend(session.fetch_row(query))
        return original(session, *arguments)

    role = f"owner_in_{shop}"
    server.run("postgres", f"CREATE ROLE {role}")
    server.run(shop, f"ALTER TABLE users OWNER TO {role}; ALTER TABLE orders OWNER TO {role}")
    monkeypatch.setattr(counts, "_counted", counted)
    monkeypatch.setattr(counts, "_MOST_PAGES", 1, raising=False)
    server.run(shop, "ANALYZE")
    try:
        with server.session(shop) as session:
            found = count_rows(session)
    finally:
        server.run(shop, f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP ROLE {role}")
    assert found == {"public.orders": RowCount(2000), "public.users": RowCount(500)}
    assert held == [1, 1]


def test_a_swap_does_not_wait_for_a_comparison(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    is_counting = threading.Event()

    def count(session: Session) -> dict[str, RowCount]:
        is_counting.set()
        session.execute("SELECT pg_sleep(600)")
        raise AssertionError("the swap has not ended the session")

    monkeypatch.setattr(airflow_provider_pgclone.core.compare, "count_rows", count)
    thread, raised = in_background(lambda: make_hook(shop).waiting(temp).compare())
    assert is_counting.wait(60)
    assert hook.swap(temp) == shop
    thread.join(60)
    (error,) = raised
    assert isinstance(error, ServerError)


def test_a_function_that_the_owner_of_a_table_has_planted_is_not_run(
    server: Server, shop: str
) -> None:
    role = f"planter_of_{shop}"
    server.run("postgres", f"CREATE ROLE {role}; GRANT ALL ON DATABASE {shop} TO {role}")
    server.run(
        shop,
        f"""
        CREATE TABLE ran (who text); GRANT INSERT ON ran TO PUBLIC;
        CREATE SCHEMA theirs AUTHORIZATION {role};
        SET ROLE {role};
        CREATE TABLE theirs.bait (n int);
        CREATE FUNCTION theirs.planted(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql
            AS $$ BEGIN RETURN true; END $$;
        CREATE INDEX ON theirs.bait (n) WHERE theirs.planted(1);
        CREATE OR REPLACE FUNCTION theirs.planted(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql
            AS $$ BEGIN INSERT INTO public.ran VALUES (current_user); RETURN true; END $$;
        """,
    )
    try:
        with server.session(shop) as session:
            found = count_rows(session)
        assert found["theirs.bait"].is_estimate
        assert server.value(shop, "SELECT count(*) FROM ran") == 0
    finally:
        server.run(shop, f"DROP OWNED BY {role} CASCADE")
        server.run("postgres", f"DROP OWNED BY {role}; DROP ROLE {role}")
