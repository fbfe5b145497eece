"""Finds the tables of which a query would run functions of people who are not trusted.

To plan a query, PostgreSQL evaluates constant parts of the expressions of the table's indexes,
statistics and partition keys: get_relation_info() in plancat.c and eval_const_expressions(). The
owner of the table chooses these expressions. COPY of a table, not of a query, is not planned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog.holding import held_tables, tables_of_others
from airflow_provider_pgclone.core.catalog.patterns import display_name
from airflow_provider_pgclone.core.catalog.trust import (
    NOT_TRUSTED,
    UNTRUSTED_HINT,
    trusted_arguments,
)
from airflow_provider_pgclone.core.errors import BusyError, PgCloneError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Session

_BY_PLANNING = f"""
SELECT DISTINCT ON (relid) relid, ns.nspname, c.relname, format('%%I.%%I', n.nspname, proname),
    rolname
FROM (
    SELECT indrelid, d.refclassid, d.refobjid FROM pg_index
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = indexrelid
        WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT stxrelid, d.refclassid, d.refobjid FROM pg_statistic_ext s
        JOIN pg_depend d ON d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
    UNION ALL SELECT tree.relid, d.refclassid, d.refobjid FROM pg_partitioned_table k
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = partrelid,
        pg_partition_tree(partrelid) AS tree
        WHERE partexprs IS NOT NULL
) AS used (relid, classid, objid)
JOIN pg_class c ON c.oid = relid
JOIN pg_namespace ns ON ns.oid = c.relnamespace
LEFT JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
JOIN pg_proc p ON p.oid = coalesce(o.oprcode, objid)
    AND classid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
JOIN pg_namespace n ON n.oid = pronamespace
JOIN pg_roles r ON r.oid = proowner
WHERE {NOT_TRUSTED}
"""  # noqa: S608


@dataclass(frozen=True)
class Unreadable:
    """Why a table must not be queried.

    :param error: the class of the error if it would have to be queried.
    """

    message: str
    hint: str
    error: type[PgCloneError] = UnsupportedError


def unreadable_tables(session: Session) -> dict[int, Unreadable]:
    """Return the tables that must not be queried in the current transaction, by their OIDs.

    These are the tables of which a query would call a function whose owner is not trusted, and
    those whose owner is not trusted and could add such a function, because the session has not
    locked them: see :func:`hold_tables`. Trusted are superusers, the user of the session, and the
    roles in ``trusted_owners`` of the database.
    """
    held = held_tables(session)
    found = {
        table.oid: _of_owner(display_name(table.schema, table.name), table.owner, table.may_hold)
        for table in tables_of_others(session)
        if table.oid not in held
    }
    called = session.execute(_BY_PLANNING, trusted_arguments(session))
    for oid, schema, name, function, owner in called:
        found[oid] = Unreadable(
            f"a query of {display_name(schema, name)} calls the function {function}, which belongs "
            f"to {owner}, with the rights of this session",
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


def _of_owner(table: str, owner: str, may_hold: bool) -> Unreadable:
    danger = f"its owner {owner} could add a function that a query of it runs with our rights"
    if may_hold:
        return Unreadable(
            f"the table {table} could not be locked: {danger}",
            "Try again when no other dump, VACUUM or ALTER TABLE works on it, or name "
            f"{owner} in trusted_owners.",
            BusyError,
        )
    return Unreadable(
        f"the table {table} cannot be read by a query: {danger}",
        "Use a role that may lock the table against that, on a primary server (docs/reference/"
        f"server.md says which), or name {owner} in trusted_owners.",
    )
