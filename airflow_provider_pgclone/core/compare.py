"""Compare a restored database with the account of its dump."""

import logging
from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.checksums import columns_of_tables, decoded, read_checksums
from airflow_provider_pgclone.core.database import fetch_row
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.trailer import TableChecksum

log = logging.getLogger(__name__)

# Few round trips for many small tables, and few tables in a statement that holds locks on them.
COUNTED_AT_ONCE = 100


def check_rows(
    connection: psycopg.Connection, rows_of_tables: Mapping[TableName, int], encoding: str
) -> None:
    """Count the rows of each restored table.

    :param connection: a session on the restored database.
    :param rows_of_tables: how many there must be, by schema and name, as the table of contents has
        them.
    :param encoding: of the database that these are from.
    :raises RestoreError: naming a table that has another number of rows than the dump.
    """
    names = comparable(connection, rows_of_tables, encoding)
    tables = [(name, rows_of_tables[in_toc]) for in_toc, name in names.items()]
    for start in range(0, len(tables), COUNTED_AT_ONCE):
        some = tables[start : start + COUNTED_AT_ONCE]
        counts = [
            sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(*name))
            for name, _ in some
        ]
        statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts))
        try:
            (found,) = fetch_row(connection, statement, [])
        except psycopg.errors.UndefinedTable as error:
            raise RestoreError(
                f"a table is missing after the restore: {error.diag.message_primary}"
            ) from error
        for ((schema, table), expected), rows in zip(some, found, strict=True):
            if rows != expected:
                raise RestoreError(
                    f"the table {schema}.{table} has {rows} rows after the restore, and {expected} "
                    "in the dump"
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
    :raises RestoreError: naming a table whose rows are others.
    """
    names = comparable(connection, expected, encoding)
    found = read_checksums(connection, columns_of_tables(toc), names, encoding)
    for name, checksum in found.items():
        if checksum != expected[name]:
            raise RestoreError(
                f"the rows of the table {'.'.join(names[name])} are not those of the dump: their "
                "checksums differ"
            )


def comparable(
    connection: psycopg.Connection, names: Iterable[TableName], encoding: str
) -> dict[TableName, TableName]:
    """Return the tables of a dump whose rows can be compared, each with its name in the database.

    :param names: as the table of contents has them.
    :param encoding: of the database that they are from.
    """
    uncountable = _uncountable(connection)
    here = {name: _decoded_name(connection, name, encoding) for name in names}
    return {in_toc: name for in_toc, name in here.items() if name not in uncountable}


def _uncountable(connection: psycopg.Connection) -> set[TableName]:
    """Return the tables whose rows may well be others than those that were loaded.

    CREATE EXTENSION may have put rows of its own into a table of an extension, and a policy may
    hide rows even from the owner of a table.
    """
    rows = connection.execute(
        """
        SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'r' AND (
            relrowsecurity AND row_security_active(c.oid)
            OR EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
            )
        )
        """
    ).fetchall()
    tables = {(schema, table) for schema, table in rows}
    if tables:
        log.info("%d tables of extensions or with row security are not compared", len(tables))
    return tables


def _decoded_name(connection: psycopg.Connection, name: TableName, encoding: str) -> TableName:
    schema, table = name
    return decoded(connection, schema, encoding), decoded(connection, table, encoding)
