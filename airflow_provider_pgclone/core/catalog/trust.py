"""Whose functions a session may run with its rights."""

from collections.abc import Iterable
from typing import Any

from airflow_provider_pgclone.core.catalog.tables import Catalog, ForeignKey
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Session

# A condition on a row of pg_roles. SET ROLE does not change session_user, and does not protect: a
# function may undo it.
NOT_TRUSTED = "NOT (rolsuper OR rolname = session_user OR rolname = ANY(%(trusted)s))"
# The owner of a row n of pg_namespace. By this role, the schema public belongs to the owner of the
# database: "Predefined Roles".
SCHEMA_OWNER = (
    "(SELECT CASE n.nspowner WHEN 'pg_database_owner'::regrole THEN datdba ELSE n.nspowner END "
    "FROM pg_database WHERE datname = current_database())"
)
# Whether somebody could put another schema in the place of a row n of pg_namespace, and with it
# other types and functions of the same names; schemas that the session holds are given.
EXCHANGEABLE = (
    "(n.nspname <> 'pg_catalog' AND n.oid <> ALL(%(schemas)s::oid[]) AND EXISTS ("
    f"SELECT FROM pg_roles WHERE pg_roles.oid = {SCHEMA_OWNER} AND {NOT_TRUSTED}))"
)
# A function that computes the key of a partitioned table, which it is given by its OID.
RUNS_KEYS = "'pg_catalog.satisfies_hash_partition'::regproc::oid"
# The step of a recursive query "types" to what its types are made of; the other columns stay.
TYPES_BELOW = """
    SELECT types.relid, below FROM types JOIN pg_type t ON t.oid = types.oid
    CROSS JOIN LATERAL (
        SELECT typbasetype UNION ALL SELECT typelem
        UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0
        UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid
        UNION ALL SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid
    ) AS of (below)
    WHERE below <> 0
"""
# The operators of foreign keys, and the types of their operands, are named by their schemas.
_OPERATORS = f"""
SELECT k.oid, o.oprnamespace::regnamespace || '.' || oprname, rolname
FROM pg_constraint k
CROSS JOIN LATERAL unnest(conpfeqop) AS by (operator)
JOIN pg_operator o ON o.oid = operator
JOIN pg_proc p ON p.oid = oprcode
JOIN pg_type t ON t.oid IN (oprleft, oprright)
JOIN pg_namespace n ON n.oid IN (oprnamespace, typnamespace)
CROSS JOIN LATERAL (
    -- The planner may put the negator in the place of an operator, which its owner chooses.
    VALUES (oprowner), (proowner), (typowner), (CASE WHEN {EXCHANGEABLE} THEN {SCHEMA_OWNER} END)
) AS of (owner)
JOIN pg_roles r ON r.oid = owner
WHERE k.oid = ANY(%(keys)s::oid[]) AND {NOT_TRUSTED}
ORDER BY conname, rolname
"""  # noqa: S608
UNTRUSTED_HINT = (
    "Give it to a superuser, dump as its owner, declare the columns safe, exclude the "
    "table, or name the owner in trusted_owners."
)


def trusted_arguments(session: Session, **more: Any) -> dict[str, Any]:
    """Return the arguments of a query that contains :data:`NOT_TRUSTED`."""
    return {"trusted": list(session.database.trusted_owners), **more}


def check_trusted_owners(session: Session) -> None:
    """Refuse names in ``trusted_owners`` that are no roles.

    :raises InvalidInputError: naming the first of them.
    """
    names = session.database.trusted_owners
    if not names:
        return
    found = session.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(names)])
    roles = {name for (name,) in found}
    for name in names:
        if name not in roles:
            raise InvalidInputError(
                f"the server has no role {name!r}, which trusted_owners names",
                hint="Correct it, or leave it out.",
            )


def check_operators(
    session: Session, catalog: Catalog, keys: Iterable[ForeignKey], schemas: Iterable[int]
) -> None:
    """Refuse to compare the columns of foreign keys by functions of others.

    :param schemas: the OIDs of schemas that the transaction has locked.
    :raises UnsupportedError: naming the key, the operator and the owner.
    """
    compared = {key.oid: key for key in keys if key.calls_functions}
    if not compared:
        return
    arguments = trusted_arguments(session, keys=list(compared), schemas=list(schemas))
    found = session.execute(_OPERATORS, arguments).fetchone()
    if found is not None:
        oid, operator, owner = found
        key = compared[oid]
        raise UnsupportedError(
            f"the foreign key {key.name} of {catalog.tables[key.child].display_name} compares by "
            f"the operator {operator}, and {owner}, who owns it, its function, a type of it or a "
            "schema of these, could have a function run with the rights of this dump",
            hint=f"Give them to a superuser, or name {owner} in trusted_owners.",
        )
