"""Dumps of a database whose tables are changed meanwhile: of one moment, or refused, never wrong.

A writer moves money: each transaction writes the same sum to `debits` and to `credits`, so that in
every moment the two have the same rows and the same sum.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.errors import BusyError, PgCloneError
from airflow_provider_pgclone.core.masking.planning import plan, read_beside
from airflow_provider_pgclone.core.postgres import settings
from airflow_provider_pgclone.core.reading import snapshot, table_choice
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

SQL = """
CREATE TABLE debits (id bigint PRIMARY KEY, money int NOT NULL, filler text);
CREATE TABLE credits (LIKE debits INCLUDING ALL);
CREATE TABLE small_debits (id bigint PRIMARY KEY, money int NOT NULL);
CREATE TABLE small_credits (LIKE small_debits INCLUDING ALL);
CREATE TABLE doomed AS SELECT generate_series(1, 30000) AS n;
INSERT INTO debits SELECT n, n % 97, repeat('x', 200) FROM generate_series(1, 10000) n;
INSERT INTO credits TABLE debits;
INSERT INTO small_debits SELECT n, n FROM generate_series(1, 50) n;
INSERT INTO small_credits TABLE small_debits;
"""
TRANSFER = """
WITH moved AS (
    INSERT INTO {0}debits (id, money) VALUES ({1}, {1} % 89) RETURNING id, money
) INSERT INTO {0}credits (id, money) TABLE moved
"""
BALANCE = (
    "SELECT (SELECT (count(*), sum(money)) FROM {0}debits)::text,"
    " (SELECT (count(*), sum(money)) FROM {0}credits)::text"
)
CHANGES = {
    "add a column": "ALTER TABLE debits ADD c int; ALTER TABLE debits DROP c",
    "rewrite": "ALTER TABLE debits ALTER filler TYPE varchar; ALTER TABLE debits ALTER filler TYPE "
    "char(300)",
    "vacuum full": "VACUUM FULL debits; VACUUM FULL credits; VACUUM FULL small_debits",
    "cluster": "CLUSTER debits USING debits_pkey; CLUSTER credits USING credits_pkey",
    "index": "CREATE INDEX made ON debits (money); DROP INDEX made",
    "drop": "BEGIN; DROP TABLE doomed; CREATE TABLE doomed AS SELECT generate_series(1, 30000); "
    "COMMIT",
    "truncate": "BEGIN; TRUNCATE doomed; INSERT INTO doomed SELECT generate_series(1, 30000); "
    "COMMIT",
    "rename": "BEGIN; ALTER TABLE debits RENAME TO gone; ALTER TABLE gone RENAME TO debits; COMMIT",
}
DUMPS = 8
OPTED_OUT = {"debits": "id NOT IN (SELECT n FROM public.optout)"}


@pytest.fixture
def bank(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    split_small_tables(monkeypatch)
    return make_database(SQL)


@contextmanager
def repeating(server: Server, database: str, statements: Callable[[int], str]) -> Iterator[None]:
    """Run statements over and over while the block runs; those that fail are left."""
    over = threading.Event()
    numbers: list[int] = []

    def work() -> None:
        with server.connect(database) as connection:
            connection.execute("SET lock_timeout = '100ms'")
            while not over.is_set():
                numbers.append(len(numbers))
                for statement in statements(len(numbers)).split(";"):
                    with suppress(psycopg.Error):
                        connection.execute(statement.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert len(numbers) > 1


def transfers(prefix: str) -> Callable[[int], str]:
    return lambda number: TRANSFER.format(prefix, 100_000 + number)


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_dump_is_of_one_moment_or_fails(
    change: str, server: Server, bank: str, make_hook: MakeHook
) -> None:
    hook = make_hook(bank)
    keys, failures = [], []
    with (
        repeating(server, bank, transfers("")),
        repeating(server, bank, transfers("small_")),
        repeating(server, bank, lambda _: change),
    ):
        for _ in range(DUMPS):
            try:
                keys.append(hook.dump(jobs=2))
            except PgCloneError as error:
                failures.append(error)
    assert {dump.key for dump in hook.ls()} == set(keys)
    for key in keys:
        make_hook("moment").restore(key)
        for prefix in ("", "small_"):
            ((debited, credited),) = server.rows("moment", BALANCE.format(prefix))
            assert debited == credited, f"{key}: {prefix}"
            assert debited != "(0,)"
        assert server.value("moment", "SELECT count(*) FROM doomed") == 30000
    hook.restore(hook.dump())


def during_the_plan(
    monkeypatch: pytest.MonkeyPatch, server: Server, database: str, statements: str
) -> None:
    """Change a table after the snapshot was taken, and before the tables are locked."""
    choose = table_choice.choose_tables
    done: list[bool] = []

    def changed(*arguments: Any, **named: Any) -> Any:
        if not done:
            done.append(True)
            with server.connect(database) as connection:
                for statement in statements.split(";"):
                    connection.execute(statement.encode())
        return choose(*arguments, **named)

    monkeypatch.setattr("airflow_provider_pgclone.core.reading.table_choice.choose_tables", changed)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE doomed",
        pytest.param("ALTER TABLE doomed RENAME TO gone", marks=pytest.mark.long),
        pytest.param("ALTER TABLE debits DROP filler", marks=pytest.mark.long),
    ],
)
def test_a_table_that_is_gone_before_it_is_locked_fails_the_dump_by_its_name(
    change: str,
    server: Server,
    bank: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during_the_plan(monkeypatch, server, bank, change)
    hook = make_hook(bank)
    with pytest.raises(PgCloneError, match=r"doomed|filler"):
        hook.dump()
    assert hook.ls() == []
    hook.verify(hook.dump())


@pytest.mark.parametrize("verb", ["dump", "copy"])
@pytest.mark.parametrize("table", ["debits", "small_debits"])
def test_columns_that_exchange_their_names_before_they_are_locked_are_refused(
    table: str,
    verb: str,
    server: Server,
    bank: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """COPY would read each under the name of the other."""
    renames = (("id", "other"), ("money", "id"), ("other", "money"))
    exchange = ";".join(f"ALTER TABLE {table} RENAME {one} TO {other}" for one, other in renames)
    during_the_plan(monkeypatch, server, bank, exchange)
    hook = make_hook(bank)
    with pytest.raises(BusyError, match=rf"^public\.{table}\.(id|money) was renamed while"):
        hook.dump() if verb == "dump" else hook.copy(target=f"{bank}_copy", method="stream")
    assert server.names() == {bank}
    assert verb == "copy" or hook.ls() == []


@pytest.mark.parametrize("table", ["debits", pytest.param("small_debits", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            "TRUNCATE {0}; INSERT INTO {0} (id, money) SELECT id, money FROM {1}",
            id="truncate",
        ),
        pytest.param("ALTER TABLE {0} ALTER money TYPE bigint", id="rewrite"),
        pytest.param("VACUUM FULL {0}", id="vacuum full", marks=pytest.mark.long),
    ],
)
def test_a_table_that_is_rewritten_before_it_is_locked_loses_no_rows(
    change: str,
    table: str,
    server: Server,
    bank: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TRUNCATE, and ALTER TABLE where it rewrites, leave an older snapshot an empty table."""
    other = table.replace("debits", "credits")
    during_the_plan(monkeypatch, server, bank, change.format(table, other))
    hook = make_hook(bank)
    with suppress(PgCloneError):
        hook.dump()
    for dump in hook.ls():
        make_hook("moment").restore(dump.key)
        ((debited, credited),) = server.rows("moment", BALANCE.format(table.removesuffix("debits")))
        assert debited == credited
    hook.verify(hook.dump())


@pytest.mark.parametrize("verb", ["dump", "copy"])
@pytest.mark.parametrize(
    "exchange",
    [
        "ALTER TABLE été RENAME a TO c; ALTER TABLE été RENAME b TO a;"
        "ALTER TABLE été RENAME c TO b",
        "ALTER TABLE été RENAME TO c; ALTER TABLE août RENAME TO été;ALTER TABLE c RENAME TO août",
    ],
)
def test_names_beyond_ascii_are_not_exchanged_in_other_encodings(
    exchange: str,
    verb: str,
    server: Server,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "UTF8")  # of this test's own queries
    server.run("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    server.run(
        "latin", "CREATE TABLE été AS SELECT 1 AS a, 2 AS b; CREATE TABLE août (a int, b int)"
    )
    hook = make_hook("latin")
    hook.verify(hook.dump())
    during_the_plan(monkeypatch, server, "latin", exchange)
    with pytest.raises(BusyError, match=r"^public\.(été|août)(\.[ab])? was renamed while"):
        hook.copy(":c", method="stream") if verb == "copy" else hook.dump()


@pytest.fixture
def with_optout(server: Server, bank: str) -> str:
    """A bank with a small table, which pg_dump alone reads."""
    server.run(bank, "CREATE TABLE optout AS SELECT generate_series(1, 100) AS n")
    return bank


@pytest.mark.parametrize("verb", ["dump", "copy"])
def test_a_table_that_a_condition_reads_is_locked_as_long_as_rows_are_read(
    verb: str,
    server: Server,
    with_optout: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pg_dump, which locks it too, may end hours before."""
    held: list[int] = []
    read: list[Collection[TableName]] = []
    check = snapshot.Snapshot.check

    def noted(self: snapshot.Snapshot, toc: Toc) -> None:
        check(self, toc)
        locks = "SELECT count(*) FROM pg_locks WHERE relation = 'optout'::regclass AND granted"
        held.append(server.value(with_optout, f"{locks} AND pid = {self.session.pid}"))
        read.append(self.masks.read)

    monkeypatch.setattr(snapshot.Snapshot, "check", noted)
    hook = make_hook(with_optout)
    if verb == "copy":
        hook.copy(target="restored", method="stream", rows=OPTED_OUT)
    else:
        make_hook("restored").restore(hook.dump(rows=OPTED_OUT))
    assert held == [1]
    assert read == [{("public", "optout")}]  # not its own table, for which COPY has no limit
    assert server.value("restored", "SELECT count(*) FROM debits") == 9900


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE optout",
        "ALTER TABLE optout RENAME TO gone; CREATE TABLE optout AS SELECT 1 AS n WHERE false",
    ],
)
def test_a_table_that_a_condition_reads_is_not_changed_before_it_is_locked(
    change: str,
    server: Server,
    with_optout: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = read_beside.lock_what_is_read

    def changed(*arguments: Any) -> Any:
        server.run(with_optout, change)
        return lock(*arguments)

    monkeypatch.setattr(plan, "lock_what_is_read", changed)
    hook = make_hook(with_optout)
    with pytest.raises(BusyError, match=r"public\.optout(\.n)? was (truncated|renamed)"):
        hook.dump(rows=OPTED_OUT)
    assert hook.ls() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_alter_table_of_what_a_condition_reads_does_not_hold_all_up(
    jobs: int,
    server: Server,
    with_optout: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the session of the snapshot, and COPY would wait for it for ever."""
    monkeypatch.setattr(settings, "ALTERING_SECONDS", 1)
    check = snapshot.Snapshot.check
    with server.connect(with_optout) as altering, ThreadPoolExecutor(1) as pool:

        def then_alter(self: snapshot.Snapshot, toc: Toc) -> None:
            check(self, toc)
            pool.submit(altering.execute, "ALTER TABLE optout ADD z int")
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not server.value("postgres", waiting):
                pass

        monkeypatch.setattr(snapshot.Snapshot, "check", then_alter)
        with pytest.raises(BusyError, match=r"^the table public\.debits could not be read"):
            make_hook(with_optout).dump(rows=OPTED_OUT, jobs=jobs)


def test_rights_to_query_suffice_where_those_to_lock_are_missing(
    server: Server,
    with_optout: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.run("postgres", "CREATE ROLE reader LOGIN PASSWORD 'long'")
    server.run(
        with_optout,
        "CREATE SCHEMA app; ALTER TABLE debits SET SCHEMA app; GRANT USAGE ON SCHEMA app TO reader;"
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t (); CREATE VIEW app.v AS TABLE hidden.t;"
        "GRANT SELECT ON app.debits, app.v TO reader; GRANT SELECT (n) ON optout TO reader",
    )
    uri = server.server.uri("").replace(server.server.password, "long")
    monkeypatch.setenv("AIRFLOW_CONN_READER", uri.replace(f"//{server.server.user}:", "//reader:"))
    rows = {f"app.{table}": condition for table, condition in OPTED_OUT.items()}
    hook = make_hook(with_optout, postgres_conn_id="reader")
    try:
        key = hook.dump(rows=rows, schemas=["app"])
        assert hook.inspect(key)["tables"]["app.debits"] == 9900
    finally:
        server.run(with_optout, "DROP OWNED BY reader")
        server.run("postgres", "DROP ROLE reader")
    assert "masks or conditions read public.optout, which the user" in caplog.text
    assert "hidden" not in caplog.text
