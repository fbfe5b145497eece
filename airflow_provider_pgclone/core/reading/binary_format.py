"""Tells which tables a copy reads in the binary format of COPY, which costs less than text."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.reading.snapshot import Snapshot
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# Types whose binary form is the value alone and is alike on all servers of a major version. That of
# a regclass is an OID, that of a composite has the OIDs of its types, and an extension may decide
# as it likes: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT.
BINARY_TYPES = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money"),
    *("text", "varchar", "bpchar", "bytea", "uuid", "json", "jsonb", "inet", "cidr", "macaddr"),
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval", "bit", "varbit"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
)

# An array's own binary form has the OID of the type of its elements, which these types have on
# every server.
_IN_OTHER_TYPES = """
SELECT nspname, relname
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND EXISTS (
    SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
    LEFT JOIN pg_type element ON element.typarray = t.oid
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND coalesce(element.oid, t.oid) <> ALL (%s::regtype[])
)
"""


def formatted_tables(snapshot: Snapshot, target_major: int) -> Sequence[Table]:
    """Return the tables that are read in ranges, with the format in which a copy reads them.

    Masked rows are read as text: an expression may have another type than its column.

    :param target_major: the major version of the server that gets the rows. Another version need
        not have the same binary format.
    """
    tables = snapshot.ranged
    if snapshot.session.major == target_major:
        others = _in_other_types(snapshot.session)
        tables = [replace(table, is_binary=_is_binary(table, others)) for table in tables]
    in_binary = sum(table.is_binary for table in tables)
    log.info("reading %d of %d tables in the binary format of COPY", in_binary, len(tables))
    return tables


def _in_other_types(session: Session) -> set[TableName]:
    types = [f"pg_catalog.{name}" for name in BINARY_TYPES]
    return set(session.execute(_IN_OTHER_TYPES, [types]).fetchall())


def _is_binary(table: Table, others: Collection[TableName]) -> bool:
    return table.masked is None and (table.schema, table.name) not in others
