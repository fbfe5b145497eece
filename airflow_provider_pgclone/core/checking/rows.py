"""Compares the number of rows of each restored table with that in the dump."""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.checking.tables import (
    comparable,
    comparable_groups,
    copied_tables,
    describe_tables,
)
from airflow_provider_pgclone.core.errors import MismatchError, RestoreError
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# Large enough to save round trips for many small tables. Small enough because the statement locks
# all of its tables.
COUNTED_AT_ONCE = 100
# ANALYZE and VACUUM replace the numbers of live and dead rows by estimates, which are exact if they
# read the whole table. That is so for tables of which the rows are soon read.
_INSERTED = """
SELECT schemaname, relname, n_tup_ins FROM pg_stat_all_tables
WHERE n_tup_upd = 0 AND n_tup_del = 0 AND n_dead_tup = 0 AND (
    n_tup_ins = n_live_tup
    OR analyze_count + autoanalyze_count + vacuum_count + autovacuum_count > 0
        AND n_tup_ins > 100000 AND abs(n_tup_ins - n_live_tup) < n_tup_ins / 10
)
"""
# A session that its client has left ends within milliseconds.
END_LOOKS, END_LOOK_SECONDS = 40, 0.05


def check_rows(
    session: Session,
    toc: Toc,
    rows_of_tables: Mapping[TableName, int],
    encoding: str,
) -> None:
    """Compare the number of rows of each restored table with that in the dump.

    :param session: a session on the restored database.
    :param toc: the table of contents of the dump.
    :param rows_of_tables: the expected numbers, by the names in the table of contents.
    :param encoding: the encoding of the dumped database.
    :raises MismatchError: names a table with a different number of rows.
    :raises RestoreError: when a table is missing.
    """
    names = comparable(session, rows_of_tables, encoding)
    groups = comparable_groups(copied_tables(toc), rows_of_tables, names)
    loaded = _loaded_rows(session)
    groups = [
        group
        for group in groups
        if sum(loaded.get(names[name], math.nan) for name in group)
        != sum(rows_of_tables[name] for name in group)
    ]
    log.info("tables whose rows are counted by reading them: %d of %d", len(groups), len(names))
    for start in range(0, len(groups), COUNTED_AT_ONCE):
        some = groups[start : start + COUNTED_AT_ONCE]
        counts = [_count(names[name] for name in group) for group in some]
        found = _counted(session, sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts)))
        if found is None:
            found = [sum(_rows(session, names[name]) for name in group) for group in some]
        for group, rows in zip(some, found, strict=True):
            expected = sum(rows_of_tables[name] for name in group)
            if rows != expected:
                tables = describe_tables(names[name] for name in group)
                raise MismatchError(
                    f"{tables} has {rows} rows after the restore, but {expected} in the dump"
                )


def _loaded_rows(session: Session) -> dict[TableName, int]:
    """Return the number of rows of tables that got rows once and were not changed since.

    The server counts what is inserted, and counts on after a rollback. So its number says that no
    row was lost only if nothing else happened to the table, and if it is the number that is
    expected. TRUNCATE and a rollback show in the numbers of live and dead rows. Where the numbers
    do not fit, or the server does not count, a table is read. Up to PostgreSQL 14 the numbers may
    come too late or be lost.
    """
    _wait_for_restores(session)
    rows = session.execute(_INSERTED)
    return {(schema, table): count for schema, table, count in rows}


def _wait_for_restores(session: Session) -> None:
    """Wait a moment for the end of sessions of pg_restore: then their numbers are counted."""
    for _ in range(END_LOOKS):
        (running,) = session.fetch_row(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pg_restore')"
        )
        if not running:
            return
        session.cancellation.check()
        time.sleep(END_LOOK_SECONDS)


def _counted(session: Session, query: sql.Composed) -> Any:
    """Return the value of a query, or ``None`` if it fails, as where it cannot be planned."""
    try:
        (value,) = session.fetch_row(query)
    except psycopg.OperationalError:  # such as a cancel
        raise
    except psycopg.Error as error:
        log.info("could not count rows by a query: %s", error.diag.message_primary)
        return None
    return value


def _rows(session: Session, table: TableName) -> int:
    """Return the number of rows of a table, also if no query of it can be planned.

    COPY of a table is not planned, so it reads such a table: see :mod:`..catalog.plannable`.

    :raises RestoreError: when the table is missing.
    """
    rows = _counted(session, sql.SQL("SELECT {}").format(_count([table])))
    if rows is not None:
        return int(rows)
    copy = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*table))
    try:
        with session.connection.cursor() as cursor:
            with cursor.copy(copy) as pieces:
                for _ in pieces:
                    session.cancellation.check()
            return cursor.rowcount
    except psycopg.errors.UndefinedTable as error:
        raise RestoreError(
            f"a table is missing after the restore: {error.diag.message_primary}"
        ) from error


def _count(tables: Iterable[TableName]) -> sql.Composed:
    counts = [
        sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(*table)) for table in tables
    ]
    return sql.SQL(" + ").join(counts)
