"""Compares the number of rows of each restored table with that of the dump."""

from collections.abc import Iterable, Mapping

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

# Few round trips for many small tables, and few tables in a statement that holds locks on them.
COUNTED_AT_ONCE = 100


def check_rows(
    session: Session,
    toc: Toc,
    rows_of_tables: Mapping[TableName, int],
    encoding: str,
) -> None:
    """Count the rows of each restored table.

    :param session: a session on the restored database.
    :param toc: the table of contents that it was restored from.
    :param rows_of_tables: how many there must be, by the names in the table of contents.
    :param encoding: of the database that these are from.
    :raises MismatchError: naming a table that has another number of rows than the dump.
    """
    names = comparable(session, rows_of_tables, encoding)
    groups = comparable_groups(copied_tables(toc), rows_of_tables, names)
    for start in range(0, len(groups), COUNTED_AT_ONCE):
        some = groups[start : start + COUNTED_AT_ONCE]
        counts = [_count(names[name] for name in group) for group in some]
        statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts))
        try:
            (found,) = session.fetch_row(statement)
        except psycopg.errors.UndefinedTable as error:
            raise RestoreError(
                f"a table is missing after the restore: {error.diag.message_primary}"
            ) from error
        for group, rows in zip(some, found, strict=True):
            expected = sum(rows_of_tables[name] for name in group)
            if rows != expected:
                tables = describe_tables(names[name] for name in group)
                raise MismatchError(
                    f"{tables} has {rows} rows after the restore, and {expected} in the dump"
                )


def _count(tables: Iterable[TableName]) -> sql.Composed:
    counts = [
        sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(*table)) for table in tables
    ]
    return sql.SQL(" + ").join(counts)
