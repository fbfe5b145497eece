"""Which tables' rows a dump would hold."""

import psycopg

from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.masking.catalog import Catalog, CatalogTable
from airflow_provider_pgclone.core.scope import (
    DumpContent,
    check_schemas,
    excluded_tables,
    is_in_schemas,
)

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


def tables_in_scope(
    connection: psycopg.Connection, catalog: Catalog, database: Database, content: DumpContent
) -> list[CatalogTable]:
    """Return the tables, but none that is partitioned, whose rows a dump holds.

    :raises InvalidInputError: when a pattern matches nothing.
    """
    check_schemas(connection, database, [*content.schemas, *content.exclude_schemas])
    excluded = set(excluded_tables(connection, database, content.exclude))
    with_rows = {row[0] for row in connection.execute(_WITH_ROWS)} - excluded
    return [
        table
        for table in catalog.tables.values()
        if table.oid in with_rows and is_in_schemas(table.schema, content)
    ]
