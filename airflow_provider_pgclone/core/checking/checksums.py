"""A checksum of each table that tells its rows from others, in whichever order they are.

It is the sum of a hash of each row, as text. The hash is the same on all servers that we support,
and so is the text in a session with the settings of :mod:`..postgres.settings`.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableChecksum, TableName, Toc
from airflow_provider_pgclone.core.checking.tables import (
    Copied,
    comparable,
    comparable_groups,
    copied_tables,
    decoded,
    describe_tables,
)
from airflow_provider_pgclone.core.errors import (
    BusyError,
    InvalidInputError,
    MismatchError,
    RestoreError,
    ToolError,
)
from airflow_provider_pgclone.core.postgres import CHECKSUM_TRANSACTION, Session

LOCKED_AT_ONCE = 100


def lock_tables(session: Session, names: Mapping[TableName, TableName]) -> None:
    """Keep others from truncating or altering tables until the transaction ends.

    :raises BusyError: when somebody is about to, for whom pg_dump has let go.
    """
    tables = [sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in names.values()]
    for start in range(0, len(tables), LOCKED_AT_ONCE):
        some = sql.SQL(", ").join(tables[start : start + LOCKED_AT_ONCE])
        try:
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(some))
        except psycopg.errors.LockNotAvailable as error:
            raise BusyError(
                f"a table is about to be altered: {error.diag.message_primary}",
                hint="Try again once the other session is done.",
            ) from error


def read_checksums(
    session: Session,
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
    with session.transaction():
        session.execute(CHECKSUM_TRANSACTION)
        for in_toc, name in names.items():
            columns_here = decoded(session, copied[in_toc].columns, encoding)
            query = sql.SQL(
                'SELECT count(*), coalesce(sum(hashtextextended(CAST(ROW({}) AS text) COLLATE "C", '
                "0)), 0) FROM {}"
            ).format(sql.SQL(columns_here), _rows(name, (rows_of or {}).get(in_toc)))
            try:
                # Rolled back, since else the locks on all indexes would add up: a server has few.
                with session.transaction(rolled_back=True):
                    row = _row(session, query, name, is_masked=in_toc in (rows_of or {}))
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                raise RestoreError(
                    f"the table {'.'.join(name)} is not as the dump has it: "
                    f"{error.diag.message_primary}"
                ) from error
            rows, total = row or (0, 0)
            found[in_toc] = TableChecksum(rows, str(total))
    return found


def _row(
    session: Session, query: sql.Composed, name: TableName, *, is_masked: bool
) -> tuple[Any, ...] | None:
    try:
        return session.execute(query).fetchone()
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


def check_encoding(session: Session, encoding: str) -> None:
    """Refuse to compare checksums in another encoding, whose bytes are others.

    :param encoding: of the database that was dumped.
    :raises InvalidInputError: naming both.
    """
    (found,) = session.fetch_row("SELECT getdatabaseencoding()")
    if found != encoding:
        raise InvalidInputError(
            f"the checksums of the dump are of the encoding {encoding}, and {found} is the "
            "database's",
            hint="Restore with checksums=False, which counts the rows.",
        )


def check_checksums(
    session: Session,
    toc: Toc,
    expected: Mapping[TableName, TableChecksum],
    encoding: str,
) -> None:
    """Compare the rows of each restored table with the checksum that the dump has of it.

    :param session: a session on the restored database.
    :param toc: the table of contents that it was restored from.
    :param encoding: of the database that this is from.
    :raises MismatchError: naming a table whose rows are others.
    """
    names = comparable(session, expected, encoding)
    copied = copied_tables(toc)
    found = read_checksums(session, copied, names, encoding)
    for group in comparable_groups(copied, expected, names):
        if _total(found, group) != _total(expected, group):
            tables = describe_tables(names[name] for name in group)
            raise MismatchError(
                f"{tables} has other rows after the restore than in the dump: their checksums "
                "differ"
            )


def _total(checksums: Mapping[TableName, TableChecksum], group: list[TableName]) -> tuple[int, int]:
    rows = sum(checksums[name].rows for name in group)
    return rows, sum(int(checksums[name].total) for name in group)
