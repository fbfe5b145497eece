"""Compares the number of rows of each restored table with that in the dump."""

import logging
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

log = logging.getLogger(__name__)

# Large enough to save round trips for many small tables. Small enough because the statement locks
# all of its tables.
COUNTED_AT_ONCE = 100


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
