"""Dumps of tables that are read in ranges: stock tools restore them, and damage is found."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core import plan
from airflow_provider_pgclone.core.errors import ArchiveError, PgCloneError, ToolError
from tests.fixtures.children import running
from tests.fixtures.databases import MakeDatabase, Server
from tests.fixtures.fingerprint import fingerprint
from tests.fixtures.hooks import MakeHook

SQL = """
CREATE TABLE events (
    id int PRIMARY KEY, gone int, twice int GENERATED ALWAYS AS (id * 2) STORED, text text
);
ALTER TABLE events DROP COLUMN gone;
INSERT INTO events (id, text)
    SELECT n, E'a\\tb\\\\ \\n' || md5(n::text) FROM generate_series(1, 9000) n;
CREATE INDEX ON events (text);
CREATE TABLE notes (event int REFERENCES events, note text);
INSERT INTO notes
    SELECT n, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat(md5(n::text), 9) END
    FROM generate_series(1, 9000) n;
CREATE SCHEMA "Odd ""schema"; CREATE TABLE "Odd ""schema"."Ünï tab" ("co l" text);
INSERT INTO "Odd ""schema"."Ünï tab" SELECT repeat('ü', 500) FROM generate_series(1, 2000);
CREATE TABLE parent (a int, b text); CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
INSERT INTO child SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
CREATE TABLE days (day int, text text) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (5);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (5) TO (10);
INSERT INTO days SELECT n % 10, md5(n::text) FROM generate_series(1, 9000) n;
CREATE TABLE wide (bytes bytea); ALTER TABLE wide ALTER bytes SET STORAGE EXTERNAL;
INSERT INTO wide
    SELECT convert_to(repeat(md5(n::text), 9000), 'utf8') FROM generate_series(1, 20) n;
CREATE UNLOGGED TABLE unlogged AS SELECT md5(n::text) FROM generate_series(1, 5000) n;
CREATE TABLE empty (a int); CREATE TABLE no_columns ();
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM events;
CREATE SEQUENCE numbers; SELECT nextval('numbers'); SELECT lo_from_bytea(0, 'large');
SELECT lo_create(0);
"""
SMALL = 128 * 1024


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "THRESHOLD_BYTES", SMALL)
    monkeypatch.setattr(plan, "RANGE_BYTES", SMALL)


@pytest.fixture
def source(make_database: MakeDatabase, small_ranges: None) -> str:
    return make_database(SQL)


@pytest.fixture
def archive(source: str, make_hook: MakeHook, local_storage: Path) -> Path:
    return local_storage / make_hook(source).dump(jobs=3)


def test_tables_are_split_and_all_rows_are_accounted_for(
    server: Server, source: str, archive: Path, make_hook: MakeHook, local_storage: Path
) -> None:
    account = make_hook(source).inspect(str(archive.relative_to(local_storage)))
    assert account["tables"]["public.events"] == 9000
    assert account["tables"]["public.empty"] == 0
    assert account["tables"]['Odd "schema.Ünï tab'] == 2000
    argv = [str(server.server.bin_dir / "pg_restore"), "--list", str(archive)]
    listing = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert listing.count("TABLE DATA public events ") > 3
    assert listing.count("TABLE DATA public empty ") == 1


@pytest.mark.parametrize("way", ["file", "pipe", "parallel", "script", "hook"])
def test_every_way_of_restoring_gives_the_same_database(
    way: str,
    server: Server,
    source: str,
    archive: Path,
    make_hook: MakeHook,
    local_storage: Path,
) -> None:
    target = f"{source}_{way}"
    if way == "hook":
        make_hook(target).restore(str(archive.relative_to(local_storage)))
    else:
        server.run("postgres", f"CREATE DATABASE {target}")
        restore_by_stock_tools(way, server, archive, server.server.uri(target))
    assert fingerprint(server, target) == fingerprint(server, source)


def restore_by_stock_tools(way: str, server: Server, archive: Path, uri: str) -> None:
    pg_restore = str(server.server.bin_dir / "pg_restore")
    psql = str(server.server.bin_dir / "psql")
    into = ["--exit-on-error", "--dbname", uri]
    if way == "pipe":
        with archive.open("rb") as data:
            # Behind a pipe, so that pg_restore cannot seek.
            cat = subprocess.Popen(["cat"], stdin=data, stdout=subprocess.PIPE)
            subprocess.run([pg_restore, *into], stdin=cat.stdout, check=True)
            assert cat.stdout is not None
            cat.stdout.close()
            cat.wait()
    elif way == "script":
        script = subprocess.run(
            [pg_restore, "--file=-", str(archive)], check=True, stdout=subprocess.PIPE
        ).stdout
        argv = [psql, "--quiet", "--set=ON_ERROR_STOP=1", uri]
        subprocess.run(argv, input=script, check=True, stdout=subprocess.DEVNULL)
    else:
        more = ["--jobs=4"] if way == "parallel" else []
        subprocess.run([pg_restore, *into, *more, str(archive)], check=True)


def test_one_table_can_be_taken_out(server: Server, source: str, archive: Path) -> None:
    target = f"{source}_one"
    server.run("postgres", f"CREATE DATABASE {target}")
    argv = [str(server.server.bin_dir / "pg_restore"), "--exit-on-error", "--table=events"]
    subprocess.run([*argv, "--dbname", server.server.uri(target), str(archive)], check=True)
    assert server.value(target, "SELECT count(*) FROM events") == 9000


def test_excluded_tables_stay_out_of_the_ranges_too(source: str, make_hook: MakeHook) -> None:
    hook = make_hook(source)
    tables = hook.inspect(hook.dump(exclude=["events", "days"]))["tables"]
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
