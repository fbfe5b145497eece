"""Collects the statistics of a restored database for the query planner."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import Empty, SimpleQueue

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.loading.settings import Loading
from airflow_provider_pgclone.core.meter import ProgressMeter, Task
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.watching import analyze_work

log = logging.getLogger(__name__)

# Those of vacuumdb, the largest first: retrieve_objects() in vacuumdb.c.
_TABLES = """
SELECT nspname, relname, pg_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence <> 't' ORDER BY relpages DESC, c.oid
"""
_TableQueue = SimpleQueue[tuple[str, str, int]]


def analyze(
    database: Database, loading: Loading, meter: ProgressMeter, cancellation: Cancellation
) -> None:
    """Run ANALYZE on all tables, because an archive does not contain their statistics.

    A table that cannot be analyzed is named in a warning: all its rows are there, and the server
    tries again by autovacuum. It may have a child on a server that cannot be reached, or statistics
    on an expression that fails.

    :raises ServerError: when the server cannot be reached any more.
    """
    tables: _TableQueue = SimpleQueue()
    meter.enter("analyze")
    with cancellation.own() as own, ExitStack() as stack:
        session = stack.enter_context(connect(loading.database(database), own))
        for name in session.execute(_TABLES):
            tables.put(name)
        others = range(min(loading.jobs, tables.qsize()) - 1)
        sessions = [session, *(stack.enter_context(session.beside()) for _ in others)]
        with ThreadPoolExecutor(len(sessions), thread_name_prefix="analyze") as pool:
            futures = [pool.submit(_analyze_each, one, tables, meter) for one in sessions]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                own.cancel()
                raise
    meter.complete("analyze")


def _analyze_each(session: Session, tables: _TableQueue, meter: ProgressMeter) -> None:
    while True:
        session.cancellation.check()
        try:
            schema, table, size = tables.get_nowait()
        except Empty:
            return
        statement = sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table))
        text = f"analyzing {schema}.{table}"
        shown = statement.as_string(session.connection)
        task = Task("analyze", text, analyze_work(size), shown)
        try:
            with meter.task((schema, table), task):
                session.execute(statement)
        except psycopg.Error as error:
            session.cancellation.check()
            if session.connection.broken:
                raise
            # The message may contain a value of a row.
            log.warning("cannot analyze the table %s.%s: %s", schema, table, type(error).__name__)
