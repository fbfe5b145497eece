"""Finds what a dump reads of a database and the user of a session has no right to read."""

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog.patterns import display_name
from airflow_provider_pgclone.core.catalog.selection import Selection, excluded_tables
from airflow_provider_pgclone.core.postgres import Session

TABLES = "tables"
SEQUENCES = "sequences"
ROW_SECURITY = "tables with row level security"
LARGE_OBJECTS = "large objects"
_HINTS = {
    TABLES: "Grant pg_read_all_data to the user, or leave their schemas out by exclude_schemas.",
    SEQUENCES: "Grant pg_read_all_data to the user, or leave their schemas out by exclude_schemas.",
    ROW_SECURITY: "Give the user BYPASSRLS, or leave the rows of these tables out by exclude.",
    LARGE_OBJECTS: "Grant SELECT on each large object to the user, or leave all of them out by "
    "pg_dump_args=['--no-blobs'].",
}
_SHOWN = 3

# pg_dump locks each table, and reads each sequence, of the schemas that it dumps, even if it leaves
# out the rows: getTables() in pg_dump.c. Of the tables of an extension it does so with those that
# the extension names. The function has_largeobject_privilege() is in PostgreSQL 18 and newer.
_MISSING = """
WITH relations AS (
    SELECT c.oid, relkind, nspname, relname,
        has_schema_privilege(n.oid, 'USAGE') AND CASE relkind
            WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
            ELSE has_table_privilege(c.oid, 'SELECT')
        END AS is_readable,
        relkind = 'r' AND relrowsecurity AND row_security_active(c.oid) AS is_secured
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'S') AND relpersistence <> 't' AND nspname !~ '^pg_'
        AND nspname <> 'information_schema' AND (
            NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
            )
            OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY(extconfig))
        )
),
objects (kind, nspname, relname, is_missing) AS (
    SELECT CASE relkind WHEN 'S' THEN 'sequences' ELSE 'tables' END, nspname, relname,
        NOT is_readable FROM relations
    UNION ALL
    SELECT 'tables with row level security', nspname, relname, true FROM relations
    WHERE is_secured AND is_readable AND oid <> ALL(%(excluded)s::oid[])
    UNION ALL
    SELECT 'large objects', NULL, m.oid::text,
        NOT rolsuper AND current_setting('lo_compat_privileges') = 'off' AND NOT EXISTS (
            SELECT FROM aclexplode(coalesce(lomacl, acldefault('L', lomowner)))
            WHERE privilege_type = 'SELECT' AND (grantee = 0 OR pg_has_role(grantee, 'USAGE'))
        )
    FROM pg_largeobject_metadata m JOIN pg_roles ON rolname = current_user
    WHERE %(large_objects)s
)
SELECT kind, nspname, count(*), count(*) FILTER (WHERE is_missing),
    (array_agg(relname::text ORDER BY relname) FILTER (WHERE is_missing))[:%(shown)s]
FROM objects GROUP BY kind, nspname ORDER BY kind, nspname
"""


@dataclass(frozen=True)
class MissingRight:
    """Objects of one kind that a dump reads, and that the user may not read.

    :param count: the number of these objects.
    :param total: the number of all objects of the kind, those that may be read too.
    :param names: the names of the first few.
    """

    kind: str
    count: int
    total: int
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """How many there are, and the first few."""
        others = [f"{self.count - len(self.names)} more"] if self.count > len(self.names) else []
        of = "" if self.kind == ROW_SECURITY else f" of {self.total}"
        return f"{self.kind} ({self.count}{of}: {', '.join([*self.names, *others])})"

    @property
    def hint(self) -> str:
        """What to do about it, as a sentence."""
        return _HINTS[self.kind]


def missing_rights(session: Session, selection: Selection) -> list[MissingRight]:
    """Return what the user may not read of the selected part of a database, by kind.

    :raises InvalidInputError: when a pattern does not match anything.
    """
    parameters = {
        "excluded": excluded_tables(session, selection.exclude),
        "large_objects": selection.reads_large_objects,
        "shown": _SHOWN,
    }
    counts: dict[str, tuple[int, int]] = {}
    names: dict[str, list[str]] = {}
    for kind, schema, total, missing, first in session.execute(_MISSING, parameters):
        if schema is not None and not selection.includes_schema(schema):
            continue
        before = counts.get(kind, (0, 0))
        counts[kind] = before[0] + missing, before[1] + total
        shown = (name if schema is None else display_name(schema, name) for name in first or ())
        names.setdefault(kind, []).extend(shown)
    return [
        MissingRight(kind, missing, total, tuple(names[kind][:_SHOWN]))
        for kind, (missing, total) in counts.items()
        if missing
    ]


def describe_missing(missing: Iterable[MissingRight]) -> tuple[str, str]:
    """Return what cannot be read, and what to do about it, as a sentence for each remedy."""
    found = list(missing)
    hints = dict.fromkeys(one.hint for one in found)
    return ", ".join(one.text for one in found), " ".join(hints)
