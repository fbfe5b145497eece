"""Whose functions run where masks are tried out: only those of somebody who may do all anyway.

The owner of a table writes its check constraints, domains, indexes and generated columns, and these
call functions. Called by a dump they have the rights of its user, who may be a superuser, and see
the key. pg_dump itself calls none of them.
"""

from collections.abc import Iterable, Sequence

import psycopg

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.masking.planning import MaskedTable

# What is built in has no entries in pg_depend.
_CALLED = """
WITH RECURSIVE reached (classid, objid) AS (
    SELECT 'pg_constraint'::regclass::oid, oid FROM unnest(%(checks)s::oid[]) AS oid
    UNION SELECT 'pg_class'::regclass::oid, oid FROM unnest(%(relations)s::oid[]) AS oid
    UNION SELECT 'pg_attrdef'::regclass::oid, d.oid
        FROM pg_attrdef d JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE attgenerated <> '' AND adrelid = ANY(%(generated)s)
    -- In PostgreSQL 14 it is the column that depends on them.
    UNION SELECT refclassid, refobjid FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = ANY(%(generated)s) AND objsubid > 0
            AND refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
    UNION SELECT 'pg_type'::regclass::oid, atttypid
        FROM pg_attribute JOIN unnest(%(tables)s::oid[], %(columns)s::text[]) AS named (t, c)
            ON attrelid = t AND attname = c
    UNION
    SELECT next.* FROM reached CROSS JOIN LATERAL (
        SELECT refclassid, refobjid FROM pg_depend d
        WHERE d.classid = reached.classid AND d.objid = reached.objid
            AND reached.classid <> 'pg_proc'::regclass
            AND refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
        UNION ALL
        SELECT 'pg_proc'::regclass, oprcode FROM pg_operator
        WHERE reached.classid = 'pg_operator'::regclass AND oid = reached.objid
        UNION ALL
        SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
        WHERE reached.classid = 'pg_type'::regclass AND contypid = reached.objid
        UNION ALL
        SELECT 'pg_type'::regclass, below FROM pg_type
        CROSS JOIN LATERAL (VALUES (typbasetype), (typelem)) AS of (below)
        WHERE reached.classid = 'pg_type'::regclass AND pg_type.oid = reached.objid AND below <> 0
    ) AS next
)
SELECT format('%%I.%%I', nspname, proname), rolname
FROM reached
JOIN pg_proc p ON p.oid = objid
JOIN pg_namespace n ON n.oid = pronamespace
JOIN pg_roles r ON r.oid = proowner
WHERE classid = 'pg_proc'::regclass AND NOT rolsuper AND rolname <> current_user
    AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    )
ORDER BY 1
"""


def check_functions(connection: psycopg.Connection, tables: Iterable[MaskedTable]) -> None:
    """Refuse to run the functions of others than superusers and the user of the session.

    :raises UnsupportedError: naming the function, its owner and the table.
    """
    for one in tables:
        found = connection.execute(_CALLED, _objects(one)).fetchone()
        if found is not None:
            raise UnsupportedError(
                f"what masked columns of {one.table.label} must fit calls the function {found[0]}, "
                f"which belongs to {found[1]} and would run with the rights of this dump",
                hint="Give the function to a superuser, dump as its owner, or declare the columns "
                "of that constraint, index, domain or generated column safe.",
            )


def _objects(one: MaskedTable) -> dict[str, Sequence[int] | Sequence[str]]:
    oid = one.table.oid
    bounds = [oid, *one.table.parents] if any(check.oid == 0 for check in one.checks) else []
    return {
        "checks": [check.oid for check in one.checks if check.oid],
        "relations": [*(index.oid for index in one.indexes), *bounds],
        "generated": [oid] if one.generated else [],
        "tables": [oid] * len(one.rules),
        "columns": list(one.rules),
    }
