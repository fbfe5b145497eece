"""Checksums of the rows of tables, which do not depend on the order of the rows.

A checksum is the sum of a hash of each row, which is the hash of the hashes of its values as text.
All supported servers compute the same hash, and the same text in a session with the settings of
:mod:`..postgres.settings`.

The text of a row would be larger than its values, since it quotes them, and a text has at most
1 GB. The text of a value is what COPY writes before it escapes it, so what can be dumped has a
checksum.
"""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import (
    BY_COLUMN,
    TableChecksum,
    TableName,
    Toc,
)
from airflow_provider_pgclone.core.checking.tables import (
    Copied,
    column_names,
    comparable,
    comparable_groups,
    copied_tables,
    decoded,
    describe_tables,
)
from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    MismatchError,
    RestoreError,
    ToolError,
)
from airflow_provider_pgclone.core.postgres import (
    CHECKSUM_TRANSACTION,
    NO_LOCK_TIMEOUT,
    Session,
    short_lock_timeout,
)

# The number of tables in one LOCK TABLE.
LOCKED_AT_ONCE = 100
# concat() returns what the output function of the type returns, as COPY does. A cast to text may be
# a function of a user, and gives another text for some types. NULL has no hash, and the empty text
# has one. num_nulls() takes a row of NULLs for a value, as COPY does.
_HASH_OF_VALUE = (
    'CASE WHEN num_nulls({0}) = 0 THEN hashtextextended(concat({0}) COLLATE "C", 0) END'
)
_HASH_OF_ROW = 'hashtextextended(CAST(ROW({}) AS text) COLLATE "C", 0)'


def lock_tables(session: Session, names: Mapping[TableName, TableName]) -> None:
    """Prevent other sessions from truncating or altering tables until the transaction ends.

    :param names: the values are the names of the tables in the database.
    :raises LockNotAvailable: when another session waits to alter one of the tables.
    """
    session.execute(short_lock_timeout())
    tables = [sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in names.values()]
    for start in range(0, len(tables), LOCKED_AT_ONCE):
        some = sql.SQL(", ").join(tables[start : start + LOCKED_AT_ONCE])
        session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(some))
    session.execute(NO_LOCK_TIMEOUT)


def read_checksums(
    session: Session,
    copied: Mapping[TableName, Copied],
    names: Mapping[TableName, TableName],
    encoding: str,
    rows_of: Mapping[TableName, str] | None = None,
    *,
    hashed: str = BY_COLUMN,
    tell: Callable[[str], object] = str,
) -> dict[TableName, TableChecksum]:
    """Return the checksum of each table, within the open transaction or a new one.

    :param copied: the tables of the archive, with their columns.
    :param names: maps names in the table of contents to names in the database.
    :param encoding: the encoding of the dumped database, and of the names in the table of contents.
    :param rows_of: for masked tables, by their names in the table of contents, the query that
        returns their rows.
    :param hashed: what the hash of a row is made of, as checksums name it.
    :param tell: called with the name of each table before it is read.
    :raises RestoreError: when a table or a column is missing.
    :raises ToolError: when the masked rows of a table cannot be read.
    """
    found: dict[TableName, TableChecksum] = {}
    with session.transaction():
        session.execute(CHECKSUM_TRANSACTION)
        for in_toc, name in names.items():
            tell(".".join(name))
            columns_here = decoded(session, copied[in_toc].columns, encoding)
            query = sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM {}").format(
                _hash(columns_here, hashed), _rows(name, (rows_of or {}).get(in_toc))
            )
            try:
                # Rolled back to release the locks on the indexes: a server has room for few locks.
                with session.transaction(rolled_back=True):
                    row = _row(session, query, name, is_masked=in_toc in (rows_of or {}))
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                raise RestoreError(
                    f"the table {'.'.join(name)} differs from that in the dump: "
                    f"{error.diag.message_primary}"
                ) from error
            rows, total = row or (0, 0)
            found[in_toc] = TableChecksum(rows, str(total), hashed)
    return found


def check_encoding(session: Session, encoding: str) -> None:
    """Refuse to compare checksums between encodings, because the text has different bytes.

    :param encoding: the encoding of the dumped database.
    :raises InvalidInputError: names both encodings.
    """
    (found,) = session.fetch_row("SELECT getdatabaseencoding()")
    if found != encoding:
        raise InvalidInputError(
            f"the checksums of the dump are for the encoding {encoding}, but the encoding of the "
            f"database is {found}",
            hint="Restore with checksums=False, which compares the numbers of rows.",
        )


def check_checksums(
    session: Session,
    toc: Toc,
    expected: Mapping[TableName, TableChecksum],
    encoding: str,
    tell: Callable[[str], object] = str,
) -> None:
    """Compare the rows of each restored table with its checksum in the dump.

    :param session: a session on the restored database.
    :param toc: the table of contents of the dump.
    :param expected: the checksums, by the names in the table of contents.
    :param encoding: the encoding of the dumped database.
    :param tell: called with the name of each table before it is read.
    :raises MismatchError: names a table whose rows differ.
    """
    names = comparable(session, expected, encoding)
    copied = copied_tables(toc)
    found: dict[TableName, TableChecksum] = {}
    for hashed in {checksum.hashed for checksum in expected.values()}:
        some = {name: here for name, here in names.items() if expected[name].hashed == hashed}
        found |= read_checksums(session, copied, some, encoding, hashed=hashed, tell=tell)
    for group in comparable_groups(copied, expected, names):
        rows, total = _total(found, group)
        rows_expected, total_expected = _total(expected, group)
        if (rows, total) != (rows_expected, total_expected):
            tables = describe_tables(names[name] for name in group)
            raise MismatchError(
                f"{tables} does not have the same rows as in the dump: {rows} rows with the "
                f"checksum {total}, but {rows_expected} rows with {total_expected} in the dump"
            )


def _hash(columns: str, hashed: str) -> sql.SQL:
    """Return the hash of a row.

    :param columns: the list of columns, in SQL.
    """
    if hashed == BY_COLUMN:
        columns = ", ".join(_HASH_OF_VALUE.format(name) for name in column_names(columns))
    return sql.SQL(_HASH_OF_ROW.format(columns))


def _row(
    session: Session, query: sql.Composed, name: TableName, *, is_masked: bool
) -> tuple[Any, ...] | None:
    try:
        return session.execute(query).fetchone()
    except psycopg.DataError as error:
        if not is_masked:
            raise
        kind = type(error).__name__
    # Raised outside the handler: the error's context may quote a value from before masking.
    raise ToolError(f"the checksum of the masked rows of {'.'.join(name)} failed: {kind}")


def _rows(name: TableName, query: str | None) -> sql.Composable:
    if query is None:
        return sql.SQL("ONLY {}").format(sql.Identifier(*name))
    return sql.SQL("({}) AS masked").format(sql.SQL(query))


def _total(checksums: Mapping[TableName, TableChecksum], group: list[TableName]) -> tuple[int, int]:
    rows = sum(checksums[name].rows for name in group)
    return rows, sum(int(checksums[name].total) for name in group)
