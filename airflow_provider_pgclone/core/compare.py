"""Compare a restored database with the account of its dump."""

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.checksums import read_checksums
from airflow_provider_pgclone.core.comparable import (
    comparable,
    comparable_groups,
    copied_tables,
)
from airflow_provider_pgclone.core.database import fetch_row
from airflow_provider_pgclone.core.errors import InvalidInputError, MismatchError, RestoreError
from airflow_provider_pgclone.core.trailer import TableChecksum

# Few round trips for many small tables, and few tables in a statement that holds locks on them.
COUNTED_AT_ONCE = 100


def check_rows(
    connection: psycopg.Connection,
    toc: Toc,
    rows_of_tables: Mapping[TableName, int],
    encoding: str,
) -> None:
    """Count the rows of each restored table.

    :param connection: a session on the restored database.
    :param toc: the table of contents that it was restored from.
    :param rows_of_tables: how many there must be, by the names in the table of contents.
    :param encoding: of the database that these are from.
    :raises MismatchError: naming a table that has another number of rows than the dump.
    """
    names = comparable(connection, rows_of_tables, encoding)
    groups = comparable_groups(copied_tables(toc), rows_of_tables, names)
    for start in range(0, len(groups), COUNTED_AT_ONCE):
        some = groups[start : start + COUNTED_AT_ONCE]
        counts = [_count(names[name] for name in group) for group in some]
        statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts))
        try:
            (found,) = fetch_row(connection, statement, [])
        except psycopg.errors.UndefinedTable as error:
            raise RestoreError(
                f"a table is missing after the restore: {error.diag.message_primary}"
            ) from error
        for group, rows in zip(some, found, strict=True):
            expected = sum(rows_of_tables[name] for name in group)
            if rows != expected:
                raise MismatchError(
                    f"{_said(names[name] for name in group)} has {rows} rows after the restore, "
                    f"and {expected} in the dump"
                )


def check_encoding(connection: psycopg.Connection, encoding: str) -> None:
    """Refuse to compare checksums in another encoding, whose bytes are others.

    :param encoding: of the database that was dumped.
    :raises InvalidInputError: naming both.
    """
    (found,) = fetch_row(connection, "SELECT getdatabaseencoding()", [])
    if found != encoding:
        raise InvalidInputError(
            f"the checksums of the dump are of the encoding {encoding}, and {found} is the "
            "database's",
            hint="Restore with checksums=False, which counts the rows.",
        )


def check_checksums(
    connection: psycopg.Connection,
    toc: Toc,
    expected: Mapping[TableName, TableChecksum],
    encoding: str,
) -> None:
    """Compare the rows of each restored table with the checksum that the dump has of it.

    :param connection: a session on the restored database.
    :param toc: the table of contents that it was restored from.
    :param encoding: of the database that this is from.
    :raises MismatchError: naming a table whose rows are others.
    """
    names = comparable(connection, expected, encoding)
    copied = copied_tables(toc)
    found = read_checksums(connection, copied, names, encoding)
    for group in comparable_groups(copied, expected, names):
        if _total(found, group) != _total(expected, group):
            raise MismatchError(
                f"{_said(names[name] for name in group)} has other rows after the restore than in "
                "the dump: their checksums differ"
            )


def _count(tables: Iterable[TableName]) -> sql.Composed:
    counts = [
        sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(*table)) for table in tables
    ]
    return sql.SQL(" + ").join(counts)


def _total(checksums: Mapping[TableName, TableChecksum], group: list[TableName]) -> tuple[int, int]:
    rows = sum(checksums[name].rows for name in group)
    return rows, sum(int(checksums[name].total) for name in group)


def _said(names: Iterable[TableName]) -> str:
    first, *others = [".".join(name) for name in names]
    also = f" with {len(others)} other partitions" if others else ""
    return f"the table {first}{also}"
