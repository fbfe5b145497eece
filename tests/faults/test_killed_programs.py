"""PostgreSQL's programs, and the server's own processes, that end in the middle of a verb."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

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
def meanwhile(act: Callable[[], bool], *, is_once: bool = True) -> Iterator[None]:
    """Try something again and again while the block runs, until it says that it was done.

    :param is_once: whether to try no more then.
    """
    over = threading.Event()
    done: list[bool] = []

    def work() -> None:
        while not over.is_set() and not (done and is_once):
            if act():
                done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done, "there was nothing to break"


def kill_one(program: str) -> bool:
    for pid in running(program):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def end_sessions(server: Server, query: str) -> bool:
    """End the sessions that were last at such a query; one of them may have been through with it.

    Not one of ``postgres``: that could be an earlier session of ours, which is about to end.
    """
    ended = server.rows(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE query LIKE '{query}' AND datname <> 'postgres'",
    )
    return bool(ended)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("COPY (SELECT%", id="of a range"),
        pytest.param("%acldefault%", id="of pg_dump"),
    ],
)
def test_a_dump_whose_session_is_ended_is_not_listed(
    query: str, server: Server, source: str, make_hook: MakeHook
) -> None:
    hook = make_hook(source)
    with (
        meanwhile(partial(end_sessions, server, query), is_once=False),
        pytest.raises(ToolError) as raised,
    ):
        hook.dump(jobs=2)
    assert "terminating connection due to administrator command" in str(raised.value)
    assert hook.ls() == []
    assert_as_it_was(server, {source})
    hook.verify(hook.dump(jobs=2))


def assert_as_it_was(server: Server, names: set[str]) -> None:
    assert server.names() == names
    assert not [program for program in PROGRAMS if running(program)]
