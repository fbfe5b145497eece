"""Finds the tables of a database that can be compared with a dump, and their names in both."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

_IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^\s".()]+)'

# As dumpTableData() in pg_dump.c writes it.
_COPY = re.compile(
    rf"COPY ({_IDENTIFIER})\.({_IDENTIFIER}) +(?:\((.*)\) )?FROM stdin;\s*", re.DOTALL
)
_COLUMN = re.compile(r'"(?:[^"]|"")*"|[^\s",]+')


@dataclass(frozen=True)
class Copied:
    """The COPY that loads the rows of a table.

    :param into: the table that the rows are loaded into. For a partition it may be the root of the
        partition tree, so that the rows may move to other partitions. pg_dump does this with
        ``--load-via-partition-root``, and always below a table partitioned by the hash of an enum.
    :param columns: the list of columns, in SQL.
    """

    into: TableName
    columns: str


def copied_tables(toc: Toc) -> dict[TableName, Copied]:
    """Return the tables whose rows the archive loads by COPY."""
    return {
        entry.table: Copied(
            (_unquoted(match.group(1)), _unquoted(match.group(2))), match.group(3) or ""
        )
        for entry in toc.entries
        if entry.description == "TABLE DATA" and (match := _COPY.fullmatch(entry.copy_statement))
    }


def column_names(columns: str) -> list[str]:
    """Return the names in a list of columns, in SQL."""
    return _COLUMN.findall(columns)


def comparable_groups(
    copied: Mapping[TableName, Copied],
    names: Iterable[TableName],
    here: Mapping[TableName, TableName],
) -> list[list[TableName]]:
    """Group the tables between which rows may have moved; other tables are groups of one.

    :param copied: the tables of the archive.
    :param names: the tables of the dump to compare.
    :param here: the tables that can be compared. A group with any other table is left out.
    """
    found: dict[TableName, list[TableName]] = {}
    for name in names:
        found.setdefault(copied[name].into if name in copied else name, []).append(name)
    return [group for group in found.values() if all(name in here for name in group)]


def comparable(
    session: Session, names: Iterable[TableName], encoding: str
) -> dict[TableName, TableName]:
    """Return the tables of a dump whose rows can be compared.

    :param names: the names in the table of contents.
    :param encoding: the encoding of the dumped database.
    :return: maps names in the table of contents to names in the database.
    """
    uncountable = _uncountable(session)
    here = {name: _decoded_name(session, name, encoding) for name in names}
    return {in_toc: name for in_toc, name in here.items() if name not in uncountable}


def decoded(session: Session, name: str, encoding: str) -> str:
    """Decode a name from the table of contents, whose bytes are in the encoding of the dump."""
    if encoding == "UTF8" or name.isascii():
        return name
    data = name.encode(errors="surrogateescape")
    (text,) = session.fetch_row("SELECT convert_from(%s, %s)", [data, encoding])
    return str(text)


def describe_tables(names: Iterable[TableName]) -> str:
    """Name a group of tables in a message: the first, and the number of the others."""
    first, *others = [".".join(name) for name in names]
    also = f" with {len(others)} other partitions" if others else ""
    return f"the table {first}{also}"


def _uncountable(session: Session) -> set[TableName]:
    """Return the tables whose rows may differ from the rows that were loaded.

    CREATE EXTENSION may have inserted rows into a table of the extension. A row security policy may
    hide rows even from the owner of a table. The rows of a foreign table are on another server.
    """
    rows = session.execute(
        """
        SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'f' OR relkind = 'r' AND (
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
        log.info(
            "not comparing %d tables: foreign, with row security, or part of an extension",
            len(tables),
        )
    return tables


def _decoded_name(session: Session, name: TableName, encoding: str) -> TableName:
    schema, table = name
    return decoded(session, schema, encoding), decoded(session, table, encoding)


def _unquoted(identifier: str) -> str:
    if not identifier.startswith('"'):
        return identifier
    return identifier[1:-1].replace('""', '"')
