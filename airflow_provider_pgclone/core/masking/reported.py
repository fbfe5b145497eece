"""What a dump holds beside the rows of tables, in which personal data may stand as well."""

from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.scope import DumpContent, is_in_schemas

LARGE_OBJECTS = "large objects"
_WITHOUT_BLOBS = frozenset({"-B", "--no-blobs", "--no-large-objects"})
_QUERIES = {
    "column default with a literal": """
        SELECT nspname::text, relname || '.' || attname
        FROM pg_attrdef
        JOIN pg_class c ON c.oid = adrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE pg_get_expr(adbin, adrelid) ~ '''' AND pg_get_expr(adbin, adrelid) !~ '^nextval\\('
    """,
    "comment": """
        SELECT nspname::text, relname || coalesce('.' || attname, '')
        FROM pg_description
        JOIN pg_class c ON c.oid = objoid AND classoid = 'pg_class'::regclass
        JOIN pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum = objsubid AND attnum > 0
    """,
    "index with a literal": """
        SELECT nspname::text, c.relname::text
        FROM pg_index
        JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL)
            AND coalesce(pg_get_expr(indexprs, indrelid), '')
                || coalesce(pg_get_expr(indpred, indrelid), '') ~ ''''
    """,
    "constraint with a literal": """
        SELECT nspname::text, coalesce(relname, typname) || '.' || conname
        FROM pg_constraint
        JOIN pg_namespace n ON n.oid = connamespace
        LEFT JOIN pg_class c ON c.oid = conrelid
        LEFT JOIN pg_type t ON t.oid = contypid
        WHERE contype = 'c' AND pg_get_constraintdef(pg_constraint.oid) ~ ''''
    """,
    "partition whose bounds have a literal": """
        SELECT nspname::text, relname::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relispartition AND pg_get_expr(relpartbound, c.oid) ~ ''''
    """,
    "view with a literal": """
        SELECT nspname::text, relname::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('v', 'm') AND pg_get_viewdef(c.oid) ~ ''''
    """,
    "function": """
        SELECT nspname::text, proname::text
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        JOIN pg_language l ON l.oid = prolang
        WHERE lanname NOT IN ('c', 'internal')
    """,
}
_OF_ITSELF = """
    SELECT nspname, subject FROM ({query}) AS found (nspname, subject)
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ORDER BY nspname, subject
"""


@dataclass(frozen=True)
class Finding:
    """Something that is dumped as it is.

    :param what: its kind.
    :param subject: its name; never what it says.
    """

    what: str
    subject: str


def find_unmasked(connection: psycopg.Connection, content: DumpContent) -> list[Finding]:
    """Return what is dumped beside rows and may hold a value, in the transaction that is open."""
    found = []
    row = connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone()
    if row and row[0] and not _WITHOUT_BLOBS.intersection(content.pg_dump_args):
        found.append(Finding(LARGE_OBJECTS, f"{row[0]} of them"))
    for what, query in _QUERIES.items():
        if what == "comment" and "--no-comments" in content.pg_dump_args:
            continue
        rows = connection.execute(_OF_ITSELF.format(query=query).encode())
        found += [
            Finding(what, f"{schema}.{name}")
            for schema, name in rows
            if is_in_schemas(schema, content)
        ]
    return found
