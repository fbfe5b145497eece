"""Finds objects of a dump, other than rows, that may contain personal data and are not masked."""

from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.postgres import Session

LARGE_OBJECTS = "large objects"
_WITHOUT_BLOBS = frozenset({"-B", "--no-blobs", "--no-large-objects"})
# Each query returns a schema and a name; the schema is NULL for objects without one.
_QUERIES = {
    "column default with a literal": """
        SELECT nspname, relname || '.' || attname
        FROM pg_attrdef
        JOIN pg_class c ON c.oid = adrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE pg_get_expr(adbin, adrelid) ~ '''' AND pg_get_expr(adbin, adrelid) !~ '^nextval[(]'
    """,
    "comment": """
        SELECT schema, coalesce(identity, description.classoid::regclass::text)
        FROM pg_description AS description, pg_identify_object(classoid, objoid, objsubid)
        -- Comments from initdb are harmless, but that on the schema public may have changed.
        WHERE objoid >= 16384 OR identity = 'public' AND description <> 'standard public schema'
        UNION ALL
        SELECT NULL, 'the database' FROM pg_shdescription JOIN pg_database d ON d.oid = objoid
        WHERE classoid = 'pg_database'::regclass AND datname = current_database()
    """,
    "index with a literal": """
        SELECT nspname, c.relname
        FROM pg_index
        JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL)
            AND coalesce(pg_get_expr(indexprs, indrelid), '')
                || coalesce(pg_get_expr(indpred, indrelid), '') ~ ''''
    """,
    "constraint with a literal": """
        SELECT nspname, coalesce(relname, typname) || '.' || conname
        FROM pg_constraint
        JOIN pg_namespace n ON n.oid = connamespace
        LEFT JOIN pg_class c ON c.oid = conrelid
        LEFT JOIN pg_type t ON t.oid = contypid
        WHERE contype = 'c' AND pg_get_constraintdef(pg_constraint.oid) ~ ''''
    """,
    "partition whose bounds have a literal": """
        SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relispartition AND pg_get_expr(relpartbound, c.oid) ~ ''''
    """,
    "view with a literal": """
        SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('v', 'm') AND pg_get_viewdef(c.oid) ~ ''''
    """,
    "rule with a literal": """
        SELECT nspname, relname || '.' || rulename
        FROM pg_rewrite r
        JOIN pg_class c ON c.oid = ev_class
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE rulename <> '_RETURN' AND pg_get_ruledef(r.oid) ~ ''''
    """,
    "policy with a literal": """
        SELECT nspname, relname || '.' || polname
        FROM pg_policy
        JOIN pg_class c ON c.oid = polrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~ ''''
    """,
    "trigger with a literal": """
        SELECT nspname, relname || '.' || tgname
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = tgrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE NOT tgisinternal AND pg_get_triggerdef(t.oid) ~ ''''
    """,
    "statistics with a literal": """
        SELECT nspname, stxname
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace
        WHERE pg_get_statisticsobjdef(s.oid) ~ ''''
    """,
    "default of a domain": """
        SELECT nspname, typname
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typtype = 'd' AND typdefault IS NOT NULL
    """,
    "labels of an enum": """
        SELECT nspname, typname
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typtype = 'e'
    """,
    "function": """
        SELECT nspname, proname
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        JOIN pg_language l ON l.oid = prolang
        WHERE lanname NOT IN ('c', 'internal') AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
        )
    """,
}
_OF_USERS = """
    SELECT DISTINCT nspname::text, subject::text FROM ({query}) AS found (nspname, subject)
    WHERE nspname IS NULL OR nspname !~ '^pg_' AND nspname <> 'information_schema'
    ORDER BY 1, 2
"""


@dataclass(frozen=True)
class UnmaskedObject:
    """An object that is dumped as it is.

    :param what: its kind.
    :param subject: its name; never its contents.
    """

    what: str
    subject: str


def find_unmasked(session: Session, selection: Selection) -> list[UnmaskedObject]:
    """Return the objects of a dump that may contain values, in the current transaction."""
    found = []
    row = session.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone()
    if row and row[0] and not _WITHOUT_BLOBS.intersection(selection.pg_dump_args):
        found.append(UnmaskedObject(LARGE_OBJECTS, f"{row[0]} of them"))
    for what, query in _QUERIES.items():
        if what == "comment" and "--no-comments" in selection.pg_dump_args:
            continue
        rows = session.execute(_OF_USERS.format(query=query).encode())
        found += [
            UnmaskedObject(
                what, name if schema is None or what == "comment" else f"{schema}.{name}"
            )
            for schema, name in rows
            if schema is None or selection.includes_schema(schema)
        ]
    return found
