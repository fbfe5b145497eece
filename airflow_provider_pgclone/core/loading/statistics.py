"""Collects the statistics of a restored database for the query planner."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
        for schema, table, size in session.execute(_NAMED, names).fetchall():
            self._analyze(session, (schema, table), size)

    def finish(self) -> None:
        """Analyze the tables that are left, by as many sessions as loaded them.

        :raises ServerError: when the server cannot be reached any more.
        """
        left: SimpleQueue[tuple[TableName, int]] = SimpleQueue()
        self._meter.enter("analyze")
        with self._cancellation.own() as own, ExitStack() as stack:
            session = stack.enter_context(connect(self._database, own))
            for schema, table, size in session.execute(_TABLES):
                if (schema, table) not in self._done:
                    left.put(((schema, table), size))
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

    def _analyze_each(self, session: Session, left: "SimpleQueue[tuple[TableName, int]]") -> None:
        while True:
            try:
                table, size = left.get_nowait()
            except Empty:
                return
            self._analyze(session, table, size)

    def _analyze(self, session: Session, table: TableName, size: int) -> None:
        session.cancellation.check()
        name = ".".join(table)
        # Since PostgreSQL 18 the tables below are analyzed too; each of them has its own turn.
        only = sql.SQL("ONLY " if session.major >= 18 else "")
        statement = sql.SQL("ANALYZE {}{}").format(only, sql.Identifier(*table))
        shown = statement.as_string(session.connection)
        task = Task("analyze", f"analyzing {name}", analyze_work(size), shown)
        try:
            with self._meter.task(table, task):
                session.execute(statement)
        except psycopg.Error as error:
            session.cancellation.check()
            if session.connection.broken:
                raise
            # The message may contain a value of a row.
            log.warning("cannot analyze the table %s: %s", name, type(error).__name__)
        self._done.add(table)
