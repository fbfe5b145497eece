"""Finds the tables whose rows a dump holds, and writes the queries that read the rows."""

from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.catalog.selection import (
    Selection,
    check_schemas,
    excluded_tables,
)
from airflow_provider_pgclone.core.catalog.tables import Catalog, CatalogTable
from airflow_provider_pgclone.core.postgres import Session, qualified, quote_ascii

# pg_dump writes the rows of an extension's table only if the extension asks for it:
# https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-CONFIG-TABLES
_WITH_ROWS = """
SELECT c.oid FROM pg_class c
WHERE relkind = 'r' AND (relpersistence = 'p' OR relpersistence = 'u' AND NOT pg_is_in_recovery())
    AND (
        NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
        )
        OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY(extconfig))
    )
"""


@dataclass(frozen=True)
class Masked:
    """The SQL that reads masked values instead of a table's own.

    :param alias: the name of the table in the other parameters.
    :param values: one expression for each column, in the order of the columns.
    :param condition: the rows to read; ``None`` reads all rows.
    :param reads: the names of the tables that it reads beside its own, which can be locked.
    :param may_read_more: whether it may read others, such as by a function.
    """

    alias: str
    values: tuple[str, ...]
    condition: str | None = None
    reads: tuple[tuple[str, str], ...] = ()
    may_read_more: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose rows can be read in ranges of pages.

    :param pages: the number of pages of the table, without its TOAST data.
    :param size_bytes: the size of the table with its TOAST data.
    :param columns: the columns that COPY reads; dropped and generated columns are not among them.
    :param masked: how to read masked rows; ``None`` reads them unchanged. pg_dump must never read
        the rows of a masked table.
    """

    schema: str
    name: str
    pages: int
    size_bytes: int
    columns: tuple[str, ...]
    masked: Masked | None = None

    @property
    def display_name(self) -> str:
        """The name of the table in messages."""
        return f"{self.schema}.{self.name}"


def rows_query(table: Table) -> str:
    """Return a query of a table's rows. The caller may append a WHERE clause."""
    masked = table.masked
    values = map(quote_ascii, table.columns) if masked is None else masked.values
    source = table_name(table) if masked is None else f"{table_name(table)} AS {masked.alias}"
    return f"SELECT {', '.join(values)} FROM ONLY {source}"


def named_rows_query(table: Table) -> str:
    """Return a query of all rows that a dump holds, with the table's own column names."""
    masked = table.masked
    if masked is None:
        return rows_query(table)
    named = zip(masked.values, map(quote_ascii, table.columns), strict=True)
    values = tuple(f"{made} AS {name}" for made, name in named)
    query = rows_query(replace(table, masked=replace(masked, values=values)))
    return query if masked.condition is None else f"{query} WHERE {masked.condition}"


def table_name(table: Table) -> str:
    """Return the name of a table in SQL, valid in every client encoding."""
    return qualified(table.schema, table.name)


def tables_in_scope(session: Session, catalog: Catalog, selection: Selection) -> list[CatalogTable]:
    """Return the tables whose rows a dump holds. A partitioned table has no rows of its own.

    :raises InvalidInputError: when a pattern matches nothing.
    """
    check_schemas(session, [*selection.schemas, *selection.exclude_schemas])
    excluded = set(excluded_tables(session, selection.exclude))
    with_rows = {row[0] for row in session.execute(_WITH_ROWS)} - excluded
    return [
        table
        for table in catalog.tables.values()
        if table.oid in with_rows and selection.includes_schema(table.schema)
    ]
