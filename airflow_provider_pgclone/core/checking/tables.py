"""Which tables of a database can be compared with a dump of it, and their names there."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.postgres import Session

log = logging.getLogger(__name__)


_IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^\s".()]+)'


# As dumpTableData() in pg_dump.c writes it.
_COPY = re.compile(
    rf"COPY ({_IDENTIFIER})\.({_IDENTIFIER}) +(?:\((.*)\) )?FROM stdin;\s*", re.DOTALL
)


@dataclass(frozen=True)
class Copied:
    """How the rows of a table come back.

    :param into: what they are loaded into. It may be the root of the table's partitions: pg_dump
        has it so where the rows may belong to other partitions then (``--load-via-partition-root``,
        and always below one that is partitioned by the hash of an enum).
    :param columns: of the table, as SQL lists them.
    """

    into: TableName
    columns: str


def copied_tables(toc: Toc) -> dict[TableName, Copied]:
    """Return the tables that the archive has rows of, by COPY."""
    return {
        (entry.namespace, entry.tag): Copied(
            (_unquoted(match.group(1)), _unquoted(match.group(2))), match.group(3) or ""
        )
        for entry in toc.entries
        if entry.description == "TABLE DATA" and (match := _COPY.fullmatch(entry.copy_statement))
    }


def comparable_groups(
    copied: Mapping[TableName, Copied],
    names: Iterable[TableName],
    here: Mapping[TableName, TableName],
) -> list[list[TableName]]:
    """Return tables one by one, but those together among which rows may have moved.

    :param copied: what each is loaded into.
    :param names: of the tables of a dump.
    :param here: those that can be compared; a group that lacks one is left out.
    """
    found: dict[TableName, list[TableName]] = {}
    for name in names:
        found.setdefault(copied[name].into if name in copied else name, []).append(name)
    return [group for group in found.values() if all(name in here for name in group)]


def comparable(
    session: Session, names: Iterable[TableName], encoding: str
) -> dict[TableName, TableName]:
    """Return the tables of a dump whose rows can be compared, each with its name in the database.

    :param names: as the table of contents has them.
    :param encoding: of the database that they are from.
    """
    uncountable = _uncountable(session)
    here = {name: _decoded_name(session, name, encoding) for name in names}
    return {in_toc: name for in_toc, name in here.items() if name not in uncountable}


def _uncountable(session: Session) -> set[TableName]:
    """Return the tables whose rows may well be others than those that were loaded.

    CREATE EXTENSION may have put rows of its own into a table of an extension, a policy may hide
    rows even from the owner of a table, and those of a foreign table are elsewhere.
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
            "%d tables of extensions, of other servers or with row security are not compared",
            len(tables),
        )
    return tables


def _unquoted(identifier: str) -> str:
    if not identifier.startswith('"'):
        return identifier
    return identifier[1:-1].replace('""', '"')


def _decoded_name(session: Session, name: TableName, encoding: str) -> TableName:
    schema, table = name
    return decoded(session, schema, encoding), decoded(session, table, encoding)


def decoded(session: Session, name: str, encoding: str) -> str:
    """Return a name in which bytes of another encoding than UTF-8 may stand for letters."""
    if encoding == "UTF8" or name.isascii():
        return name
    data = name.encode(errors="surrogateescape")
    (text,) = session.fetch_row("SELECT convert_from(%s, %s)", [data, encoding])
    return str(text)


def describe_tables(names: Iterable[TableName]) -> str:
    first, *others = [".".join(name) for name in names]
    also = f" with {len(others)} other partitions" if others else ""
    return f"the table {first}{also}"
