"""Refuses tables whose masks would run untrusted functions.

The owner of a table writes its check constraints, domains, indexes and generated columns. These
call functions, and so do the casts and types of its columns. Trying and reading masks would run
them with the rights of the user of the dump, who may be a superuser. pg_dump itself runs none of
them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

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
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.masking.planning.user_sql import (
    UserSql,
    may_name,
    types_named,
    whole_names,
)
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
    UNION SELECT 'pg_type'::regclass::oid, oid FROM unnest(%(types)s::oid[]) AS oid
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
            UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = pg_type.oid
            UNION ALL SELECT rngtypid FROM pg_range WHERE rngmultitypid = pg_type.oid
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
    UNION SELECT 0::oid, oid FROM unnest(%(types)s::oid[]) AS oid
    UNION
    {TYPES_BELOW}
),
-- SQL makes these of values without a name: ARRAY[value], multirange(value).
multiranges (oid) AS (SELECT rngmultitypid FROM pg_range JOIN types ON rngtypid = types.oid),
arrays (oid) AS (
    SELECT typarray FROM pg_type
    WHERE oid IN (SELECT oid FROM types UNION SELECT oid FROM multiranges) AND typarray <> 0
),
cast_types (oid) AS (
    SELECT oid FROM types UNION SELECT oid FROM multiranges UNION SELECT oid FROM arrays
)
SELECT format('%%I.%%I', nspname, proname), rolname
FROM (
    -- A cast of others has a type of others on one side: the first OID after those of initdb.
    SELECT castfunc FROM pg_cast JOIN cast_types t ON t.oid IN (castsource, casttarget)
        WHERE t.oid >= 16384
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
    UNION SELECT 0::oid, oid FROM unnest(%(types)s::oid[]) AS oid
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
# A table is named like the type of its rows. Where SQL names the type, it makes rows, and so values
# of the types of columns; a table that is read keeps its columns.
_NAMED_TYPES = """
SELECT DISTINCT type
FROM unnest(%s::text[], %s::text[], %s::bool[]) AS named (schema, name, is_type)
JOIN pg_namespace n ON nspname = schema
JOIN pg_type t ON typnamespace = n.oid AND typname = name
LEFT JOIN pg_class c ON c.oid = typrelid
CROSS JOIN LATERAL (
    SELECT t.oid WHERE relkind IS NULL OR relkind = 'c' OR is_type AND relkind NOT IN ('r', 'p')
    UNION ALL
    SELECT atttypid FROM pg_attribute
    WHERE is_type AND relkind IN ('r', 'p') AND attrelid = typrelid AND attnum > 0 AND atttypid <> 0
) AS of (type)
"""


def check_named_types(session: Session, user_sql: Collection[UserSql], held: Held) -> None:
    """Refuse SQL that names types with which others could have functions called.

    Their casts and the checks of domains run when PostgreSQL plans the SQL, or with each row.

    :param held: what the transaction has locked.
    :raises UnsupportedError: naming the SQL, the type or the function, and the owner.
    """
    for one in {one.sql: one for one in user_sql}.values():
        columns = [list(part) for part in zip(*sorted(types_named(one.sql)), strict=True)]
        found = session.execute(_NAMED_TYPES, columns).fetchall() if columns else []
        types = [oid for (oid,) in found]
        if not types:
            continue
        strange = _type_of_others(session, held, types=types)
        if strange is not None:
            _, type_name, owner = strange
            raise UnsupportedError(
                f"{one.subject} names the type {type_name}, or one that is made of it, and the "
                f"owner {owner} of that type, or of its schema, could add a function that runs "
                "with the rights of this dump",
                hint="Name a type of PostgreSQL's own, give the type to a superuser, or name "
                f"{owner} in trusted_owners.",
            )
        called = _called(session, [], held, types=types)
        if called is None and (cast := _function_of_types(session, types=types)) is not None:
            called = f"has a cast or a range with the function {cast[0]}", cast[1]
        if called is not None:
            uses, owner = called
            raise UnsupportedError(
                f"a type that {one.subject} names {uses}, which belongs to {owner} and would run "
                "with the rights of this dump",
                hint=f"Name another type, give it to a superuser, or name {owner} in "
                "trusted_owners.",
            )


def check_functions(
    session: Session, tables: Iterable[MaskedTable], queried: Collection[int], held: Held
) -> None:
    """Refuse to run functions that belong neither to a superuser nor to the user of the session.

    :param queried: the OIDs of all tables that masks, conditions or samples read.
    :param held: what the transaction has locked.
    :raises UnsupportedError: naming the function, its owner and the table.
    """
    found = _function_of_types(session, tables=list(queried))
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


def check_types(
    session: Session,
    planned: Mapping[int, MaskedTable],
    queried: Collection[int],
    assignment: Assignment,
    held: Held,
) -> None:
    """Refuse types with which their owners could have functions called while the dump runs.

    The owner of the schema of a type may put another type in its place.

    :param planned: what is read of each masked or filtered table, by its OID.
    :param queried: the OIDs of all tables that masks, conditions or samples read.
    :param held: what the transaction has locked.
    :raises UnsupportedError: naming the column, its type and the owner.
    """
    texts = {one.sql for one in assignment.user_sql}
    text = "\n".join(texts)
    # A function of whole rows, such as to_jsonb(), casts all of their columns.
    may_cast = not holds_casts(session)
    whole = {name for one in texts for name in whole_names(one)} if may_cast else set()

    @cache
    def is_named(name: str) -> bool:
        return may_name(text, name)

    columns = [
        (one.table, column.name)
        for oid, one in assignment.tables.items()
        if oid in queried and (oid in planned or one.conditions or is_named(one.table.name))
        for column in one.table.columns
        if is_named(column.name)
        or (oid in planned and column.name in planned[oid].rules)
        or assignment.catalog.root(one.table).name in whole
    ]
    found = _type_of_others(
        session,
        held,
        tables=[table.oid for table, _ in columns],
        columns=[name for _, name in columns],
    )
    if found is not None:
        place, type_name, owner = found
        table, column = columns[place - 1]
        raise UnsupportedError(
            f"the column {table.display_name}.{column} is masked, or read by a mask or condition, "
            f"and the owner {owner} of its type {type_name}, or of the schema of that, could add a "
            "function that runs with the rights of this dump",
            hint="Give the type to a superuser, declare the column safe and read it nowhere, or "
            f"name {owner} in trusted_owners.",
        )


def _called(
    session: Session, tables: Sequence[MaskedTable], held: Held, types: Sequence[int] = ()
) -> tuple[str, str] | None:
    """Return what masks of tables, or types, would call that belongs to others, and the owner."""
    objects = _objects(tables)
    found = session.execute(
        _CALLED,
        trusted_arguments(session, schemas=list(held.schemas), types=list(types), **objects),
    ).fetchone()
    return None if found is None else (found[0], found[1])


def _function_of_types(
    session: Session, tables: Sequence[int] = (), types: Sequence[int] = ()
) -> tuple[str, str] | None:
    """Return a function of others that casts or ranges call, and the owner.

    :param tables: the OIDs of tables whose columns have the types, beside the types given.
    """
    arguments = trusted_arguments(session, tables=list(tables), types=list(types))
    found = session.execute(_OF_TYPES, arguments).fetchone()
    return None if found is None else (found[0], found[1])


def _type_of_others(
    session: Session,
    held: Held,
    *,
    tables: Sequence[int] = (),
    columns: Sequence[str] = (),
    types: Sequence[int] = (),
) -> tuple[int, str, str] | None:
    """Return a type with which others could have a function called, and the owner.

    :param tables: the OIDs of the tables of columns that have the types, beside the types given.
    :return: first, the place of the column, from 1.
    """
    found = session.execute(
        _TYPES_OF_OTHERS,
        trusted_arguments(
            session,
            tables=list(tables),
            columns=list(columns),
            types=list(types),
            holds_casts=holds_casts(session),
            schemas=list(held.schemas),
        ),
    ).fetchone()
    return None if found is None else (found[0], found[1], found[2])


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
