"""Sessions that execute entries: each is lent as if it were new, and what ends one is told."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from psycopg.abc import Buffer, PQGen
from psycopg.generators import copy_to
from psycopg.pq.abc import PGconn

from airflow_provider_pgclone.core.archive.toc import POSITION_NOT_SET, TocEntry, statement_entry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, CancelledError, RestoreError
from airflow_provider_pgclone.core.executing import statements
from airflow_provider_pgclone.core.executing.sinks import BlockSink
from airflow_provider_pgclone.core.executing.statements import Sessions, execute_entries
from airflow_provider_pgclone.core.meter import ProgressMeter
from airflow_provider_pgclone.core.scheduling import Schedule
from airflow_provider_pgclone.core.watching import LoadWork
from tests.core.scheduling.test_splitting import toc_of
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server

# Of pg_dump: how each entry is read.
SETUP = [
    statement_entry(1, "ENCODING", "ENCODING", "SET client_encoding = 'LATIN1';\n"),
    statement_entry(2, "STDSTRINGS", "STDSTRINGS", "SET standard_conforming_strings = 'off';\n"),
]
# What a function of an archive may do to a session of ours.
HOSTILE_SQL = """
CREATE SCHEMA evil; CREATE TABLE evil.log (who text);
CREATE FUNCTION evil.pg_stat_force_next_flush() RETURNS void LANGUAGE sql
    AS 'INSERT INTO evil.log VALUES (current_user)';
CREATE ROLE other; GRANT ALL ON SCHEMA evil TO other;
CREATE FUNCTION evil.changes() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('search_path', 'evil, pg_catalog', false);
    PERFORM set_config('session_replication_role', 'replica', false);
    PERFORM set_config('client_encoding', 'SJIS', false);
    PERFORM pg_advisory_lock(7);
    CREATE TEMP TABLE lasting ();
    LISTEN lasting;
    SET ROLE other;
    RETURN true;
END $$;
CREATE TABLE rows (v text CHECK (evil.changes()))
"""
STATE = """
SELECT current_setting('search_path'), current_setting('session_replication_role'),
    current_setting('client_encoding'), current_setting('standard_conforming_strings'),
    current_setting('client_connection_check_interval'), current_user,
    current_setting('statement_timeout'),
    (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory'),
    (SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'lasting'),
    (SELECT count(*) FROM pg_catalog.pg_listening_channels())
"""


def data_of(table: str) -> TocEntry:
    return replace(
        statement_entry(9, "TABLE DATA", table, ""),
        copy_statement=f"COPY public.{table} FROM stdin;\n",
        namespace="public",
        data_state=POSITION_NOT_SET,
    )


def work_of(*entries: TocEntry) -> LoadWork:
    return LoadWork(Schedule(toc_of(*entries), {}, {}), ProgressMeter(lambda progress: None))


def one_row(dump_id: int, sink: BlockSink) -> None:
    sink.write_rows(iter([b"a\n", b"\\.\n\n\n"]))


def test_a_session_is_lent_as_if_it_were_new(server: Server, make_database: MakeDatabase) -> None:
    name = make_database(HOSTILE_SQL)
    settings = {"session_replication_role": "origin", "role": "none"}
    database = server.database(name).with_settings(settings)
    rows = data_of("rows")
    with Sessions(database, Cancellation()) as sessions:
        with sessions.lend() as session:
            before, pid = session.fetch_row(STATE), session.pid
        with sessions.lend() as session:
            execute_entries(session, [rows], one_row, work_of(rows), setup=SETUP)
        with sessions.lend() as session:
            assert session.fetch_row(STATE) == before
            kept = session.major >= 15
            assert (session.pid == pid) is kept
    assert server.rows(name, "TABLE evil.log") == []
    server.run(name, "DROP OWNED BY other; DROP ROLE other")


def test_entries_are_read_as_the_archive_says(server: Server, make_database: MakeDatabase) -> None:
    name = make_database("CREATE TABLE rows (v text)")
    index = statement_entry(8, "INDEX", "i", r"CREATE INDEX i ON public.rows ((v || '\\n'));")
    rows = data_of("rows")

    def latin(dump_id: int, sink: BlockSink) -> None:
        sink.write_rows(iter([b"\xe9", b"t\xe9\n"]))

    with Sessions(server.database(name), Cancellation()) as sessions, sessions.lend() as one:
        execute_entries(one, [rows, index], latin, work_of(rows, index), setup=SETUP)
    assert server.rows(name, "TABLE rows") == [("été",)]
    definition = server.value(name, "SELECT pg_get_indexdef('i'::regclass)")
    assert r"'\n'" in definition


def test_a_cancel_between_two_entries_is_heeded(
    server: Server, make_database: MakeDatabase
) -> None:
    name = make_database("CREATE TABLE done (n int)")
    entries = [
        statement_entry(n, "INDEX", f"i{n}", f"INSERT INTO public.done VALUES ({n})")
        for n in (5, 6)
    ]
    cancellation, work = Cancellation(), work_of(*entries)
    end = work.end

    def end_and_cancel(dump_id: int) -> None:
        end(dump_id)
        cancellation.cancel()

    work.end = end_and_cancel  # type: ignore[method-assign]
    with (
        pytest.raises(CancelledError),
        Sessions(server.database(name), cancellation) as sessions,
        sessions.lend() as session,
    ):
        execute_entries(session, entries, one_row, work, setup=[])
    assert server.rows(name, "TABLE done") == [(5,)]


def test_a_long_message_of_the_server_is_read_while_rows_are_written(
    server: Server, make_database: MakeDatabase
) -> None:
    """The server waited until it was read, and the client until its rows were."""
    name = make_database("""
        CREATE TABLE rows (v text);
        CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING MESSAGE = repeat('long ', 2 << 20);
        END $$;
        CREATE TRIGGER refusing BEFORE INSERT ON rows FOR EACH ROW EXECUTE FUNCTION refuses();
    """)
    rows = data_of("rows")

    def many_rows(dump_id: int, sink: BlockSink) -> None:
        sink.write_rows(iter([b"a\n" * (4 << 20), b"\\.\n\n\n"]))

    with Sessions(server.database(name), Cancellation()) as sessions, sessions.lend() as one:
        restoring, raised = in_background(
            lambda: execute_entries(one, [rows], many_rows, work_of(rows), setup=SETUP)
        )
        restoring.join(30)
        has_ended = not restoring.is_alive()
        if not has_ended:
            one.cut_off()
            restoring.join()
    (error,) = raised
    assert has_ended
    assert str(error).startswith("cannot restore TABLE DATA rows: ")


def test_a_large_piece_is_sent_in_parts_that_libpq_can_hold(
    server: Server, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_database("CREATE TABLE rows (v text)")
    rows, count, sent = data_of("rows"), 3 << 19, list[int]()

    def noting(pgconn: PGconn, part: Buffer) -> PQGen[None]:
        sent.append(len(part))
        return copy_to(pgconn, part)

    monkeypatch.setattr(statements, "copy_to", noting)

    def many_rows(dump_id: int, sink: BlockSink) -> None:
        sink.write_rows(iter([b"a\n" * count, b"\\.\n\n\n"]))

    with Sessions(server.database(name), Cancellation()) as sessions, sessions.lend() as one:
        execute_entries(one, [rows], many_rows, work_of(rows), setup=SETUP)
    assert sent == [1 << 20, 1 << 20, 1 << 20, 5]
    assert server.value(name, "SELECT count(*) FROM rows") == count


def test_what_fails_while_rows_come_is_told_and_leaves_no_row(
    server: Server, make_database: MakeDatabase
) -> None:
    name = make_database("CREATE TABLE rows (v text)")
    rows = data_of("rows")

    def pieces() -> Iterator[bytes]:
        yield b"a\n"
        raise ArchiveError("damaged")

    def damaged(dump_id: int, sink: BlockSink) -> None:
        sink.write_rows(pieces())

    def objects(dump_id: int, sink: BlockSink) -> None:
        assert not sink.holds_large_objects
        sink.write_large_objects(iter([]))

    with Sessions(server.database(name), Cancellation()) as sessions:
        for feed, said in ((damaged, "^damaged$"), (objects, "^public.rows has large objects")):
            with pytest.raises(ArchiveError, match=said), sessions.lend() as session:
                execute_entries(session, [rows], feed, work_of(rows), setup=[])
    assert server.rows(name, "TABLE rows") == []


def test_a_server_that_does_not_answer_is_not_waited_for(
    server: Server, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "ANSWER_SECONDS", 0.0)
    name = make_database("CREATE TABLE rows (v text)")
    slow = statement_entry(8, "INDEX", "i", "SELECT pg_sleep(600)")
    cancellation = Cancellation()
    stopped: list[int] = []

    def execute() -> None:
        with sessions.lend() as session:
            stopped.append(session.pid)
            os.kill(session.pid, signal.SIGSTOP)
            execute_entries(session, [slow], one_row, work_of(slow), setup=[])

    try:
        with Sessions(server.database(name), cancellation) as sessions:
            thread, raised = in_background(execute)
            while not stopped:
                pass
            while thread.is_alive():
                cancellation.cancel()
        assert isinstance(raised[0], CancelledError)
    finally:
        os.kill(stopped[0], signal.SIGCONT)


def test_an_error_that_comes_beside_a_refusal_writes_no_values_to_the_log(
    server: Server, make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The server refuses a row, and the worker stops before it reads the answer."""
    name = make_database("CREATE TABLE rows (v text CHECK (v <> 'hunter2'))")
    rows = data_of("rows")

    def feed(dump_id: int, sink: BlockSink) -> None:
        sink.write_rows(iter([b"hunter2\n" * 100_000]))
        raise ArchiveError("damaged")

    with (
        pytest.raises(ArchiveError, match=r"^damaged$"),
        Sessions(server.database(name), Cancellation()) as sessions,
        sessions.lend() as session,
    ):
        execute_entries(session, [rows], feed, work_of(rows), setup=[])
    assert "hunter2" not in caplog.text
    assert "error ignored" not in caplog.text


def test_a_session_that_the_server_ends_is_told_with_its_entry(
    server: Server, make_database: MakeDatabase
) -> None:
    name = make_database("CREATE TABLE rows (v text)")
    ending = statement_entry(8, "INDEX", "i\nj", "SELECT pg_terminate_backend(pg_backend_pid())")
    rows = data_of("rows")

    def feed(dump_id: int, sink: BlockSink) -> None:
        server.run("postgres", f"SELECT pg_terminate_backend({session.pid})")
        sink.write_rows(iter([b"a\n" * 1_000_000]))

    said = r"^cannot restore INDEX i j: FATAL:  terminating connection .* \[SELECT pg_term"
    with Sessions(server.database(name), Cancellation()) as sessions:
        with pytest.raises(RestoreError, match=said), sessions.lend() as session:
            execute_entries(session, [ending], one_row, work_of(ending), setup=[])
        said = r"^cannot restore TABLE DATA rows: "
        with pytest.raises(RestoreError, match=said), sessions.lend() as session:
            execute_entries(session, [rows], feed, work_of(rows), setup=[])


def test_threads_lend_sessions_of_each_other(server: Server, make_database: MakeDatabase) -> None:
    database = server.database(make_database("CREATE TABLE rows (v text)"))
    threads, rounds = 8, 100

    def lend_often(number: int) -> None:
        for _ in range(rounds):
            with sessions.lend() as session:
                assert session.fetch_row("SELECT 1") == (1,)

    with (
        Sessions(database, Cancellation()) as sessions,
        ThreadPoolExecutor(threads) as pool,
    ):
        list(pool.map(lend_often, range(threads)))
