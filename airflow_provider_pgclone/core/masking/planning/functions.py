"""Refuses tables whose masks would run untrusted functions.

The owner of a table writes its check constraints, domains, indexes and generated columns. These
call functions, and so do the casts and types of its columns. Trying and reading masks would run
them with the rights of the user of the dump, who may be a superuser. pg_dump itself runs none of
them.
"""

from collections.abc import Collection, Iterable, Sequence

from airflow_provider_pgclone.core.catalog import (
    EXCHANGEABLE,
    NOT_TRUSTED,
    RUNS_KEYS,
    SCHEMA_OWNER,
    TYPES_BELOW,
    UNTRUSTED_HINT,
    Held,
    holds_casts,
    trusted_arguments,
)
from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.masking.planning.user_sql import UserSql, may_name
from airflow_provider_pgclone.core.postgres import Session

# The fields of a tree that name a type, but for that of a column, which is not coerced.
_TYPE_FIELDS = (
    "(?:\\w*resulttype|consttype|typid|typeId|row_typeid|element_typeid|array_typeid|casetype|"
    "coalescetype|minmaxtype|paramtype)"
)
# Stable functions of PostgreSQL's own that look up types, tables or casts which they are given, as
# far as their arguments tell. concat() and its like call no casts.
_REACHES_FAR = """(
    proname ~ '(^pg_|_to_xml|^domain_|_in$|_recv$)' OR EXISTS (
        SELECT FROM unnest(proargtypes::oid[]) AS argument JOIN pg_type a ON a.oid = argument
        WHERE a.typtype = 'p' OR a.typname ~ '^(oid|reg.*)$'
    ) AND proname NOT IN ('concat', 'concat_ws', 'format', 'array_to_string')
)"""
# This reads the trees of expressions, because pg_depend does not list built-in functions. Some of
# those run SQL that they are given.
_CALLED = rf"""
WITH RECURSIVE reached (classid, objid) AS (
    SELECT 'pg_constraint'::regclass::oid, oid FROM unnest(%(checks)s::oid[]) AS oid
    UNION SELECT 'pg_class'::regclass::oid, oid FROM unnest(%(relations)s::oid[]) AS oid
    UNION SELECT 'pg_attrdef'::regclass::oid, d.oid
        FROM pg_attrdef d JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE attgenerated <> '' AND adrelid = ANY(%(generated)s)
    UNION SELECT 'pg_type'::regclass::oid, atttypid
        FROM pg_attribute JOIN unnest(%(tables)s::oid[], %(columns)s::text[]) AS named (t, c)
            ON attrelid = t AND attname = c
    UNION
    SELECT next.* FROM reached CROSS JOIN LATERAL (
        SELECT refclassid, refobjid FROM pg_depend d
        WHERE d.classid = reached.classid AND d.objid = reached.objid
            AND refclassid = 'pg_type'::regclass
        UNION ALL
        SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
        WHERE reached.classid = 'pg_type'::regclass AND contypid = reached.objid
        UNION ALL
        SELECT 'pg_type'::regclass, below FROM pg_type
        CROSS JOIN LATERAL (
            SELECT typbasetype UNION ALL SELECT typelem
            UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0
        ) AS of (below)
        WHERE reached.classid = 'pg_type'::regclass AND pg_type.oid = reached.objid AND below <> 0
    ) AS next
),
trees (tree) AS (
    SELECT conbin::text FROM pg_constraint
        JOIN reached ON classid = 'pg_constraint'::regclass AND objid = oid
    UNION ALL SELECT adbin::text FROM pg_attrdef
        JOIN reached ON classid = 'pg_attrdef'::regclass AND objid = oid
    UNION ALL SELECT concat(indexprs::text, indpred::text) FROM pg_index
        JOIN reached ON classid = 'pg_class'::regclass AND objid = indexrelid
    UNION ALL SELECT partexprs::text FROM pg_partitioned_table
        JOIN reached ON classid = 'pg_class'::regclass AND objid = partrelid
),
called (oid) AS (
    SELECT found[1]::oid FROM trees, regexp_matches(tree, ':(?:op)?funcid (\d+)', 'g') AS found
    UNION SELECT oprcode FROM trees, regexp_matches(tree, ':opno (\d+)', 'g') AS found
        JOIN pg_operator o ON o.oid = found[1]::oid
),
types (relid, oid) AS (
    SELECT 0::oid, found[1]::oid
    FROM trees, regexp_matches(tree, ':{_TYPE_FIELDS} (\d+)', 'g') AS found
    UNION
    {TYPES_BELOW}
)
SELECT what, rolname
FROM (
    SELECT format('calls the function %%I.%%I', nspname, proname), proowner,
        pronamespace = 'pg_catalog'::regnamespace AND (
            provolatile = 'v' OR p.oid = {RUNS_KEYS} OR provolatile = 's' AND {_REACHES_FAR}
        )
    FROM called JOIN pg_proc p ON p.oid = called.oid JOIN pg_namespace n ON n.oid = pronamespace
    UNION ALL
    -- The SQL of the catalog names functions, which somebody could exchange with their schema.
    SELECT format('names the function %%I.%%I in a schema', nspname, proname), {SCHEMA_OWNER}, true
    FROM called JOIN pg_proc p ON p.oid = called.oid JOIN pg_namespace n ON n.oid = pronamespace
    WHERE {EXCHANGEABLE}
    UNION ALL
    -- The planner may put the negator in the place of an operator, which its owner chooses.
    SELECT format('uses the operator %%I.%%s', nspname, oprname), oprowner, false
    FROM trees, regexp_matches(tree, ':opno (\d+)', 'g') AS found
    JOIN pg_operator o ON o.oid = found[1]::oid JOIN pg_namespace n ON n.oid = oprnamespace
    UNION ALL
    SELECT format('uses the domain %%I.%%I', nspname, typname), typowner, false
    FROM types JOIN pg_type t ON t.oid = types.oid AND typtype = 'd'
    JOIN pg_namespace n ON n.oid = typnamespace
) AS used (what, owner, is_dangerous)
JOIN pg_roles r ON r.oid = owner
WHERE is_dangerous OR {NOT_TRUSTED}
ORDER BY 1
"""
# Casts may be implicit, and the planner itself calls functions of ranges.
_OF_TYPES = f"""
WITH RECURSIVE types (relid, oid) AS (
    SELECT attrelid, atttypid FROM pg_attribute WHERE attrelid = ANY(%(tables)s) AND attnum > 0
    UNION SELECT pg_class.oid, reltype FROM pg_class WHERE pg_class.oid = ANY(%(tables)s)
    UNION
    {TYPES_BELOW}
)
SELECT format('%%I.%%I', nspname, proname), rolname
FROM (
    -- A cast of others has a type of others on one side: the first OID after those of initdb.
    SELECT castfunc FROM pg_cast JOIN types ON types.oid IN (castsource, casttarget)
        WHERE types.oid >= 16384
    UNION SELECT unnest(ARRAY[rngsubdiff, rngcanonical]::oid[])
        FROM pg_range JOIN types ON rngtypid = types.oid
) AS called (oid)
JOIN pg_proc p ON p.oid = called.oid
JOIN pg_namespace n ON n.oid = pronamespace
JOIN pg_roles r ON r.oid = proowner
WHERE {NOT_TRUSTED}
ORDER BY 1
"""
# The owner of a type may create a cast of it, and that of a domain may add a constraint that does
# not hold for old values. No lock holds up the second one.
_TYPES_OF_OTHERS = f"""
WITH RECURSIVE types (relid, oid) AS (
    -- Each column is told by its row here, and what its type is made of keeps that.
    SELECT place::oid, atttypid
    FROM unnest(%(tables)s::oid[], %(columns)s::text[]) WITH ORDINALITY AS named (t, c, place)
    JOIN pg_attribute ON attrelid = t AND attname = c
    UNION
    {TYPES_BELOW}
)
SELECT relid::bigint, format('%%I.%%I', n.nspname, typname), rolname
FROM types
JOIN pg_type t ON t.oid = types.oid
JOIN pg_namespace n ON n.oid = typnamespace
JOIN pg_roles r ON r.oid = CASE WHEN {EXCHANGEABLE} THEN {SCHEMA_OWNER} ELSE typowner END
-- A domain gets constraints, and a composite type attributes of a domain, whatever is locked.
WHERE ({NOT_TRUSTED}) AND (typtype IN ('d', 'c') OR NOT %(holds_casts)s OR {EXCHANGEABLE})
ORDER BY 1
"""


def check_functions(
    session: Session, tables: Iterable[MaskedTable], queried: Collection[int], held: Held
) -> None:
    """Refuse to run functions that belong neither to a superuser nor to the user of the session.

    :param queried: the OIDs of all tables that masks, conditions or samples read.
    :param held: what the transaction has locked.
    :raises UnsupportedError: naming the function, its owner and the table.
    """
    found = session.execute(_OF_TYPES, trusted_arguments(session, tables=list(queried))).fetchone()
    if found is not None:
        raise UnsupportedError(
            f"a type of masked or filtered tables uses the function {found[0]}, which belongs to "
            f"{found[1]} and would run with the rights of this dump",
            hint=UNTRUSTED_HINT,
        )
    planned = list(tables)
    if _called(session, planned, held) is None:
        return
    # One of them calls it: ask for each of them, to name the table.
    for one in planned:
        found = _called(session, [one], held)
        if found is not None:
            raise UnsupportedError(
                f"a type, constraint or index of masked columns of {one.table.display_name} "
                f"{found[0]}, which belongs to {found[1]} and would run with the rights of this "
                "dump",
                hint=UNTRUSTED_HINT,
            )
    raise RuntimeError("a function that one of the tables calls is called by none of them")


def _called(session: Session, tables: Sequence[MaskedTable], held: Held) -> tuple[str, str] | None:
    """Return what masks of tables would call that belongs to others, and the owner."""
    objects = _objects(tables)
    found = session.execute(
        _CALLED, trusted_arguments(session, schemas=list(held.schemas), **objects)
    ).fetchone()
    return None if found is None else (found[0], found[1])


def check_types(
    session: Session, tables: Iterable[MaskedTable], user_sql: Collection[UserSql], held: Held
) -> None:
    """Refuse types with which their owners could have functions called while the dump runs.

    The owner of the schema of a type may put another type in its place.

    :param held: what the transaction has locked.
    :raises UnsupportedError: naming the column, its type and the owner.
    """
    texts = [one.sql for one in user_sql]
    columns = [
        (one.table, column.name)
        for one in tables
        for column in one.table.columns
        if column.name in one.rules or any(may_name(text, column.name) for text in texts)
    ]
    found = session.execute(
        _TYPES_OF_OTHERS,
        trusted_arguments(
            session,
            tables=[table.oid for table, _ in columns],
            columns=[name for _, name in columns],
            holds_casts=holds_casts(session),
            schemas=list(held.schemas),
        ),
    ).fetchone()
    if found is not None:
        place, type_name, owner = found
        table, column = columns[place - 1]
        raise UnsupportedError(
            f"the column {table.display_name}.{column} is masked or filtered, and the owner "
            f"{owner} of its type {type_name}, or of the schema of that, could add a function that "
            "runs with the rights of this dump",
            hint="Give the type to a superuser, declare the column safe, or name "
            f"{owner} in trusted_owners.",
        )


def _objects(tables: Sequence[MaskedTable]) -> dict[str, Sequence[int] | Sequence[str]]:
    checks = [check.oid for one in tables for check in one.checks]
    bounds = [
        oid
        for one in tables
        if any(check.oid == 0 for check in one.checks)
        for oid in (one.table.oid, *one.table.parents)
    ]
    return {
        "checks": [oid for oid in checks if oid],
        "relations": [*(index.oid for one in tables for index in one.indexes), *bounds],
        "generated": [one.table.oid for one in tables if one.generated],
        "tables": [one.table.oid for one in tables for _ in one.rules],
        "columns": [column for one in tables for column in one.rules],
    }
