"""Dumps of tables that are read in ranges: none is lost, and damage is found."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import ArchiveError, PgCloneError, ToolError
from airflow_provider_pgclone.core.postgres.clients import tool_major
from airflow_provider_pgclone.core.postgres.processes import Child, run_child
from airflow_provider_pgclone.core.reading import page_ranges
from airflow_provider_pgclone.core.repository import find_dump, open_archive
from airflow_provider_pgclone.core.storage.local import LocalStorage
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server
from tests.support.fixtures.every_kind import EVERY_KIND_SQL, split_small_tables
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_tools import StockTools


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    split_small_tables(monkeypatch)


@pytest.fixture
def source(make_database: MakeDatabase, small_ranges: None) -> str:
    return make_database(EVERY_KIND_SQL)


@pytest.fixture
def archive(source: str, make_hook: MakeHook, local_storage: Path) -> Path:
    return local_storage / make_hook(source).dump(jobs=3)


def test_all_rows_are_accounted_for(
    source: str, archive: Path, make_hook: MakeHook, local_storage: Path
) -> None:
    account = make_hook(source).inspect(str(archive.relative_to(local_storage)))
    assert account["tables"]["public.events"] == 9000
    assert account["tables"]["public.empty"] == 0
    assert account["tables"]['Odd "schema.Ünï tab'] == 2000


def test_a_restore_gives_the_same_database(
    server: Server, source: str, archive: Path, make_hook: MakeHook, local_storage: Path
) -> None:
    target = f"{source}_restored"
    make_hook(target).restore(str(archive.relative_to(local_storage)))
    assert fingerprint(server, target) == fingerprint(server, source)


@pytest.mark.parametrize("way", ["pipe", "parallel"])
def test_ranges_of_several_parts_are_restored_by_us_and_by_stock_programs(
    way: str,
    server: Server,
    source: str,
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table of a hundred gigabytes has them; here one of three pages has."""
    monkeypatch.setattr(page_ranges, "MAX_RANGES_OF_TABLE", 2)
    monkeypatch.setattr(page_ranges, "PART_BYTES", 8192)
    key = make_hook(source).dump(jobs=3)
    before = fingerprint(server, source)
    make_hook("restored").restore(key, jobs=2)
    assert fingerprint(server, "restored") == before
    server.run("postgres", "CREATE DATABASE stock TEMPLATE template0")
    tools = StockTools(
        server.server.bin_dir,
        tool_major(str(server.server.bin_dir / "pg_restore")),
        server.server.uri("stock"),
    )
    tools.restore(way, local_storage / key)
    assert fingerprint(server, "stock") == before


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The psql that dumps have started to read ranges."""
    programs: list[str] = []

    def counted(argv: Sequence[str], **options: Any) -> AbstractContextManager[Child]:
        programs.append(argv[0])
        return run_child(argv, **options)

    monkeypatch.setattr("airflow_provider_pgclone.core.reading.psql.run_child", counted)
    return programs


def test_each_worker_reads_all_its_ranges_by_one_psql(
    source: str, make_hook: MakeHook, started: list[str]
) -> None:
    make_hook(source).dump(jobs=3)
    assert len(started) == 3


@pytest.mark.parametrize(("rows", "count"), [(5000, 1), (50, 0)], ids=["medium", "tiny"])
def test_rows_are_read_by_psql_where_that_costs_less(
    rows: int, count: int, make_database: MakeDatabase, make_hook: MakeHook, started: list[str]
) -> None:
    database = make_database(
        f"CREATE TABLE t AS SELECT n, md5(n::text) AS text FROM generate_series(1, {rows}) n"
    )
    hook = make_hook(database)
    key = hook.dump(jobs=3)
    assert len(started) == count
    assert hook.inspect(key)["tables"] == {"public.t": rows}


def test_excluded_tables_stay_out_of_the_ranges_too(source: str, make_hook: MakeHook) -> None:
    hook = make_hook(source)
    tables = hook.inspect(hook.dump(exclude=["events", "days", "notes"]))["tables"]
    assert "public.events" not in tables
    assert "public.days_1" not in tables
    assert tables["public.parent"] == 5000


def test_every_flipped_bit_is_found_without_a_database(
    source: str, archive: Path, make_hook: MakeHook, local_storage: Path
) -> None:
    hook, key = make_hook(source), str(archive.relative_to(local_storage))
    assert hook.verify(key) == key
    whole = archive.read_bytes()
    chosen = random.Random(7)
    places = [*range(len(whole) - 60, len(whole)), *chosen.sample(range(len(whole)), 60)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chosen.randrange(8)
        archive.write_bytes(damaged)
        with pytest.raises(PgCloneError):
            hook.verify(key)


def test_a_damaged_block_fails_the_restore_and_names_its_table(
    server: Server, source: str, archive: Path, make_hook: MakeHook, local_storage: Path
) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"the data of .* differs|pg_restore"):
        make_hook(source).restore(str(archive.relative_to(local_storage)))
    assert server.names() == {source}


def test_a_psql_that_is_killed_leaves_nothing(
    server: Server, source: str, make_hook: MakeHook, local_storage: Path
) -> None:
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            for pid in running("psql"):
                os.kill(pid, signal.SIGKILL)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    hook = make_hook(source)
    try:
        with pytest.raises(ToolError, match="psql was killed by SIGKILL"):
            hook.dump(jobs=2)
    finally:
        done.set()
        killer.join()
    assert not list(local_storage.rglob("*.dump"))
    assert hook.dump(jobs=2)


@pytest.fixture
def writer(server: Server, source: str) -> Iterator[threading.Thread]:
    """A client that moves money between the first and the last row of a table."""
    server.run(
        source,
        "CREATE TABLE accounts AS SELECT n AS id, 100 AS money, repeat('x', 500) AS filler "
        "FROM generate_series(1, 5000) n; ALTER TABLE accounts ADD PRIMARY KEY (id)",
    )
    stop = threading.Event()

    def move() -> None:
        with server.connect(source) as connection:
            while not stop.is_set():
                connection.execute(
                    "UPDATE accounts SET money = money + CASE id WHEN 1 THEN 1 ELSE -1 END "
                    "WHERE id IN (1, 5000)"
                )

    thread = threading.Thread(target=move)
    thread.start()
    yield thread
    stop.set()
    thread.join()


def test_all_ranges_see_one_moment(
    server: Server, source: str, writer: threading.Thread, make_hook: MakeHook
) -> None:
    key = make_hook(source).dump(jobs=3)
    make_hook(f"{source}_moment").restore(key)
    assert server.value(f"{source}_moment", "SELECT sum(money) FROM accounts") == 500000
    assert writer.is_alive()


def test_columns_with_names_in_another_encoding_are_not_lost(
    server: Server, small_ranges: None, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    server.run(
        "latin",
        "CREATE TABLE letters AS "
        "SELECT n, repeat('é', 500) AS \"é\" FROM generate_series(1, 1000) n",
    )
    make_hook("latin_restored").restore(make_hook("latin").dump())
    checksum = "SELECT sum(hashtextextended(t::text, 0)) FROM letters t"
    assert server.value("latin_restored", checksum) == server.value("latin", checksum)


def test_tables_with_names_in_another_encoding_are_restored_and_copied(
    server: Server, small_ranges: None, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    server.run("latin", "CREATE TABLE \"été\" AS SELECT repeat('é', 500) AS é")
    before = server.rows("latin", 'SELECT * FROM "été"')
    hook = make_hook("latin")
    hook.copy(target="latin_copy", method="stream")
    assert server.rows("latin_copy", 'SELECT * FROM "été"') == before
    hook.restore(hook.dump())
    assert server.rows("latin", 'SELECT * FROM "été"') == before


def test_the_workers_own_encoding_changes_no_names(
    server: Server,
    make_database: MakeDatabase,
    small_ranges: None,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database(
        "CREATE TABLE \"été\" AS SELECT repeat('é', 500) AS é FROM generate_series(1, 1000)"
    )
    hook = make_hook(database)
    with monkeypatch.context() as worker:
        worker.setenv("PGCLIENTENCODING", "LATIN1")
        hook.restore(hook.dump())
    assert server.value(database, 'SELECT count(DISTINCT é) FROM "été"') == 1


def test_the_manifest_tells_how_large_the_indexes_were(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    """A restore starts with what takes longest; pg_dump knows a primary key by its constraint."""
    source = make_database(
        """
        CREATE TABLE t AS SELECT n AS id, jsonb_build_object('a', n) AS j, n AS other
            FROM generate_series(1, 20000) n;
        ALTER TABLE t ADD PRIMARY KEY (id);
        CREATE INDEX t_j ON t USING gin (j);
        CREATE TABLE referring (id int REFERENCES t);
        """
    )
    key = make_hook(source).dump()
    storage = LocalStorage(str(local_storage))
    archive = open_archive(storage, find_dump(storage, key))
    assert archive.manifest is not None
    tags = {entry.dump_id: entry.tag for entry in archive.toc.entries}
    sizes = {tags[id_]: size for id_, size in archive.manifest.index_bytes.items()}
    query = "SELECT pg_relation_size('t_pkey'), pg_relation_size('t_j')"
    ((of_key, of_gin),) = server.rows(source, query)
    assert sizes == {"t t_pkey": of_key, "t_j": of_gin}


def test_too_many_jobs_are_named(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    small_ranges: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = "SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 5000) n"
    database = make_database(f"CREATE TABLE a AS {rows}")
    server.run("postgres", "CREATE ROLE few LOGIN PASSWORD 'long' CONNECTION LIMIT 4")
    server.run("postgres", "GRANT pg_read_all_data TO few")
    uri = server.server.uri(database).replace(server.server.password, "long")
    monkeypatch.setenv("AIRFLOW_CONN_FEW", uri.replace(f"//{server.server.user}:", "//few:"))
    try:
        with pytest.raises(ToolError, match="too many connections for role") as caught:
            make_hook(database, postgres_conn_id="few").dump(jobs=20)
    finally:
        server.run("postgres", "DROP ROLE few")
    assert str(caught.value.hint).startswith("Use fewer jobs, since each has a session, or raise")


def test_a_server_without_room_for_a_session_is_told(
    server: Server, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.run("postgres", "CREATE ROLE few CREATEDB LOGIN PASSWORD 'long'")
    server.run("postgres", "CREATE DATABASE shop_of_few OWNER few")
    server.run("shop_of_few", f"SET ROLE few; {SHOP_SQL}")
    uri = server.server.uri("").replace(server.server.password, "long")
    monkeypatch.setenv("AIRFLOW_CONN_FEW", uri.replace(f"//{server.server.user}:", "//few:"))
    hook = make_hook("shop_of_few", postgres_conn_id="few")
    key = hook.dump()

    def refused(call: Callable[..., object], jobs: int) -> list[str]:
        """Let the role have one session more until it suffices; others are refused elsewhere."""
        told: list[str] = []
        for limit in range(20):
            server.run("postgres", f"ALTER ROLE few CONNECTION LIMIT {limit}")
            try:
                call(jobs=jobs)
                break
            except PgCloneError as error:
                told.append(str(error))
        return told

    try:
        told = refused(hook.dump, 1)
        for jobs in (1, 4):
            told += refused(lambda jobs: hook.restore(key, jobs=jobs), jobs)
        assert len(told) > 6
        assert [one for one in told if "Use fewer jobs" not in one] == []
    finally:
        for name in server.names():
            server.drop(name)
        server.run("postgres", "DROP ROLE few")
