"""Copies of live databases by stream: what they hold, and that a fault leaves the target alone."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.sdk import DAG

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    RestoreError,
    ToolError,
)
from airflow_provider_pgclone.core.loading import skeleton_blocks
from airflow_provider_pgclone.core.loading.skeleton_blocks import SkeletonBlocks
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.reading import page_ranges, psql, table_choice
from airflow_provider_pgclone.core.reading.page_ranges import PageRange, copy_query
from airflow_provider_pgclone.core.scheduling.groups import ENTRIES_OF_GROUP, SERIAL_BYTES
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.operators import PgCloneCopyOperator
from example_dags.services import postgres_server
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.background import in_background
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import REFUSED_SQL, MakeDatabase, Server
from tests.support.fixtures.every_kind import EVERY_KIND_SQL
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

SMALL = 128 * 1024


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_ranges, "PART_BYTES", SMALL)


@pytest.fixture
def source(make_database: MakeDatabase, small_ranges: None) -> str:
    return make_database(EVERY_KIND_SQL)


@pytest.mark.parametrize("small_bytes", [0, table_choice.THRESHOLD_BYTES])
@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_copy_by_stream_is_the_same_database(
    jobs: int,
    small_bytes: int,
    server: Server,
    source: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", small_bytes)
    copied = make_hook(source).copy(target=f"{source}_copy", method="stream", jobs=jobs)
    assert copied == f"{source}_copy"
    assert fingerprint(server, copied) == fingerprint(server, source)
    assert server.names() == {source, copied}


@pytest.mark.parametrize("kept_bytes", [SERIAL_BYTES, 1000])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_sessions_share_the_small_tables_that_pg_dump_reads(
    jobs: int,
    kept_bytes: int,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(skeleton_blocks, "SERIAL_BYTES", kept_bytes)
    read_by_psql: list[str] = []

    def noting(pages: PageRange) -> str:
        read_by_psql.append(pages.table.name)
        return copy_query(pages)

    monkeypatch.setattr(psql, "copy_query", noting)
    small = (
        f"CREATE TABLE t{n} AS SELECT {n} AS a, g FROM generate_series(1, {n}) g; "
        f"CREATE INDEX ON t{n} (g)"
        for n in range(3 * ENTRIES_OF_GROUP // 2)
    )
    database = make_database(
        f"{';'.join(small)}; SELECT lo_from_bytea(0, 'object'); CREATE TABLE large AS "
        "SELECT g, repeat('x', 90) FROM generate_series(1, 5000) g"
    )
    copied = make_hook(database).copy(target=f"{database}_copy", method="stream", jobs=jobs)
    assert fingerprint(server, copied) == fingerprint(server, database)
    assert set(read_by_psql) == {"large"}


def test_sessions_on_the_source_go_on(server: Server, shop: str, make_hook: MakeHook) -> None:
    with server.connect(shop) as client:
        client.execute("BEGIN; DELETE FROM orders")
        make_hook(shop).copy(target=f"{shop}_copy", method="stream")
        client.execute("COMMIT")
    assert server.value(f"{shop}_copy", "SELECT count(*) FROM orders") == 2000
    assert server.value(shop, "SELECT count(*) FROM orders") == 0


def test_a_target_is_replaced_once_the_copy_is_whole(
    server: Server, shop: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    target = make_database("CREATE TABLE users (id int)")
    server.run("postgres", f"ALTER DATABASE {target} SET work_mem = '7MB'")
    make_hook(shop).copy(f":{target}", method="stream")
    assert server.value(target, "SELECT count(*) FROM users") == 500
    assert server.value(target, "SHOW work_mem") == "7MB"
    assert server.names() == {shop, target}


def test_what_is_excluded_stays_behind(server: Server, shop: str, make_hook: MakeHook) -> None:
    make_hook(shop).copy(target=f"{shop}_copy", method="stream", exclude=["orders"])
    assert server.value(f"{shop}_copy", "SELECT count(*) FROM orders") == 0
    assert server.value(f"{shop}_copy", "SELECT count(*) FROM users") == 500


def test_progress_tells_rows_and_share(server: Server, shop: str, make_hook: MakeHook) -> None:
    told: list[Progress] = []
    hook = make_hook(shop, progress_callback=told.append)
    hook.copy(target=f"{shop}_copy", method="stream")
    assert told[-1].rows_done == 2500
    assert told[-1].share_done == 1.0


@pytest.fixture
def slow_source(make_database: MakeDatabase) -> str:
    """A database whose copy takes a while, most of it for a table that psql reads."""
    return make_database(
        "CREATE TABLE first AS SELECT n FROM generate_series(1, 1000) n;"
        "CREATE TABLE rows AS SELECT n, repeat(md5(n::text), 50) FROM generate_series(1, 90000) n"
    )


@pytest.mark.parametrize("program", ["psql", "pg_restore"])
def test_a_program_that_is_killed_leaves_the_target_as_it_was(
    program: str,
    server: Server,
    slow_source: str,
    make_database: MakeDatabase,
    make_hook: MakeHook,
) -> None:
    target = make_database("CREATE TABLE mine AS SELECT 1 AS a")
    jobs = 1 if program == "pg_restore" else 2  # several sessions load rows without it
    thread, raised = in_background(
        lambda: make_hook(slow_source).copy(target=target, method="stream", jobs=jobs)
    )
    while thread.is_alive() and not copying(server):
        pass
    for pid in running(program):
        os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(raised[0], ToolError if program == "psql" else RestoreError)
    assert f"{program} was killed by SIGKILL" in str(raised[0])
    assert server.names() == {slow_source, target}
    assert server.value(target, "SELECT a FROM mine") == 1
    assert not running("psql")
    assert not running("pg_dump")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_pg_dump_that_is_killed_leaves_the_target_as_it_was(
    jobs: int,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More than a pipe holds.
    rows = "SELECT n, repeat(md5(n::text), 9) FROM generate_series(1, 200) n"
    source = make_database(";".join(f"CREATE TABLE t{n} AS {rows}" for n in range(60)))
    target = make_database("CREATE TABLE mine AS SELECT 1 AS a")
    read_ahead = SkeletonBlocks.read_ahead

    def killing(blocks: SkeletonBlocks, unit: Unit) -> bool:
        for pid in running("pg_dump"):
            os.kill(pid, signal.SIGKILL)
        return read_ahead(blocks, unit)

    monkeypatch.setattr(SkeletonBlocks, "read_ahead", killing)
    with pytest.raises(ToolError, match=r"^pg_dump was killed by SIGKILL"):
        make_hook(source).copy(target=target, method="stream", jobs=jobs)
    assert server.names() == {source, target}
    assert server.value(target, "SELECT a FROM mine") == 1
    assert not running("psql")


def copying(server: Server) -> bool:
    """Whether a psql is at work on the source."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%'"
    return bool(server.value("postgres", f"{query} AND state = 'active'"))


def test_rows_that_the_target_refuses_fail_the_copy(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(REFUSED_SQL)
    with pytest.raises(RestoreError, match="violates check constraint") as raised:
        make_hook(source).copy(target=f"{source}_copy", method="stream")
    assert "secret" not in str(raised.value)
    assert server.names() == {source}


def test_a_cancel_ends_all_programs(server: Server, slow_source: str, make_hook: MakeHook) -> None:
    hook = make_hook(slow_source)
    thread, raised = in_background(lambda: hook.copy(target="never", method="stream"))
    while thread.is_alive() and not copying(server):
        pass
    hook.cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert len(raised) == 1
    assert server.names() == {slow_source}
    assert not [name for name in ("psql", "pg_dump", "pg_restore") if running(name)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a local key or the name of a target"),
        ({"to": ":a", "target": "a"}, "either a local key or the name of a target"),
        ({"target": "a", "strategy": "wal_log", "method": "stream"}, "has no option strategy"),
        ({"target": "a", "exclude": ["users"]}, "a copy by template is whole"),
        ({"target": "a", "jobs": 2}, "a copy by template has no option jobs"),
        ({"target": 5}, "target is 5. Give target as a text"),
        ({"target": "a", "method": "magic"}, "is neither template nor stream"),
        ({"target": "postgres", "method": "stream"}, "'postgres' is the maintenance database"),
        ({"target": "x" * 64, "method": "stream"}, "has 64 bytes"),
        ({"target": "a", "method": "stream", "exclude": ["no_such"]}, "no table of database"),
    ],
)
def test_copies_that_cannot_be_are_refused(
    arguments: dict[str, object], message: str, server: Server, shop: str, make_hook: MakeHook
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_hook(shop).copy(**arguments)  # type: ignore[arg-type]
    assert server.names() == {shop}


def test_a_database_is_not_copied_over_itself(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    with pytest.raises(InvalidInputError, match=f"'{shop}' cannot be copied over itself"):
        make_hook(shop).copy(target=shop, method="stream")


@pytest.fixture
def other_server(open_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Another server, whose connection is ``other``."""
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    folder.chmod(0o755)
    with postgres_server(folder) as started:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", started.uri("staging"))
        yield Server(started)


def test_a_copy_reaches_another_server(
    server: Server, other_server: Server, source: str, make_hook: MakeHook
) -> None:
    hook = make_hook(source)
    assert hook.copy(target=source, target_postgres_conn_id="other") == source
    assert hook.copy(target_postgres_conn_id="other") == "staging"
    assert other_server.names() == {source, "staging"}
    assert fingerprint(other_server, source) == fingerprint(server, source)
    assert server.names() == {source}
    with pytest.raises(InvalidInputError, match="a copy by template stays on its server"):
        hook.copy(target=source, target_postgres_conn_id="other", method="template")


def test_the_connection_of_the_target_may_forbid_the_copy(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.server.uri("")
    for guard in ("allow_copy", "allow_restore"):
        extra = json.dumps({"pgclone": {guard: False}})
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{guard.upper()}", f"{uri}?__extra__={quote(extra, safe='')}"
        )
    hook = make_hook(shop)
    with pytest.raises(NotAllowedError, match="allow_copy to false"):
        hook.copy(target="new", target_postgres_conn_id="allow_copy")
    hook.copy(target="new", target_postgres_conn_id="allow_restore")
    told = "'new' exists and may not be replaced: allow_restore is set to false by the extra"
    with pytest.raises(InvalidInputError, match=told):
        hook.copy(target="new", target_postgres_conn_id="allow_restore")
    told = "'new' exists and may not be replaced: replace is set to false by the arguments"
    with pytest.raises(InvalidInputError, match=told):
        hook.copy(target="new", method="stream", replace=False)
    assert server.names() == {shop, "new"}


def test_the_operator_copies_by_stream(
    airflow_database: None, postgres_connection: str, server: Server, shop: str
) -> None:
    with DAG("stream_copy", start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        PgCloneCopyOperator(
            task_id="copy",
            postgres_conn_id=postgres_connection,
            database=shop,
            target="{{ params.target }}",
            target_postgres_conn_id=postgres_connection,
            method="stream",
            params={"target": f"{shop}_copy"},
        )
    run = serialized(dag).test()
    assert run.state == "success"
    assert run.get_task_instance("copy").xcom_pull(task_ids="copy") == f"{shop}_copy"
    assert fingerprint(server, f"{shop}_copy") == fingerprint(server, shop)
