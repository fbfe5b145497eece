"""Collects the statistics of a restored database for the query planner."""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.executing import Loading
from airflow_provider_pgclone.core.meter import ProgressMeter, Task
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.core.watching import analyze_work

log = get_log(__name__)

# Those of vacuumdb, the largest first: retrieve_objects() in vacuumdb.c.
_TABLES = """
SELECT nspname, relname, pg_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence <> 't' ORDER BY relpages DESC, c.oid
"""
_NAMED = """
SELECT schema, name, pg_relation_size(c.oid)
FROM unnest(%s::text[], %s::text[]) AS named (schema, name)
JOIN pg_namespace n ON nspname = schema JOIN pg_class c ON relnamespace = n.oid AND relname = name
WHERE relkind = 'r'
"""


# Smaller tables share a statement.
_SMALL_BYTES = 1024 * 1024
_TABLES_OF_STATEMENT = 200
# Where several sessions share the tables, so that none is left alone with many.
_GROUPS_OF_SESSION = 2


@dataclass(frozen=True)
class _Table:
    name: TableName
    size_bytes: int


class Analysis:
    """Analyzes the tables of a database, because an archive does not contain their statistics.

    A table that cannot be analyzed is named in a warning: all its rows are there, and the server
    tries again by autovacuum. It may have a child on a server that cannot be reached, or statistics
    on an expression that fails.

    :param database: the database that is loaded.
    """

    def __init__(
        self,
        database: Database,
        loading: Loading,
        meter: ProgressMeter,
        cancellation: Cancellation,
    ) -> None:
        self._database = loading.database(database)
        self._jobs = loading.jobs
        self._meter = meter
        self._cancellation = cancellation
        self._done: set[TableName] = set()

    def of(self, tables: Sequence[TableName], session: Session) -> None:
        """Analyze tables while others are loaded; called in threads.

        :param session: of this thread.
        """
        names = [list(part) for part in zip(*tables, strict=True)]
        for group in _groups(_tables(session.execute(_NAMED, names))):
            self._analyze(session, group)

    def finish(self) -> None:
        """Analyze the tables that are left, by as many sessions as loaded them.

        :raises ServerError: when the server cannot be reached any more.
        """
        left: SimpleQueue[Sequence[_Table]] = SimpleQueue()
        self._meter.enter("analyze")
        with self._cancellation.own() as own, ExitStack() as stack:
            session = stack.enter_context(connect(self._database, own))
            tables = _tables(session.execute(_TABLES))
            unanalyzed = [table for table in tables if table.name not in self._done]
            for group in _groups(unanalyzed, sessions=self._jobs):
                left.put(group)
            others = range(min(self._jobs, left.qsize()) - 1)
            sessions = [session, *(stack.enter_context(session.beside()) for _ in others)]
            with ThreadPoolExecutor(len(sessions), thread_name_prefix="analyze") as pool:
                futures = [pool.submit(self._analyze_each, one, left) for one in sessions]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    own.cancel()
                    raise
        self._meter.complete("analyze")

    def _analyze_each(self, session: Session, left: "SimpleQueue[Sequence[_Table]]") -> None:
        while True:
            try:
                tables = left.get_nowait()
            except Empty:
                return
            self._analyze(session, tables)

    def _analyze(self, session: Session, tables: Sequence[_Table]) -> None:
        """Analyze tables by one statement, which takes a quarter of the time for a few rows each.

        If it fails, each table has a statement of its own, so that the others are analyzed.
        """
        names = [table.name for table in tables]
        alone = ".".join(names[0]) if len(names) == 1 else None
        task = Task(
            "analyze",
            f"analyzing {alone or f'{len(names)} tables'}",
            sum(analyze_work(table.size_bytes) for table in tables),
            # The server tells the share of the table that is analyzed, not that of a statement.
            _statement(session, names).as_string(session.connection) if alone else "",
        )
        with self._meter.task(names[0], task):
            if alone or self._error(session, names):
                for name in names:
                    if kind := self._error(session, [name]):
                        log.warning("cannot analyze the table %s: %s", ".".join(name), kind)
        self._done.update(names)

    def _error(self, session: Session, names: Sequence[TableName]) -> str | None:
        """Analyze tables, and return the kind of the error if one cannot be analyzed.

        The message of the error may contain a value of a row.
        """
        session.cancellation.check()
        try:
            session.execute(_statement(session, names))
        except psycopg.Error as error:
            session.cancellation.check()
            if session.connection.broken:
                raise
            return type(error).__name__
        return None


def _tables(rows: Iterable[tuple[str, str, int]]) -> list[_Table]:
    return [_Table((schema, name), size) for schema, name, size in rows]


def _groups(tables: Sequence[_Table], *, sessions: int = 1) -> Iterator[Sequence[_Table]]:
    """Yield each large table alone, and the small ones in groups.

    :param sessions: how many share the groups; each gets some of them.
    """
    small = [table for table in tables if table.size_bytes < _SMALL_BYTES]
    yield from ([table] for table in tables if table.size_bytes >= _SMALL_BYTES)
    share = math.ceil(len(small) / (_GROUPS_OF_SESSION * sessions))
    count = max(1, min(share, _TABLES_OF_STATEMENT))
    for start in range(0, len(small), count):
        yield small[start : start + count]


def _statement(session: Session, names: Sequence[TableName]) -> sql.Composed:
    # Since PostgreSQL 18 the tables below are analyzed too; each of them has its own turn.
    only = sql.SQL("ONLY " if session.major >= 18 else "")
    return sql.SQL("ANALYZE {}").format(
        sql.SQL(", ").join(only + sql.Identifier(*name) for name in names)
    )
