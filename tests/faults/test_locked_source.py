"""A source whose tables others lock, or wait to lock: it is waited for, but not for ever."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from airflow_provider_pgclone.core.archive.encoding import ArchiveReader
from airflow_provider_pgclone.core.archive.toc import Toc, read_start
from airflow_provider_pgclone.core.errors import BusyError, CancelledError, InvalidInputError
from airflow_provider_pgclone.core.postgres import settings
from airflow_provider_pgclone.core.reading import snapshot, table_choice
from airflow_provider_pgclone.hooks.pgclone import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class AlteredAtTheStart:
    """A session that alters tables.

    :param futures: of its statements, once they run.
    """

    database: str
    session: psycopg.Connection
    futures: list[Future[object]]


@pytest.fixture
def altered_at_the_start(
    server: Server, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AlteredAtTheStart]:
    """A session that alters two tables of a database, once pg_dump has locked them."""
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)
    database = make_database("CREATE TABLE a AS SELECT 1 AS n; CREATE TABLE b AS SELECT 2 AS n")
    with server.connect(database) as session, ThreadPoolExecutor(1) as pool:
        altering = AlteredAtTheStart(database, session, [])

        def read_then_alter(reader: ArchiveReader) -> Toc:
            toc = read_start(reader)
            statements = b"ALTER TABLE b ADD c int; ALTER TABLE a ADD c int"
            altering.futures.append(pool.submit(session.execute, statements))
            wait_for_lock(server, "AccessExclusiveLock")
            return toc

        monkeypatch.setattr(
            "airflow_provider_pgclone.core.reading.pg_dump.read_start", read_then_alter
        )
        yield altering


def wait_for_lock(
    server: Server, mode: str, *, unless: Future[str] | None = None, seconds: float = 0.0
) -> None:
    """Wait until a session waits for a lock of a table or an index.

    :param unless: what waits; this fails if it ends before.
    :param seconds: for how long it waits then.
    """
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        f"WHERE NOT granted AND locktype = 'relation' AND mode = '{mode}' "
        f"AND clock_timestamp() > query_start + interval '{seconds}s'"
    )
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not server.value("postgres", waiting):
        assert time.monotonic() < give_up_at
        if unless is not None and unless.done():
            unless.result()


def calls_that_read(hook: PgCloneHook) -> dict[str, Callable[[], object]]:
    return {
        "copy": partial(hook.copy, target=":c", method="stream"),
        "dump": hook.dump,
        # The masked table before it shows no more than codes of errors.
        "masked dump": partial(hook.dump, jobs=1, masks={"a": {"n": "null"}, "b": {"n": "null"}}),
    }


@pytest.mark.parametrize("verb", ["copy", "dump", "masked dump"])
def test_a_waiting_alter_table_does_not_hold_all_up(
    verb: str,
    altered_at_the_start: AlteredAtTheStart,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ALTER TABLE waits for our snapshot; what we start then must not wait for it."""
    monkeypatch.setattr(settings, "ALTERING_SECONDS", 1)
    calls = calls_that_read(make_hook(altered_at_the_start.database))
    message = r"^the table public\.b could not be read: another"
    with pytest.raises(BusyError, match=message):
        calls[verb]()
    (altering,) = altered_at_the_start.futures
    altering.result(30)


@pytest.mark.parametrize("verb", ["copy", "dump", "masked dump"])
def test_an_alter_table_that_gives_up_is_waited_for(
    verb: str,
    server: Server,
    altered_at_the_start: AlteredAtTheStart,
    make_hook: MakeHook,
) -> None:
    """Migrations do so by a lock_timeout, and must not end a dump of hours."""
    calls = calls_that_read(make_hook(altered_at_the_start.database))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(calls[verb])
        wait_for_lock(server, "AccessShareLock")
        altered_at_the_start.session.cancel_safe()
        call.result()
    (altering,) = altered_at_the_start.futures
    assert isinstance(altering.exception(), psycopg.errors.QueryCanceled)


@pytest.mark.parametrize("verb", ["dump", "copy"])
@pytest.mark.parametrize("holder", ["session", "prepared transaction"])
def test_a_table_that_stays_locked_is_named(
    holder: str,
    verb: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The snapshot would keep VACUUM from its work as long as the dump waits."""
    database = make_database("CREATE TABLE doomed ()")
    monkeypatch.setattr(snapshot, "LOCK_WAIT_SECONDS", 1 if verb == "copy" else 3600)
    patience = ["--lock-wait-timeout=1h", "--lock-wait-timeout=200ms"]
    hook = make_hook(database)
    with server.connect(database) as other:
        other.execute("BEGIN; LOCK TABLE doomed")
        who = f"session {other.info.backend_pid}"
        if holder != "session":
            other.execute("PREPARE TRANSACTION 'held'")
            who = "a prepared transaction"
        message = rf"^the table public\.doomed of '{database}' is locked by {who}\."
        with pytest.raises(BusyError, match=message):
            hook.copy(":c", method="stream") if verb == "copy" else hook.dump(pg_dump_args=patience)
        other.execute("ROLLBACK" if holder == "session" else "ROLLBACK PREPARED 'held'")
    assert server.names() == {database}
    hook.verify(hook.dump())


@pytest.mark.parametrize("short", ["--lock-wait=200ms", "--loc=200ms"])
def test_the_option_for_the_wait_may_be_shortened(
    short: str, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database("CREATE TABLE doomed ()")
    with server.connect(database) as other:
        other.execute("BEGIN; LOCK TABLE doomed")
        with pytest.raises(BusyError, match=r"doomed"):
            make_hook(database).dump(pg_dump_args=[short])


def test_a_wait_that_is_no_time_is_refused(
    make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    hook = make_hook(make_database(""))
    with pytest.raises(InvalidInputError, match=r"^--lock-wait-timeout in pg_dump_args is 'abc'"):
        hook.dump(pg_dump_args=["--lock-wait-timeout=abc"])


def test_all_tables_that_are_locked_are_named(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """The server does not tell which of them was waited for."""
    database = make_database(
        "CREATE TABLE a (); CREATE TABLE b (); CREATE MATERIALIZED VIEW aa AS SELECT"
    )
    with server.connect(database) as first, server.connect(database) as second:
        first.execute("BEGIN; LOCK TABLE b; REFRESH MATERIALIZED VIEW aa")
        second.execute("BEGIN; LOCK TABLE a")
        pids = [one.info.backend_pid for one in (second, first)]
        message = (
            rf"^one of the tables of '{database}' that others lock could not be read: "
            rf"public\.a \(locked by session {pids[0]}\), "
            rf"public\.b \(locked by session {pids[1]}\)\."
        )
        with pytest.raises(BusyError, match=message):
            make_hook(database).dump(pg_dump_args=["--lock-wait-timeout=200ms"])


def test_a_table_for_which_pg_dump_gives_up_is_named(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database("CREATE TABLE a (); CREATE TABLE b ()")
    arguments = ["--inserts", "--lock-wait-timeout=200ms"]  # we read no table ourselves
    with server.connect(database) as other:
        other.execute("BEGIN; LOCK TABLE b")
        with pytest.raises(BusyError, match=r"^the table public\.b of .* is locked by session"):
            make_hook(database).dump(pg_dump_args=arguments)


def test_a_locked_table_that_is_not_selected_is_not_waited_for(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot, "LOCK_WAIT_SECONDS", 1)
    database = make_database("CREATE SCHEMA audit; CREATE TABLE audit.log (); CREATE TABLE a ()")
    hook = make_hook(database)
    with server.connect(database) as other:
        other.execute("BEGIN; LOCK TABLE audit.log")
        hook.dump(schemas=["public"])
        hook.dump(exclude_schemas=["audit"])


@pytest.mark.parametrize(
    ("held", "program"),
    [
        ("LOCK TABLE a", "pg_dump"),
        ("ALTER VIEW v RENAME TO w", "pg_dump"),  # whose definition pg_dump asks for
        ("REINDEX INDEX i", "psql"),
    ],
)
def test_what_waits_for_a_lock_ends_with_the_dump(
    held: str,
    program: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its session would hold its snapshot and its locks as long as the other one does."""
    read_in_ranges = 0 if program == "psql" else 1 << 40
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", read_in_ranges)
    database = make_database(
        "CREATE TABLE a AS SELECT 1 AS n; CREATE INDEX i ON a (n); CREATE VIEW v AS TABLE a"
    )
    hook = make_hook(database)
    of_others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {of_others}"
    with server.connect(database) as other, ThreadPoolExecutor(1) as pool:
        other.execute(f"BEGIN; {held}".encode())
        arguments = ["--inserts"] if held.startswith("LOCK") else []  # we read no table ourselves
        dump = pool.submit(hook.dump, pg_dump_args=arguments)
        wait_for_lock(server, "AccessShareLock", unless=dump)
        hook.cancel()
        with pytest.raises(CancelledError):
            dump.result()
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while server.value("postgres", count) > 1:
            assert time.monotonic() < give_up_at


@pytest.mark.parametrize("checksums", [False, True])
def test_a_reindex_is_waited_for(
    checksums: bool,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes as long as it takes, and does not wait for a dump."""
    monkeypatch.setattr(settings, "ALTERING_SECONDS", 1)
    monkeypatch.setattr(snapshot, "LOCK_WAIT_SECONDS", 1)
    if not checksums:  # otherwise pg_dump reads the table, and so does not wait
        monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)
    database = make_database("CREATE TABLE a AS SELECT 1 AS n; CREATE INDEX i ON a (n)")
    hook = make_hook(database)
    with server.connect(database) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN; REINDEX INDEX i")
        dump = pool.submit(hook.dump, checksums=checksums)
        wait_for_lock(server, "AccessShareLock", unless=dump, seconds=1.5)
        other.execute("COMMIT")
        hook.verify(dump.result())
