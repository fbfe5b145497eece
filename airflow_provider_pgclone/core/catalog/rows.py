"""Which tables have rows in a dump, and the queries that read them."""

from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.catalog.selection import (
    Selection,
    check_schemas,
    excluded_tables,
)
from airflow_provider_pgclone.core.catalog.tables import Catalog, CatalogTable
from airflow_provider_pgclone.core.postgres import Session, qualified, quote_ascii


@dataclass(frozen=True)
class Masked:
    """What is read of a table in the place of its rows, as SQL.

    :param alias: what the table is called there.
    :param values: of its columns, in their order.
    :param condition: of its rows; ``None`` is all.
    """

    alias: str
    values: tuple[str, ...]
    condition: str | None = None


@dataclass(frozen=True)
class Table:
    """A table that may be split.

    :param pages: of its own file.
    :param size_bytes: with its TOAST data.
    :param columns: those that COPY takes: neither dropped nor generated.
    :param masked: what is read in the place of its rows, which pg_dump must never read then.
    """

    schema: str
    name: str
    pages: int
    size_bytes: int
    columns: tuple[str, ...]
    masked: Masked | None = None

    @property
    def display_name(self) -> str:
        """What a message calls it."""
        return f"{self.schema}.{self.name}"


def rows_query(table: Table) -> str:
    """Return the query of a table's rows, to which a condition may be added."""
    masked = table.masked
    values = map(quote_ascii, table.columns) if masked is None else masked.values
    source = table_name(table) if masked is None else f"{table_name(table)} AS {masked.alias}"
    return f"SELECT {', '.join(values)} FROM ONLY {source}"


def named_rows_query(table: Table) -> str:
    """Return the query of all rows of a masked table, under the names of its columns."""
    masked = table.masked
    if masked is None:
        return rows_query(table)
    named = zip(masked.values, map(quote_ascii, table.columns), strict=True)
    values = tuple(f"{made} AS {name}" for made, name in named)
    query = rows_query(replace(table, masked=replace(masked, values=values)))
    return query if masked.condition is None else f"{query} WHERE {masked.condition}"


def table_name(table: Table) -> str:
    """Return the name of a table in SQL, whatever the encoding of the client."""
    return qualified(table.schema, table.name)


# pg_dump writes the rows of an extension's table where the extension asks for it:
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


def tables_in_scope(session: Session, catalog: Catalog, selection: Selection) -> list[CatalogTable]:
    """Return the tables whose rows a dump holds; a partitioned table has none of its own.

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
