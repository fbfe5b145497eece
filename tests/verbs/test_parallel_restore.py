"""Restores by several sessions: what they give, and that a fault anywhere ends them at once."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive.footer import (
    HEAD_BYTES,
    manifest_block,
    read_footer,
    read_manifest,
)
from airflow_provider_pgclone.core.archive.manifest import Manifest
from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    CancelledError,
    PgCloneError,
    RestoreError,
    ServerError,
    StorageError,
)
from airflow_provider_pgclone.core.reading import page_ranges, table_choice
from airflow_provider_pgclone.core.scheduling import groups, splitting
from airflow_provider_pgclone.core.storage.objects import ObjectStorage
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.background import in_background
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

SMALL = 128 * 1024
SQL = """
CREATE TABLE events (id int PRIMARY KEY, text text UNIQUE);
INSERT INTO events SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 20000) n;
CREATE INDEX ON events (id, text);
CREATE TABLE notes (event int REFERENCES events, note text);
INSERT INTO notes SELECT n, repeat(md5(n::text), n % 9) FROM generate_series(1, 9000) n;
DO $$ BEGIN FOR n IN 1..60 LOOP
    EXECUTE format('CREATE TABLE small_%s AS SELECT %s AS n, ''it''''s'' AS text', n, n);
END LOOP; END $$;
SELECT lo_from_bytea(0, decode(repeat(md5(n::text), n * n), 'hex')) FROM generate_series(0, 40) n;
SELECT lo_from_bytea(0, decode(repeat('ff00', 2000000), 'hex')), lo_create(0);
"""


@pytest.fixture
def source(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", SMALL)
    monkeypatch.setattr(page_ranges, "PART_BYTES", SMALL)
    monkeypatch.setattr(groups, "SMALL_BYTES", SMALL)
    monkeypatch.setattr(splitting, "SMALL_BYTES", 0)
    return make_database(SQL)


@pytest.fixture
def archive(source: str, make_hook: MakeHook, local_storage: Path) -> Path:
    return local_storage / make_hook(source).dump(jobs=2)


@pytest.fixture
def key(archive: Path, local_storage: Path) -> str:
    return str(archive.relative_to(local_storage))


class Gate:
    """Stops the reads of blocks, so that a restore is caught at its work."""

    def __init__(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.failure: Exception | None = None
        self._first_block = manifest_of(archive).toc_bytes
        read_range = ObjectStorage.read_range

        def gated(storage: ObjectStorage, path: str, start: int, end: int) -> bytes:
            if self._first_block <= start and threading.current_thread().name.startswith("fetch"):
                self.reached.set()
                self.opened.wait()
                if self.failure is not None:
                    raise self.failure
            return read_range(storage, path, start, end)

        monkeypatch.setattr(ObjectStorage, "read_range", gated)


@pytest.fixture
def gate(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(archive, monkeypatch)
    yield made
    made.opened.set()


def manifest_of(archive: Path) -> Manifest:
    data = archive.read_bytes()
    footer = read_footer(data, len(data))
    assert footer is not None
    values = read_manifest(data[footer.offset : footer.offset + footer.length], footer)
    return Manifest.from_json(values)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_any_number_of_sessions_gives_the_same_database(
    jobs: int, server: Server, source: str, key: str, make_hook: MakeHook
) -> None:
    make_hook(f"{source}_new").restore(key, jobs=jobs, maintenance_work_mem="64MB")
    assert fingerprint(server, f"{source}_new") == fingerprint(server, source)
    assert server.value(f"{source}_new", "SELECT count(*) FROM pg_largeobject_metadata") == 43


def test_a_killed_pg_restore_ends_the_restore(
    server: Server, source: str, key: str, make_hook: MakeHook, gate: Gate
) -> None:
    target = make_hook(source)
    thread, raised = in_background(lambda: target.restore(key, jobs=1))
    assert gate.reached.wait(30)
    os.kill(running("pg_restore")[0], signal.SIGKILL)
    thread.join(30)
    assert not thread.is_alive(), "the restore waits for data that nobody needs"
    assert isinstance(raised[0], RestoreError)
    assert "pg_restore was killed by SIGKILL" in str(raised[0])
    assert not running("pg_restore")
    assert server.value(source, "SELECT count(*) FROM events") == 20000
    assert server.names() == {source}


def test_a_session_that_is_ended_ends_the_restore_and_the_others(
    server: Server, source: str, key: str, make_hook: MakeHook, gate: Gate
) -> None:
    thread, raised = in_background(lambda: make_hook(source).restore(key, jobs=3))
    assert gate.reached.wait(30)
    copying = "FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active' LIMIT 1"
    while not server.rows("postgres", f"SELECT pg_terminate_backend(pid) {copying}"):
        pass
    thread.join(30)
    assert not thread.is_alive(), "the restore waits for data that nobody needs"
    assert isinstance(raised[0], RestoreError)
    assert str(raised[0]).startswith("cannot restore TABLE DATA ")
    assert server.value(source, "SELECT count(*) FROM events") == 20000
    assert server.names() == {source}


def test_storage_that_breaks_off_ends_the_restore_at_once(
    server: Server, source: str, key: str, make_hook: MakeHook, gate: Gate
) -> None:
    gate.failure = StorageError("the connection was reset")
    thread, raised = in_background(lambda: make_hook(source).restore(key))
    assert gate.reached.wait(30)
    gate.opened.set()
    thread.join(30)
    assert [str(error) for error in raised] == ["the connection was reset"]
    assert server.names() == {source}


def test_a_cancel_while_storage_stalls_ends_the_restore(
    server: Server, source: str, key: str, make_hook: MakeHook, gate: Gate
) -> None:
    hook: PgCloneHook = make_hook(source)
    thread, raised = in_background(lambda: hook.restore(key))
    assert gate.reached.wait(30)
    hook.cancel()
    thread.join(30)
    assert isinstance(raised[0], CancelledError)
    assert not running("pg_restore")
    assert server.names() == {source}


def test_a_damaged_block_fails_the_restore_by_the_name_of_its_table(
    server: Server, source: str, archive: Path, key: str, make_hook: MakeHook
) -> None:
    chance = random.Random(7)
    data = archive.read_bytes()
    parts = manifest_of(archive).entries
    by_table = {part.table: part for part in parts}
    for part in (by_table["events"], by_table["small_7"], by_table[""]):
        damaged = bytearray(data)
        place = part.block.offset + chance.randrange(part.block.length)
        damaged[place] ^= 1 << chance.randrange(8)
        archive.write_bytes(damaged)
        with pytest.raises(ArchiveError) as raised:
            make_hook(source).restore(key)
        assert part.display_name in str(raised.value)
        assert server.names() == {source}


def rewritten(archive: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Give an archive another manifest, right in itself."""
    data = archive.read_bytes()
    footer = read_footer(data, len(data))
    assert footer is not None
    manifest = manifest_of(archive)
    start = footer.offset - HEAD_BYTES
    dump_id = int.from_bytes(data[start + 2 : start + 6], "little")
    block = manifest_block(change(manifest), dump_id=dump_id, offset=start)
    archive.write_bytes(data[:start] + block)


def with_part(manifest: Manifest, number: int, **changes: Any) -> Manifest:
    parts = list(manifest.entries)
    block = replace(
        parts[number].block, **{k: v for k, v in changes.items() if k not in ("schema", "table")}
    )
    names = {k: v for k, v in changes.items() if k in ("schema", "table")}
    parts[number] = replace(parts[number], block=block, **names)
    return replace(manifest, entries=tuple(parts))


DISAGREEMENTS: dict[str, tuple[Callable[[Manifest], Manifest], str]] = {
    "another table": (
        lambda t: with_part(t, 0, table="other"),
        r"the data of public\.other \(block \d+\) does not fit the table of contents",
    ),
    "another id": (
        lambda t: with_part(t, 0, dump_id=999_999),
        r"\(block 999999\) does not fit the table of contents",
    ),
    "a block less": (
        lambda t: replace(t, entries=t.entries[:-1]),
        r"the data of public\.\w+ \(block \d+\) is not in the manifest",
    ),
    "a block twice": (
        lambda t: replace(t, entries=(*t.entries, t.entries[0])),
        r"\(block \d+\) does not fit the table of contents",
    ),
    "another place": (
        lambda t: with_part(t, 1, offset=t.entries[1].block.offset + 1),
        r"the data of public\.\w+ \(block \d+\) does not follow the block before it",
    ),
    "another length": (
        lambda t: with_part(t, 0, length=t.entries[0].block.length + 1),
        r"\(block \d+\) does not follow the block before it",
    ),
    "another number of rows": (
        lambda t: with_part(t, 0, rows=t.entries[0].block.rows + 1),
        r"the table public\.\w+ has \d+ rows after the restore, but \d+ in the dump",
    ),
    "another table of contents": (
        lambda t: replace(t, toc_bytes=t.toc_bytes - 1),
        "the table of contents differs from what was written",
    ),
    "a table of contents beyond the end": (
        lambda t: replace(t, toc_bytes=1 << 40),
        "the manifest of the archive does not fit it",
    ),
}


@pytest.mark.parametrize("kind", DISAGREEMENTS)
def test_a_manifest_that_disagrees_with_the_archive_is_refused(
    kind: str, server: Server, source: str, archive: Path, key: str, make_hook: MakeHook
) -> None:
    change, message = DISAGREEMENTS[kind]
    rewritten(archive, change)
    with pytest.raises(PgCloneError, match=message):
        make_hook(source).restore(key)
    assert server.names() == {source}
    assert server.value(source, "SELECT count(*) FROM events") == 20000


def test_indexes_that_alter_their_table_do_not_end_in_a_deadlock(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "SMALL_BYTES", SMALL)
    monkeypatch.setattr(splitting, "SMALL_BYTES", 0)
    database = make_database(
        "CREATE TABLE pairs (id int NOT NULL, text text);"
        "INSERT INTO pairs SELECT n, md5(n::text) FROM generate_series(1, 100000) n;"
        "CREATE UNIQUE INDEX by_id ON pairs (id); CREATE INDEX by_text ON pairs (text);"
        "ALTER TABLE pairs CLUSTER ON by_text;"
        "ALTER TABLE pairs REPLICA IDENTITY USING INDEX by_id"
    )
    make_hook("restored").restore(make_hook(database).dump(), jobs=2)
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indisclustered OR indisreplident"
    assert sorted(server.rows("restored", query)) == [("by_id",), ("by_text",)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "EUC_TW", "LATIN1", "EUC_JP"])
def test_databases_of_any_encoding_are_restored_and_copied(
    encoding: str, server: Server, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg returns text as bytes in the first one, and does not know the second one."""
    monkeypatch.setenv("PGCLIENTENCODING", "UTF8")  # of this test's own queries
    name = encoding.lower()
    made = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    server.run("postgres", made)
    server.run(name, SQL)
    if encoding == "LATIN1":
        server.run(name, "CREATE TABLE \"été\" AS SELECT repeat('é', 500) AS é")
    hook = make_hook(name)
    make_hook("restored").restore(hook.dump(jobs=2), jobs=2)
    hook.copy(target="copied", method="stream", jobs=2)
    before = fingerprint(server, name)
    assert fingerprint(server, "restored") == fingerprint(server, "copied") == before


@pytest.mark.parametrize("verb", ["dump", "copy"])
def test_a_name_that_is_not_utf8_is_an_error_with_a_hint(
    verb: str, server: Server, make_hook: MakeHook
) -> None:
    made = "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    server.run("postgres", made)
    with server.connect("ascii") as session:
        session.execute("SET client_encoding = 'SQL_ASCII'")
        session.execute(b'CREATE TABLE "\xe9" ()')
    hook = make_hook("ascii")
    with pytest.raises(ServerError, match="invalid byte sequence") as raised:
        hook.dump() if verb == "dump" else hook.copy(target="copied", method="stream")
    assert "A name in the database is not UTF-8." in str(raised.value.hint)
    assert "copied" not in server.names()
    assert verb == "copy" or hook.ls() == []
