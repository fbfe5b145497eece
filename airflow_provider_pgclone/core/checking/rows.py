"""Compares the number of rows of each restored table with that in the dump."""

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
                    f"{tables} has {rows} rows after the restore, but {expected} in the dump"
                )


def _count(tables: Iterable[TableName]) -> sql.Composed:
    counts = [
        sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(*table)) for table in tables
    ]
    return sql.SQL(" + ").join(counts)
