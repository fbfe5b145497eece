"""Tables that masks and conditions read beside their own, changed while a dump or a copy runs."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.masking.planning import plan, read_beside
from airflow_provider_pgclone.core.postgres import settings
from airflow_provider_pgclone.core.reading import psql, snapshot, table_choice
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

USERS = """
CREATE TABLE users AS SELECT n AS id, 'u' || n AS name FROM generate_series(1, 1000) n;
"""
BY_EXPRESSION = """
CREATE TABLE optout (n int) PARTITION BY RANGE ((n + 0));
CREATE TABLE optout_1 PARTITION OF optout DEFAULT;
INSERT INTO optout SELECT generate_series(1, 100);
"""
PLAIN = "CREATE TABLE optout AS SELECT generate_series(1, 100) AS n;"
PARENT = """
CREATE TABLE optout (n int); CREATE TABLE child () INHERITS (optout);
INSERT INTO child SELECT generate_series(1, 100);
"""
ALLOWED = """
CREATE TABLE allowed (n int) PARTITION BY RANGE (n);
CREATE TABLE allowed_1 PARTITION OF allowed FOR VALUES FROM (0) TO (100);
CREATE TABLE allowed_plain (n int);
CREATE TABLE pending (n int);
INSERT INTO allowed SELECT generate_series(1, 50);
INSERT INTO allowed_plain TABLE allowed;
INSERT INTO pending SELECT generate_series(100, 300);
"""
NOT_IN_OPTOUT = {"users": "id NOT IN (SELECT n FROM public.optout)"}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    split_small_tables(monkeypatch)
    monkeypatch.setattr(settings, "ALTERING_SECONDS", 1)


@pytest.fixture
def all_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables are read in ranges, and not only those that are masked or filtered."""
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)


def before_rows(
    monkeypatch: pytest.MonkeyPatch, server: Server, database: str, statements: str
) -> None:
    """Run statements once pg_dump has ended, before the first rows of `users` are read.

    One that waits for a lock gives up.
    """
    done = threading.Lock()
    pieces = psql.CopySession.pieces
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"

    def changed(self: psql.CopySession, pages: Any, count: Any) -> Any:
        if pages.table.name == "users" and done.acquire(blocking=False):
            give_up_at = time.monotonic() + 20
            while server.value("postgres", running) and time.monotonic() < give_up_at:
                pass
            with server.connect(database) as connection:
                connection.execute("SET lock_timeout = '500ms'")
                for statement in statements.split(";"):
                    try:
                        connection.execute(statement.encode())
                    except psycopg.errors.LockNotAvailable:
                        break
        yield from pieces(self, pages, count)

    monkeypatch.setattr(psql.CopySession, "pieces", changed)


@pytest.mark.parametrize("verb", ["dump", "copy"])
def test_the_root_of_partitions_is_locked(
    verb: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's plan shows only what has rows."""
    database = make_database(USERS + BY_EXPRESSION)
    change = "ALTER TABLE optout RENAME TO gone; CREATE TABLE optout (n int)"
    before_rows(monkeypatch, server, database, change)
    hook = make_hook(database)
    if verb == "copy":
        hook.copy(target="restored", method="stream", rows=NOT_IN_OPTOUT)
    else:
        make_hook("restored").restore(hook.dump(rows=NOT_IN_OPTOUT))
    assert server.value("restored", "SELECT count(*) FROM users") == 900


@pytest.mark.parametrize("verb", ["dump", "copy"])
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("allowed", "ALTER TABLE allowed ATTACH PARTITION pending FOR VALUES FROM (100) TO (500)"),
        ("allowed_plain", "ALTER TABLE pending INHERIT allowed_plain"),
    ],
)
def test_a_table_that_joins_what_a_condition_reads_is_noticed(
    verb: str,
    table: str,
    change: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No lock for reading holds it up, and the next query sees its rows in any snapshot."""
    database = make_database(USERS + ALLOWED)
    before_rows(monkeypatch, server, database, change)
    names = server.names()
    hook = make_hook(database)
    rows = {"users": f"id IN (SELECT n FROM public.{table})"}
    calls: dict[str, Callable[[], object]] = {
        "dump": lambda: hook.dump(rows=rows),
        "copy": lambda: hook.copy(target="restored", method="stream", rows=rows),
    }
    with pytest.raises(BusyError, match=rf"^a partition or child of public\.{table}, which"):
        calls[verb]()
    assert verb == "copy" or hook.ls() == []
    assert server.names() == names


def test_a_partition_that_is_made_meanwhile_changes_nothing(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database(USERS + ALLOWED)
    made = "CREATE TABLE allowed_2 PARTITION OF allowed FOR VALUES FROM (100) TO (500)"
    before_rows(monkeypatch, server, database, f"{made}; INSERT INTO allowed SELECT 200")
    hook = make_hook(database)
    key = hook.dump(rows={"users": "id IN (SELECT n FROM public.allowed)"})
    assert hook.inspect(key)["tables"]["public.users"] == 50


@pytest.mark.parametrize(
    ("sql", "change"),
    [
        (PARENT, "ALTER TABLE child NO INHERIT optout"),
        (
            PLAIN,
            "ALTER TABLE optout RENAME TO gone; CREATE TABLE optout (n int) PARTITION BY RANGE (n);"
            "CREATE TABLE fresh PARTITION OF optout DEFAULT",
        ),
    ],
)
def test_what_changes_before_it_is_locked_is_noticed(
    sql: str,
    change: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database(f"{USERS} CREATE SCHEMA app; SET search_path = app; {sql}")
    lock = read_beside.lock_what_is_read

    def changed(*arguments: Any) -> Any:
        server.run(database, f"SET search_path = app; {change}")
        return lock(*arguments)

    monkeypatch.setattr(plan, "lock_what_is_read", changed)
    hook = make_hook(database)
    with pytest.raises(BusyError, match=r"attached or detached|was made or renamed"):
        hook.dump(rows={"users": "id NOT IN (SELECT n FROM app.optout)"}, schemas=["public"])
    assert hook.ls() == []


@pytest.mark.parametrize("verb", ["dump", "copy", "masked", "checksums"])
def test_schemas_that_exchange_their_names_are_noticed(
    verb: str,
    all_in_ranges: None,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No lock of a table holds that up, and rows are read by names."""
    database = make_database(
        "CREATE SCHEMA live; CREATE TABLE live.users AS SELECT generate_series(1, 1000) AS id;"
        "CREATE SCHEMA next; CREATE TABLE next.users AS SELECT generate_series(1, 10) AS id"
    )
    before_rows(
        monkeypatch,
        *(server, database),
        "BEGIN; ALTER SCHEMA live RENAME TO before; ALTER SCHEMA next RENAME TO live;"
        "ALTER SCHEMA before RENAME TO next; COMMIT",
    )
    hook = make_hook(database)
    calls: dict[str, Callable[[], object]] = {
        "dump": hook.dump,
        "copy": lambda: hook.copy(target="restored", method="stream"),
        "masked": lambda: hook.dump(masks={"live.users": {"id": "null"}}),
        "checksums": lambda: hook.dump(checksums=True),
    }
    with pytest.raises(BusyError, match=r"(live|next)(\.users)? was renamed while the dump ran"):
        calls[verb]()
    assert verb == "copy" or hook.ls() == []
    assert "restored" not in server.names()


# PostgreSQL takes 63 bytes of it.
LONG_NAME = "optout_" + "x" * 63
FUNCTION = """
CREATE SCHEMA lib;
CREATE FUNCTION lib.is_out(int) RETURNS bool STABLE LANGUAGE plpgsql AS
$$BEGIN RETURN EXISTS (SELECT FROM public.optout WHERE n = $1); END$$;
"""
FAMILY = """
CREATE TABLE grand (id int PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY, grand int REFERENCES grand);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, name text);
INSERT INTO grand SELECT generate_series(1, 10);
INSERT INTO parent SELECT n, CASE WHEN n % 2 = 0 THEN 1 + n % 10 END FROM generate_series(1, 100) n;
INSERT INTO child SELECT n, 1 + n % 100, 'x' FROM generate_series(1, 1000) n;
"""


@pytest.mark.parametrize(
    ("sql", "altered", "options"),
    [
        pytest.param(
            PLAIN + FUNCTION, "optout", {"rows": {"users": "NOT lib.is_out(id)"}}, id="a function"
        ),
        pytest.param(
            FAMILY,
            "parent",
            {
                "masks": {"child": {"name": "null"}},
                "follow_fks": True,
                "exclude": ["public.grand"],
            },
            id="no SQL",
        ),
        pytest.param(
            "CREATE TABLE optout (n int) PARTITION BY RANGE (n);",
            "optout",
            {"rows": NOT_IN_OPTOUT},
            id="not in the plan",
        ),
        pytest.param(
            f"CREATE TABLE {LONG_NAME} (n int) PARTITION BY RANGE (n);",
            LONG_NAME,
            {"rows": {"users": f"id NOT IN (SELECT n FROM public.{LONG_NAME})"}},
            id="not in the plan, by a name that is cut",
        ),
    ],
)
def test_nothing_waits_for_ever_for_an_alter_table(
    all_in_ranges: None,
    sql: str,
    altered: str,
    options: dict[str, Any],
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the session of the snapshot, and COPY would wait for it."""
    database = make_database(USERS + sql)
    check = snapshot.Snapshot.check
    with server.connect(database) as altering, ThreadPoolExecutor(1) as pool:

        def then_alter(self: snapshot.Snapshot, toc: Toc) -> None:
            check(self, toc)
            pool.submit(altering.execute, f"ALTER TABLE {altered} ADD z int".encode())
            while not server.value("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass

        monkeypatch.setattr(snapshot.Snapshot, "check", then_alter)
        with pytest.raises(BusyError, match=r"could not be read: another session has locked it"):
            make_hook(database).dump(jobs=1, **options)


@pytest.mark.parametrize(
    ("table", "options"),
    [
        ("people", {"masks": {"people": {"name": "null"}}, "rows": NOT_IN_OPTOUT}),
        ("optout", {"rows": NOT_IN_OPTOUT}),
    ],
)
def test_a_reindex_is_waited_for(
    table: str,
    options: dict[str, Any],
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where others are read, and one of what they read."""
    database = make_database(
        f"{USERS} {PLAIN} CREATE INDEX optout_n ON optout (n);"
        "CREATE TABLE people AS SELECT n AS id, 'x' AS name FROM generate_series(1, 9) n;"
        "CREATE INDEX people_id ON people (id)"
    )
    reads = {"people": "people", "optout": "users"}[table]
    pieces = psql.CopySession.pieces
    with server.connect(database) as other, ThreadPoolExecutor(1) as pool:

        def reindexed(self: psql.CopySession, pages: Any, count: Any) -> Any:
            if pages.table.name == reads:
                other.execute(f"BEGIN; REINDEX TABLE {table}".encode())
                pool.submit(commit_when_waited_for)
            yield from pieces(self, pages, count)

        def commit_when_waited_for() -> None:
            waiting = (
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE NOT granted AND clock_timestamp() > query_start + interval '2s'"
            )
            give_up_at = time.monotonic() + 30
            while not server.value("postgres", waiting) and time.monotonic() < give_up_at:
                pass
            other.execute("COMMIT")

        monkeypatch.setattr(psql.CopySession, "pieces", reindexed)
        hook = make_hook(database)
        key = hook.dump(jobs=1, **options)
    assert hook.inspect(key)["tables"]["public.users"] == 900
