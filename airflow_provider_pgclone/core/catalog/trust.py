"""Finds untrusted functions that PostgreSQL runs when it plans a query of a table."""

from collections.abc import Iterable, Mapping

from airflow_provider_pgclone.core.catalog.tables import Catalog
from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.postgres import Session

# To plan a query, PostgreSQL evaluates constant parts of the expressions of the table's indexes,
# statistics and partition keys: get_relation_info() in plancat.c and eval_const_expressions().
# COPY of a table, not of a query, is not planned.
_BY_PLANNING = """
SELECT DISTINCT ON (relid) relid, format('%I.%I', nspname, proname), rolname
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
LEFT JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
JOIN pg_proc p ON p.oid = coalesce(o.oprcode, objid)
    AND classid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
JOIN pg_namespace n ON n.oid = pronamespace
JOIN pg_roles r ON r.oid = proowner
WHERE NOT rolsuper AND rolname <> current_user
"""
UNTRUSTED_HINT = (
    "Give the function to a superuser, dump as its owner, declare the columns safe, or exclude the "
    "table."
)


def tables_with_untrusted_functions(session: Session) -> dict[int, str]:
    """Return the tables that must not be queried, because planning would run untrusted functions.

    A function is untrusted if its owner is neither a superuser nor the user of the session.

    :return: by the OID of the table, the function and its owner for messages.
    """
    return {
        oid: f"{function}, which belongs to {owner}"
        for oid, function, owner in session.execute(_BY_PLANNING)
    }


def check_readable_tables(
    untrusted: Mapping[int, str], catalog: Catalog, oids: Iterable[int]
) -> None:
    """Refuse to read a table if planning a query of it would call an untrusted function.

    :param untrusted: the result of :func:`tables_with_untrusted_functions`.
    :raises UnsupportedError: naming the table, the function and its owner.
    """
    for oid in oids:
        if oid in untrusted:
            name = catalog.tables[oid].display_name
            raise UnsupportedError(
                f"a query of {name} calls the function {untrusted[oid]}, with the rights of this "
                "dump",
                hint=UNTRUSTED_HINT,
            )
