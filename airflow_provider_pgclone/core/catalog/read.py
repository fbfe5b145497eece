"""Reads the tables of a database from its system catalogs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_pgclone.core.catalog.tables import (
    Catalog,
    CatalogTable,
    Check,
    Column,
    ColumnType,
    ForeignKey,
    Index,
    KeyOperator,
    Kind,
)
from airflow_provider_pgclone.core.postgres import Session

_KIND_OF_TYPE: Mapping[str, Kind] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("numeric", "float4", "float8"), "number"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "inet": "inet",
    "bytea": "bytea",
}


@dataclass(frozen=True)
class _Type:
    name: str
    is_system: bool
    kind: str
    category: str
    base: int
    modifier: int
    element: int
    refuses_null: bool


def read_catalog(session: Session, unreadable: Collection[int] = ()) -> Catalog:
    """Read the tables of a database, within the open transaction if there is one.

    :param unreadable: the OIDs of tables that must not be queried; their bounds are not read.

    The names of types include their schemas, since the search path of our sessions is empty.
    """
    with session.transaction():
        types = _read_types(session)
        return Catalog(
            tables=_read_tables(session, types, unreadable),
            foreign_keys=_read_foreign_keys(session),
            indexes=_read_indexes(session),
            checks=_read_checks(session),
        )


def _read_types(session: Session) -> dict[int, _Type]:
    rows = session.execute(
        """
        SELECT oid, typname, typnamespace = 'pg_catalog'::regnamespace, typtype, typcategory,
            typbasetype, typtypmod, typelem, typnotnull
        FROM pg_type WHERE typtype <> 'c'
        """
    )
    return {oid: _Type(*_texts(fields)) for oid, *fields in rows}


def _texts(fields: Sequence[Any]) -> list[Any]:
    """Decode the fields of type "char", which psycopg returns as bytes."""
    return [field.decode() if isinstance(field, bytes) else field for field in fields]


def _column_type(
    types: Mapping[int, _Type], oid: int, modifier: int, text: str, element_text: str | None
) -> ColumnType:
    found, is_domain, refuses_null = types.get(oid), False, False
    while found is not None and found.kind == "d":
        is_domain, refuses_null = True, refuses_null or found.refuses_null
        modifier, found = found.modifier, types.get(found.base)
    element_sql = None
    if found is not None and found.category == "A" and found.element:
        element_sql = element_text
        found = types.get(found.element)
        while found is not None and found.kind == "d":
            is_domain = True
            modifier, found = found.modifier, types.get(found.base)
    if found is None:  # a composite type
        return ColumnType(text, "other", "", -1, element_sql, is_domain, refuses_null)
    return ColumnType(
        text, _kind(found), found.name, modifier, element_sql, is_domain, refuses_null
    )


def _kind(found: _Type) -> Kind:
    if found.is_system:
        return _KIND_OF_TYPE.get(found.name, "other")
    if found.kind == "e":
        return "enum"
    return "text" if found.category == "S" else "other"  # "S" includes citext


def _read_columns(session: Session, types: Mapping[int, _Type]) -> dict[int, list[Column]]:
    """Return the columns of each table in their order, by the OID of the table."""
    columns: dict[int, list[Column]] = {}
    for oid, name, type_oid, modifier, text, element, not_null, generation in session.execute(
        """
        SELECT attrelid, attname::text, atttypid, atttypmod, format_type(atttypid, atttypmod),
            -- The modifier of an array applies to its elements.
            (WITH RECURSIVE below AS (
                SELECT t.typbasetype, t.typtypmod, t.typelem, t.typtype, atttypmod AS modifier
                UNION ALL
                SELECT b.typbasetype, b.typtypmod, b.typelem, b.typtype, below.typtypmod
                FROM below JOIN pg_type b ON b.oid = below.typbasetype WHERE below.typtype = 'd'
            )
            SELECT format_type(typelem, modifier) FROM below WHERE typtype <> 'd' AND typelem <> 0),
            attnotnull, CASE WHEN attgenerated <> '' THEN pg_get_expr(adbin, adrelid) END
        FROM pg_attribute
        JOIN pg_class c ON c.oid = attrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_type t ON t.oid = atttypid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum AND attgenerated <> ''
        WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p') AND nspname !~ '^pg_'
            AND nspname <> 'information_schema'
        ORDER BY attrelid, attnum
        """
    ):
        column_type = _column_type(types, type_oid, modifier, text, element)
        columns.setdefault(oid, []).append(Column(name, column_type, not_null, generation))
    return columns


def _read_tables(
    session: Session, types: Mapping[int, _Type], unreadable: Collection[int]
) -> dict[int, CatalogTable]:
    columns = _read_columns(session, types)
    rows = session.execute(
        """
        WITH RECURSIVE above (oid, ancestor) AS (
            SELECT inhrelid, inhparent FROM pg_inherits
            UNION SELECT above.oid, inhparent FROM above JOIN pg_inherits ON inhrelid = ancestor
        )
        SELECT c.oid, nspname::text, relname::text,
            ARRAY(SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid ORDER BY inhseqno),
            relispartition, relkind = 'p',
            -- pg_get_partition_constraintdef() evaluates the expressions of a partition key.
            CASE WHEN relispartition AND c.oid <> ALL(%s::oid[]) AND NOT EXISTS (
                SELECT FROM above JOIN pg_partitioned_table ON partrelid = ancestor
                WHERE above.oid = c.oid AND partexprs IS NOT NULL
            ) THEN pg_get_partition_constraintdef(c.oid) END
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        ORDER BY nspname, relname
        """,
        [list(unreadable)],
    )
    return {
        oid: CatalogTable(
            oid,
            schema,
            name,
            tuple(columns.get(oid, ())),
            tuple(parents),
            is_partition,
            is_partitioned,
            bounds,
        )
        for oid, schema, name, parents, is_partition, is_partitioned, bounds in rows
    }


def _read_foreign_keys(session: Session) -> list[ForeignKey]:
    rows = session.execute(
        """
        SELECT conname::text, conrelid,
            ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS c(number, place)
                JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
            confrelid,
            ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS c(number, place)
                JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place),
            confmatchtype = 'f', is_temporal,
            ARRAY(SELECT CASE
                    WHEN is_temporal OR oprname = '=' AND nspname = 'pg_catalog'
                    THEN array_fill(NULL::text, ARRAY[4])
                    ELSE ARRAY[nspname, oprname,
                        format_type(oprleft, -1), format_type(oprright, -1)]
                END
                FROM unnest(conpfeqop) WITH ORDINALITY AS o(operator, place)
                JOIN pg_operator ON pg_operator.oid = operator
                JOIN pg_namespace n ON n.oid = oprnamespace ORDER BY place),
            k.oid
        FROM pg_constraint k
        CROSS JOIN LATERAL (
            SELECT coalesce((to_jsonb(k) ->> 'conperiod')::bool, false)
        ) AS period (is_temporal)
        WHERE contype = 'f' AND conparentid = 0
        ORDER BY conrelid, conname
        """
    )
    return [
        ForeignKey(
            name,
            child,
            tuple(keys),
            parent,
            tuple(parent_keys),
            is_full,
            is_temporal,
            tuple(
                None if operator[0] is None else KeyOperator(*operator) for operator in operators
            ),
            oid,
        )
        for name, child, keys, parent, parent_keys, is_full, is_temporal, operators, oid in rows
    ]


def _read_indexes(session: Session) -> list[Index]:
    # By way of JSON, because PostgreSQL 14 does not have the column indnullsnotdistinct.
    rows = session.execute(
        """
        SELECT c.relname::text, indrelid,
            ARRAY(SELECT pg_get_indexdef(indexrelid, n, true)
                FROM generate_series(1, indnkeyatts) AS n ORDER BY n),
            -- The index depends on the columns that its keys and its predicate read.
            ARRAY(SELECT attname::text FROM pg_attribute
                WHERE attrelid = indrelid AND attnum > 0 AND (
                    attnum = ANY((indkey::int2[])[0:indnkeyatts - 1])
                    OR (indexprs IS NOT NULL OR indpred IS NOT NULL)
                    AND EXISTS (SELECT FROM pg_depend
                        WHERE classid = 'pg_class'::regclass AND objid = indexrelid
                            AND refclassid = 'pg_class'::regclass AND refobjid = indrelid
                            AND refobjsubid = attnum))
                ORDER BY attnum),
            indexprs IS NULL, pg_get_expr(indpred, indrelid, true),
            coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false), indisexclusion,
            indisunique, indexrelid
        FROM pg_index i
        JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_class t ON t.oid = indrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE (indisunique OR indisexclusion OR indexprs IS NOT NULL OR indpred IS NOT NULL)
            AND t.relkind IN ('r', 'p') AND nspname !~ '^pg_'
            AND nspname <> 'information_schema'
        ORDER BY indrelid, c.relname
        """
    )
    return [
        Index(name, table, tuple(keys), tuple(columns), *rest)
        for name, table, keys, columns, *rest in rows
    ]


def _read_checks(session: Session) -> list[Check]:
    # A constraint that is not validated is restored as such, and no row has to satisfy it.
    rows = session.execute(
        """
        SELECT conname::text, conrelid,
            ARRAY(SELECT attname::text FROM pg_attribute
                WHERE attrelid = conrelid AND attnum = ANY(conkey) ORDER BY attnum),
            pg_get_expr(conbin, conrelid), oid
        FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND convalidated
        ORDER BY conrelid, conname
        """
    )
    return [Check(name, table, tuple(columns), sql, oid) for name, table, columns, sql, oid in rows]
