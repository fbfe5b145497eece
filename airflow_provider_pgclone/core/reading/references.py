"""Refuses dumps that no restore could complete: foreign keys to rows that are left out.

pg_restore makes foreign keys after it has loaded the rows, and PostgreSQL then looks up each
reference. A key that is NOT VALID, or not enforced, is not looked up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.catalog import (
    Table,
    Unreadable,
    check_readable_tables,
    display_name,
)
from airflow_provider_pgclone.core.errors import BusyError, InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres import (
    MASKING_TRANSACTION,
    NO_VIEWS,
    Session,
    qualified,
    quote_ascii,
    short_lock_timeout,
)

# Names that no table is likely to have.
_CHILD, _PARENT = "pgclone_child_row", "pgclone_parent_row"
# The columns are those of the key's own tables, and partitions have the same names. A comparison is
# known if all operators are PostgreSQL's own, so that a query does not call functions of others.
_FOREIGN_KEYS = """
SELECT k.oid, convert_to(conname, getdatabaseencoding()), convalidated,
    ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS c(number, place)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
    ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS c(number, place)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place),
    ARRAY(SELECT oprname::text FROM unnest(conpfeqop) WITH ORDINALITY AS o(operator, place)
        JOIN pg_operator ON oid = operator AND oprnamespace = 'pg_catalog'::regnamespace
        WHERE NOT coalesce((to_jsonb(k) ->> 'conperiod')::bool, false) ORDER BY place)
FROM pg_constraint k
WHERE k.oid = ANY(%s)
ORDER BY conname, k.oid
"""
# The root comes first. The tables of extensions are made, and may be filled, by their extension.
_SIDES = """
SELECT k.oid, is_child, t.oid, relkind = 'p',
    convert_to(nspname, getdatabaseencoding()), convert_to(relname, getdatabaseencoding()),
    EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = t.oid AND deptype = 'e')
FROM pg_constraint k
CROSS JOIN LATERAL (VALUES (conrelid, true), (confrelid, false)) AS side (root, is_child)
-- pg_partition_tree() would lock the partitions: wait for an ALTER TABLE that waits for pg_dump.
CROSS JOIN LATERAL (
    WITH RECURSIVE below (oid) AS (
        SELECT root UNION SELECT inhrelid FROM below JOIN pg_inherits ON inhparent = below.oid
        JOIN pg_class part ON part.oid = inhrelid AND part.relispartition
    ) SELECT oid FROM below
) AS tree (table_oid)
JOIN pg_class t ON t.oid = table_oid
JOIN pg_namespace n ON n.oid = relnamespace
WHERE k.oid = ANY(%s)
ORDER BY k.oid, is_child, t.oid <> root, nspname, relname
"""


@dataclass(frozen=True)
class _Side:
    """A table of a foreign key, or a partition of it."""

    oid: int
    name: TableName
    is_partitioned: bool
    is_of_extension: bool

    @property
    def display_name(self) -> str:
        return display_name(*self.name)


@dataclass(frozen=True)
class _Key:
    """A foreign key.

    :param operators: those that compare the columns; fewer than columns if one is not PostgreSQL's.
    :param children: the table that has the key, then its partitions.
    :param parents: the table that it refers to, then its partitions.
    """

    name: str
    is_valid: bool
    columns: Sequence[str]
    parent_columns: Sequence[str]
    operators: Sequence[str]
    children: Sequence[_Side]
    parents: Sequence[_Side]

    @property
    def display_name(self) -> str:
        return f"the foreign key {self.name!r} of {self.children[0].display_name}"


def check_references(
    session: Session, toc: Toc, ranged: Sequence[Table], unreadable: Mapping[int, Unreadable]
) -> None:
    """Refuse a dump in which rows refer to rows, or keys to tables, that it leaves out.

    :param session: a session in the snapshot of the dump.
    :param toc: the table of contents that pg_dump wrote.
    :param ranged: the tables whose rows the dump holds although pg_dump does not write them.
    :param unreadable: the tables that must not be queried.
    :raises InvalidInputError: naming the foreign key and both tables.
    :raises UnsupportedError: when the rows of such a table must not be queried.
    """
    tables = {entry.table for entry in toc.entries if entry.description == "TABLE"}
    with_rows = {entry.table for entry in toc.entries if entry.description == "TABLE DATA"}
    read = {(table.schema, table.name): table for table in ranged}
    with_rows |= read.keys()
    for key in _read_keys(session, toc):
        parent = key.parents[0]
        if parent.is_of_extension:
            continue
        if parent.name not in tables and key.children[0].name in tables:
            raise InvalidInputError(
                f"{key.display_name} refers to {parent.display_name}, which the dump leaves out "
                "as a whole, so no restore could make the key",
                hint=f"Leave out {key.children[0].display_name} as well, or dump the schema of "
                f"{parent.display_name} too and leave out its rows by exclude.",
            )
        rows_of = [side for side in key.parents if not side.is_partitioned]
        left_out = [side for side in rows_of if side.name not in with_rows]
        children = [side for side in key.children if side.name in with_rows]
        if not key.is_valid or not left_out:
            continue
        # With a part of the rows left out, the others may be what is referred to.
        compared = left_out if len(left_out) < len(rows_of) else []
        for child in children:
            check_readable_tables(unreadable, [child.oid, *(side.oid for side in compared)])
            if _refers(session, key, child, read.get(child.name), compared):
                raise InvalidInputError(
                    f"{key.display_name} refers to rows of {left_out[0].display_name}, which the "
                    "dump leaves out, so no restore could make the key",
                    hint=f"Leave out the rows of {child.display_name} as well, by exclude or by a "
                    "condition in rows.",
                )


def _read_keys(session: Session, toc: Toc) -> list[_Key]:
    """Return the foreign keys that the dump has."""
    entries = (entry for entry in toc.entries if entry.description == "FK CONSTRAINT")
    oids = [int(entry.object_oid) for entry in entries if entry.object_oid is not None]
    sides: dict[tuple[int, bool], list[_Side]] = {}
    for oid, is_child, table, is_partitioned, schema, name, is_of_extension in session.execute(
        _SIDES, [oids]
    ):
        names = schema.decode(errors="surrogateescape"), name.decode(errors="surrogateescape")
        sides.setdefault((oid, is_child), []).append(
            _Side(table, names, is_partitioned, is_of_extension)
        )
    return [
        _Key(
            name.decode(errors="surrogateescape"),
            is_valid,
            own,
            others,
            operators,
            sides[oid, True],
            sides[oid, False],
        )
        for oid, name, is_valid, own, others, operators in session.execute(_FOREIGN_KEYS, [oids])
    ]


def _refers(
    session: Session, key: _Key, child: _Side, table: Table | None, parents: Collection[_Side]
) -> bool:
    """Tell whether a row of a table that the dump reads refers to rows that it leaves out.

    :param table: how its rows are read; ``None`` reads them all, unchanged.
    :param parents: the tables whose rows it must not refer to; empty for any reference.
    """
    masked = table.masked if table is not None else None
    alias = masked.alias if masked is not None else _CHILD
    values = dict(zip(table.columns, masked.values, strict=True)) if table and masked else {}
    # A key of several columns refers to nothing if one of them is null.
    conditions = [
        f"({values.get(column, f'{alias}.{quote_ascii(column)}')}) IS NOT NULL"
        for column in key.columns
    ]
    if masked is not None and masked.condition is not None:
        conditions.append(masked.condition)
    if len(key.operators) == len(key.columns) and parents:
        equal = " AND ".join(
            f"{_PARENT}.{quote_ascii(there)} OPERATOR(pg_catalog.{operator}) "
            f"{alias}.{quote_ascii(here)}"
            for there, operator, here in zip(
                key.parent_columns, key.operators, key.columns, strict=True
            )
        )
        found = (
            f"EXISTS (SELECT FROM ONLY {qualified(*side.name)} AS {_PARENT} WHERE {equal})"
            for side in parents
        )
        conditions.append(f"({' OR '.join(found)})")
    rows = f"SELECT FROM ONLY {qualified(*child.name)} AS {alias} WHERE {' AND '.join(conditions)}"
    try:
        with session.transaction(rolled_back=True):
            # pg_dump waits for us meanwhile: do not wait long for what waits for pg_dump.
            session.execute(f"{MASKING_TRANSACTION}; {NO_VIEWS}; {short_lock_timeout()}")
            locked = [child.name, *(side.name for side in parents)]
            names = ", ONLY ".join(qualified(*name) for name in locked)
            session.execute(f"LOCK TABLE ONLY {names} IN ACCESS SHARE MODE".encode())
            query = f"SELECT EXISTS ({rows})".encode()
            (refers,) = session.execute(query, prepare=True).fetchone() or (True,)
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError(
            f"another session waits to alter {child.display_name} or a table that it refers to",
            hint="Try again.",
        ) from error
    except (psycopg.DataError, psycopg.ProgrammingError, UnicodeEncodeError) as error:
        reason = type(error).__name__
    else:
        return bool(refers)
    # Not in the except block: the error may contain a row.
    raise UnsupportedError(
        f"{key.display_name} refers to rows that the dump leaves out, and whether rows of "
        f"{child.display_name} do cannot be told: {reason}",
        hint=f"Leave out the rows of {child.display_name} as well, by exclude.",
    )
