"""PostgreSQL's programs, and the server's own processes, that end in the middle of a verb."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_pgclone.core.errors import ToolError
from tests.faults.databases import SEVERAL_TABLES_SQL
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

pytestmark = pytest.mark.long
PROGRAMS = ("pg_dump", "psql", "pg_restore")


@pytest.fixture
def source(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    split_small_tables(monkeypatch)
    return make_database(SEVERAL_TABLES_SQL)


@contextmanager
def ending_what_waits(server: Server, query: str) -> Iterator[None]:
    """End the session that waits for a lock in such a query, as soon as there is one."""
    over = threading.Event()
    ended: list[object] = []

    def work() -> None:
        while not over.is_set() and not ended:
            ended.extend(
                server.rows(
                    "postgres",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE query LIKE '{query}' AND wait_event_type = 'Lock'",
                )
            )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert ended, "there was nothing to break"


@pytest.mark.parametrize("verb", ["dump", "copy"])
@pytest.mark.parametrize(
    ("lock", "query"),
    [
        pytest.param("REINDEX INDEX events_pkey", "COPY (SELECT%", id="of a range"),
        pytest.param("LOCK TABLE ONLY days", "LOCK TABLE public.%", id="of pg_dump"),
    ],
)
def test_a_dump_or_copy_whose_session_is_ended_leaves_nothing(
    lock: str, query: str, verb: str, server: Server, source: str, make_hook: MakeHook
) -> None:
    hook = make_hook(source)
    with server.connect(source) as other:
        other.execute(f"BEGIN; {lock}".encode())
        with ending_what_waits(server, query), pytest.raises(ToolError) as raised:
            hook.dump(jobs=2) if verb == "dump" else hook.copy(":c", method="stream", jobs=2)
    assert "terminating connection due to administrator command" in str(raised.value)
    assert verb == "copy" or hook.ls() == []
    assert_as_it_was(server, {source})
    hook.verify(hook.dump(jobs=2))


def assert_as_it_was(server: Server, names: set[str]) -> None:
    assert server.names() == names
    assert not [program for program in PROGRAMS if running(program)]
