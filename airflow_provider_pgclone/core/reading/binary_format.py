"""Chooses which tables a copy reads in COPY's binary format, where that costs less than text."""

from collections.abc import Mapping

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.reading.snapshot import Snapshot
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# What a column gains as binary: the server need not write and read dates, and a long text is not
# searched for what must be escaped. A number of few digits becomes longer, since each value has its
# length before it. Measured; see decision 17.
_COSTLY_AS_TEXT, _CHEAPER, _LONGER = 4, 1, -1
# Only types whose binary form is the value alone, as their send and receive functions write and
# read it. That of a regclass is an OID, that of a composite has the OIDs of its types, and an
# extension may decide as it likes: regclasssend(), record_send().
GAINS: Mapping[str, int] = {
    **dict.fromkeys(("date", "time", "timetz", "timestamp", "timestamptz"), _COSTLY_AS_TEXT),
    **dict.fromkeys(("interval", "tsrange", "tstzrange", "daterange"), _COSTLY_AS_TEXT),
    **dict.fromkeys(("float4", "float8", "money", "uuid", "bytea"), _COSTLY_AS_TEXT),
    **dict.fromkeys(("inet", "cidr", "macaddr", "bit", "varbit"), _COSTLY_AS_TEXT),
    **dict.fromkeys(("text", "varchar", "bpchar", "json", "jsonb"), _CHEAPER),
    **dict.fromkeys(("bool", "int2", "int4", "int8", "numeric"), _LONGER),
    **dict.fromkeys(("int4range", "int8range", "numrange"), _LONGER),
}

# An array's own binary form has the OID of the type of its elements, which is the same for these
# types on every server: array_recv(). Each element has its length before it, too.
_BINARY = """
SELECT place
FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS read (schema, name, place)
JOIN pg_namespace n ON nspname = schema
JOIN pg_class c ON relnamespace = n.oid AND relname = name
JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
JOIN pg_type t ON t.oid = atttypid
LEFT JOIN pg_type element ON element.typarray = t.oid
LEFT JOIN unnest(%(types)s::regtype[], %(gains)s::int[]) AS known (type, gain)
    ON type = coalesce(element.oid, t.oid)
GROUP BY place
HAVING bool_and(gain IS NOT NULL)
    AND sum(CASE WHEN element.oid IS NULL THEN gain ELSE 2 * gain END) > 0
"""


def binary_tables(snapshot: Snapshot, target_major: int) -> frozenset[TableName]:
    """Return which of the tables that are read in ranges a copy reads as binary.

    Masked tables are read as text: an expression may have another type than its column.

    :param target_major: the major version of the server that gets the rows. The functions of
        another version need not fit.
    """
    if snapshot.session.major != target_major:
        return frozenset()
    names = [(table.schema, table.name) for table in snapshot.ranged if table.masked is None]
    arguments = {
        "schemas": [schema for schema, _ in names],
        "names": [name for _, name in names],
        "types": [f"pg_catalog.{name}" for name in GAINS],
        "gains": list(GAINS.values()),
    }
    places = snapshot.session.execute(_BINARY, arguments)
    binary = frozenset(names[place - 1] for (place,) in places)
    log.info("reading %d of %d tables as binary", len(binary), len(snapshot.ranged))
    return binary
