"""A checksum of each table that tells its rows from others, in whichever order they are.

It is the sum of a hash of each row, as text. The hash is the same on all servers that we support,
and so is the text, in a session with the settings below.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.comparable import Copied, decoded
from airflow_provider_pgclone.core.errors import BusyError, RestoreError, ToolError
from airflow_provider_pgclone.core.trailer import TableChecksum

LOCKED_AT_ONCE = 100
# What the text of a value depends on, and what would hide rows or find functions of others.
_SETTINGS = (
    "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = postgres; "
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = hex; "
    "SET LOCAL lc_monetary = 'C'; SET LOCAL quote_all_identifiers = off; "
    "SET LOCAL row_security = off; SET LOCAL search_path = ''"
)


def lock_tables(connection: psycopg.Connection, names: Mapping[TableName, TableName]) -> None:
    """Keep others from truncating or altering tables until the transaction ends.

    :raises BusyError: when somebody is about to, for whom pg_dump has let go.
    """
    tables = [sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in names.values()]
    for start in range(0, len(tables), LOCKED_AT_ONCE):
        some = sql.SQL(", ").join(tables[start : start + LOCKED_AT_ONCE])
        try:
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(some))
        except psycopg.errors.LockNotAvailable as error:
            raise BusyError(
                f"a table is about to be altered: {error.diag.message_primary}",
                hint="Try again once the other session is done.",
            ) from error


def read_checksums(
    connection: psycopg.Connection,
    copied: Mapping[TableName, Copied],
    names: Mapping[TableName, TableName],
    encoding: str,
    rows_of: Mapping[TableName, str] | None = None,
) -> dict[TableName, TableChecksum]:
    """Return the checksum of each table, in the transaction that is open or one of its own.

    :param copied: which columns of each table the archive has.
    :param names: of the tables in the database, by those in the table of contents.
    :param encoding: of the database that these are from.
    :param rows_of: the SQL of the rows of a table, by its name in the table of contents, where they
        are others than those it has.
    :raises RestoreError: when a table is missing.
    """
    found: dict[TableName, TableChecksum] = {}
    with connection.transaction():
        connection.execute(_SETTINGS)
        for in_toc, name in names.items():
            columns_here = decoded(connection, copied[in_toc].columns, encoding)
            query = sql.SQL(
                'SELECT count(*), coalesce(sum(hashtextextended(CAST(ROW({}) AS text) COLLATE "C", '
                "0)), 0) FROM {}"
            ).format(sql.SQL(columns_here), _rows(name, (rows_of or {}).get(in_toc)))
            try:
                # Rolled back, since else the locks on all indexes would add up: a server has few.
                with connection.transaction(force_rollback=True):
                    row = _row(connection, query, name, is_masked=in_toc in (rows_of or {}))
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                raise RestoreError(
                    f"the table {'.'.join(name)} is not as the dump has it: "
                    f"{error.diag.message_primary}"
                ) from error
            rows, total = row or (0, 0)
            found[in_toc] = TableChecksum(rows, str(total))
    return found


def _row(
    connection: psycopg.Connection, query: sql.Composed, name: TableName, *, is_masked: bool
) -> tuple[Any, ...] | None:
    try:
        return connection.execute(query).fetchone()
    except psycopg.DataError as error:
        if not is_masked:
            raise
        kind = type(error).__name__
    # Out here it does not carry the error, which may quote what a value was before.
    raise ToolError(f"no checksum of the masked rows of {'.'.join(name)}: {kind}")


def _rows(name: TableName, query: str | None) -> sql.Composable:
    if query is None:
        return sql.SQL("ONLY {}").format(sql.Identifier(*name))
    return sql.SQL("({}) AS masked").format(sql.SQL(query))
