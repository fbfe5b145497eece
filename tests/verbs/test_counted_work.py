"""How much work a verb does, counted and not timed: nothing is read, sent or asked twice."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.catalog import Held
from airflow_provider_pgclone.core.masking.planning import functions
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.storage.local import LocalStorage
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

MIB = 1024 * 1024
ROWS = {"events": 150_000, "users": 20_000}
SQL = f"""
CREATE TABLE events AS SELECT n AS id, md5(n::text) AS session, n % 977 AS ms,
    repeat('words ', 20) || n AS text FROM generate_series(1, {ROWS["events"]}) n;
CREATE INDEX ON events (session);
CREATE INDEX ON events (ms);
CREATE TABLE users AS SELECT n AS id FROM generate_series(1, {ROWS["users"]}) n
"""
# Each index reads its table once, and nothing else does.
ROWS_READ_BY_RESTORE = {"events": 2 * ROWS["events"], "users": 0}
# Some times what it takes, on any machine; with programs and the start of their runs.
MOST_CPU_SECONDS_A_GB = 120
SMALL_TABLES = 300


@pytest.fixture
def counts_in_time(server: Server) -> None:
    """A server that counts what a session has done before the session has ended."""
    if int(server.value("postgres", "SHOW server_version_num")) < 150000:
        pytest.skip("the numbers of PostgreSQL 14 may come too late")


@pytest.fixture
def source(
    counts_in_time: None, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A database with a table that is read in ranges."""
    split_small_tables(monkeypatch, 4 * MIB)
    return make_database(SQL)


def wait_for_sessions(server: Server, database: str) -> None:
    """Wait for the end of all sessions on a database, which are counted by then."""
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
    while server.value("postgres", sessions):
        pass


def rows_read(server: Server, database: str) -> dict[str, int]:
    """Return how many rows of each table its scans have read, for indexes too."""
    wait_for_sessions(server, database)
    return dict(server.rows(database, "SELECT relname, seq_tup_read FROM pg_stat_user_tables"))


def statements(server: Server, database: str) -> int:
    """Return how many transactions a database had; outside of others each statement is one."""
    wait_for_sessions(server, database)
    query = f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
    return int(server.value("postgres", query))


@contextmanager
def cpu_seconds() -> Iterator[list[float]]:
    """Yield a list that gets the CPU seconds of this process and its children in the block."""

    def now() -> float:
        uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(use.ru_utime + use.ru_stime for use in uses)

    spent: list[float] = []
    before = now()
    yield spent
    spent.append(now() - before)


@pytest.mark.parametrize(("checksums", "reads"), [(False, 1), (True, 2)])
def test_a_dump_reads_each_row_once_and_again_only_for_a_checksum(
    checksums: bool, reads: int, server: Server, source: str, make_hook: MakeHook
) -> None:
    before = rows_read(server, source)
    make_hook(source).dump(checksums=checksums)
    after = rows_read(server, source)
    read = {name: after[name] - before[name] for name in ROWS}
    assert read == {name: reads * rows for name, rows in ROWS.items()}


def test_a_restore_reads_and_writes_each_row_once_and_each_byte_of_the_dump(
    server: Server,
    source: str,
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_hook(source).dump()
    fetched: list[int] = []
    read_range = LocalStorage.read_range

    def counting(self: LocalStorage, path: str, start: int, end: int) -> bytes:
        fetched.append(end - start)
        return read_range(self, path, start, end)

    monkeypatch.setattr(LocalStorage, "read_range", counting)
    target = f"{source}_new"
    make_hook(target).restore(key)
    inserted = "SELECT relname, n_tup_ins FROM pg_stat_user_tables"
    assert dict(server.rows(target, inserted)) == ROWS
    assert rows_read(server, target) == ROWS_READ_BY_RESTORE
    archive_bytes = (local_storage / key).stat().st_size
    assert 0.9 * archive_bytes < sum(fetched) < 1.1 * archive_bytes


def test_a_copy_by_stream_reads_and_writes_each_row_once(
    server: Server, source: str, make_hook: MakeHook
) -> None:
    before = rows_read(server, source)
    target = make_hook(source).copy(target=f"{source}_new", method="stream")
    after = rows_read(server, source)
    assert {name: after[name] - before[name] for name in ROWS} == ROWS
    assert rows_read(server, target) == ROWS_READ_BY_RESTORE


def test_more_tables_do_not_mean_more_questions_for_each(
    counts_in_time: None, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """What a dump asks does not grow with the tables, and a restore asks a few things of each."""
    asked: dict[int, tuple[int, int]] = {}
    for tables in (10, SMALL_TABLES):
        source = make_database(";".join(f"CREATE TABLE t{n} (id int)" for n in range(tables)))
        before = statements(server, source)
        key = make_hook(source).dump(jobs=2)
        dumped = statements(server, source) - before
        target = f"{source}_new"
        make_hook(target).restore(key, jobs=2)
        asked[tables] = dumped, statements(server, target)
    (few_dumped, few_restored), (many_dumped, many_restored) = asked.values()
    assert many_dumped - few_dumped <= 5
    # Of each table it is made, given its owner, loaded, looked at and analyzed.
    assert many_restored - few_restored <= 6 * (SMALL_TABLES - 10)


def test_a_dump_and_a_restore_take_no_more_cpu_than_some_times_what_they_need(
    source: str, server: Server, make_hook: MakeHook
) -> None:
    size = "SELECT sum(pg_relation_size(relid)) FROM pg_stat_user_tables"
    gigabytes = float(server.value(source, size)) / 1e9
    hook = make_hook(source)
    with cpu_seconds() as dumping:
        key = hook.dump()
    with cpu_seconds() as restoring:
        hook.restore(key)
    for (spent,) in (dumping, restoring):
        assert spent < MOST_CPU_SECONDS_A_GB * gigabytes


def test_queries_of_the_catalogs_are_not_compiled(server: Server, source: str) -> None:
    """Where PostgreSQL is built with LLVM, that takes over a second for each."""
    server.run("postgres", f"ALTER DATABASE {source} SET jit = on")
    with server.session(source) as session:
        assert session.fetch_row("SHOW jit") == ("off",)


def test_what_masked_tables_would_call_is_asked_once(
    make_database: MakeDatabase, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = functions._called

    def counted(session: Session, tables: Sequence[MaskedTable], held: Held) -> Any:
        asked.append(len(tables))
        return ask(session, tables, held)

    monkeypatch.setattr(functions, "_called", counted)
    database = make_database("".join(f"CREATE TABLE t{n} (id int);" for n in range(20)))
    make_hook(database).dump(masks={"t*": {"id": "null"}})
    assert asked == [20]
