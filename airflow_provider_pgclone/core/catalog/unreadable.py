"""Finds the tables of which a query would run functions of people who are not trusted.

To plan a query, PostgreSQL evaluates constant parts of the expressions of the table's indexes,
statistics and partition keys: get_relation_info() in plancat.c and eval_const_expressions(). The
owner of the table chooses these expressions. COPY of a table, not of a query, is not planned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog.holding import Held, TableOfOthers, tables_of_others
from airflow_provider_pgclone.core.catalog.patterns import display_name
from airflow_provider_pgclone.core.catalog.trust import (
    NOT_TRUSTED,
    RUNS_KEYS,
    TYPES_BELOW,
    UNTRUSTED_HINT,
    trusted_arguments,
)
from airflow_provider_pgclone.core.errors import BusyError, PgCloneError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Session

# A domain runs its constraints, even to plan a coercion: load_domaintype_info() in typcache.c. Its
# owner may add one at any time.
_BY_PLANNING = f"""
WITH RECURSIVE below (root, oid) AS (
    SELECT partrelid, partrelid FROM pg_partitioned_table WHERE partexprs IS NOT NULL
    UNION SELECT root, inhrelid FROM below JOIN pg_inherits ON inhparent = below.oid
),
used (relid, classid, objid) AS (
    SELECT indrelid, d.refclassid, d.refobjid FROM pg_index
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = indexrelid
        WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT stxrelid, d.refclassid, d.refobjid FROM pg_statistic_ext s
        JOIN pg_depend d ON d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
    UNION ALL SELECT below.oid, d.refclassid, d.refobjid FROM below
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = root
),
types (relid, oid) AS (
    SELECT relid, objid FROM used WHERE classid = 'pg_type'::regclass
    UNION
    {TYPES_BELOW}
),
expressions (relid, tree) AS (
    SELECT indrelid, concat(indexprs::text, indpred::text) FROM pg_index
        WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT stxrelid, stxexprs::text FROM pg_statistic_ext WHERE stxexprs IS NOT NULL
    UNION ALL SELECT below.oid, partexprs::text FROM below JOIN pg_partitioned_table
        ON partrelid = root
),
found (relid, what, owner) AS (
    -- pg_depend does not list it, nor the table whose key it computes.
    SELECT relid, 'computes the key of another table by satisfies_hash_partition', relowner
        FROM expressions JOIN pg_class ON pg_class.oid = relid
        WHERE tree ~ (':funcid ' || {RUNS_KEYS} || ' ')
    UNION ALL
    SELECT relid, format('calls the function %%I.%%I', nspname, proname), proowner FROM used
        LEFT JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
        JOIN pg_proc p ON p.oid = coalesce(o.oprcode, objid)
            AND classid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
        JOIN pg_namespace n ON n.oid = pronamespace
    UNION ALL SELECT relid, format('uses the operator %%I.%%s', nspname, oprname), oprowner
        FROM used JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
        JOIN pg_namespace n ON n.oid = oprnamespace
    UNION ALL SELECT relid, format('uses the domain %%I.%%I', nspname, typname), typowner
        FROM types JOIN pg_type t ON t.oid = types.oid AND typtype = 'd'
        JOIN pg_namespace n ON n.oid = typnamespace
)
SELECT DISTINCT ON (relid) relid, nspname, relname, what, rolname
FROM found
JOIN pg_class c ON c.oid = relid
JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_roles r ON r.oid = owner
WHERE {NOT_TRUSTED}
ORDER BY relid, what
"""  # noqa: S608


@dataclass(frozen=True)
class Unreadable:
    """Why a table must not be queried.

    :param error: the class of the error if it would have to be queried.
    """

    message: str
    hint: str
    error: type[PgCloneError] = UnsupportedError


def unreadable_tables(session: Session, held: Held) -> dict[int, Unreadable]:
    """Return the tables that must not be queried in the current transaction, by their OIDs.

    These are the tables of which a query would run something whose owner is not trusted, and those
    in which somebody could plant such a thing, because the session has not locked them. Trusted are
    superusers, the user of the session, and the roles in ``trusted_owners`` of the database.

    :param held: what :func:`begin_holding` has locked.
    """
    found = {
        table.oid: _of_owner(table) for table in tables_of_others(session) if not held.holds(table)
    }
    rows = session.execute(_BY_PLANNING, trusted_arguments(session))
    for oid, schema, name, what, owner in rows:
        found[oid] = Unreadable(
            f"a query of {display_name(schema, name)} {what}, which belongs to {owner}, with the "
            "rights of this session",
            UNTRUSTED_HINT,
        )
    return found


def check_readable_tables(unreadable: Mapping[int, Unreadable], oids: Iterable[int]) -> None:
    """Refuse to read a table that must not be queried.

    :param unreadable: the result of :func:`unreadable_tables`.
    :raises UnsupportedError: naming the table and the function, or the owner.
    :raises BusyError: when another session kept the table from being locked.
    """
    for oid in oids:
        if oid in unreadable:
            raise unreadable[oid].error(unreadable[oid].message, hint=unreadable[oid].hint)


def _of_owner(table: TableOfOthers) -> Unreadable:
    name, owner = display_name(table.schema, table.name), table.owner
    danger = f"{owner} could have a query of it run a function of theirs with our rights"
    if table.may_hold:
        return Unreadable(
            f"the table {name} could not be locked: {danger}",
            "Try again when no other dump, VACUUM or ALTER TABLE works on it, or name "
            f"{owner} in trusted_owners.",
            BusyError,
        )
    return Unreadable(
        f"the table {name} cannot be read by a query: {danger}",
        f"Name {owner} in trusted_owners, or use a role that may lock the table and its schema "
        "against that, on a primary server (docs/reference/server.md).",
    )
