"""Whose functions a session may run with its rights."""

from typing import Any

from airflow_provider_pgclone.core.errors import InvalidInputError
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
