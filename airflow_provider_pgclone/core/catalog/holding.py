"""Locks tables whose owners are not trusted, so that they cannot plant functions in them.

CREATE INDEX and CREATE STATISTICS add expressions that PostgreSQL evaluates to plan a query of the
table, with the rights of whoever queries it. Both wait for SHARE UPDATE EXCLUSIVE, the weakest lock
that holds up the second one. Readers and writers do not wait for it. See
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog.trust import NOT_TRUSTED, trusted_arguments
from airflow_provider_pgclone.core.postgres import Session

log = logging.getLogger(__name__)

HOLD_SECONDS = 30

# LockTableAclCheck() in lockcmds.c.
_RIGHTS_TO_HOLD = (
    "'UPDATE, DELETE, TRUNCATE' || CASE WHEN current_setting('server_version_num')::int >= 170000 "
    "THEN ', MAINTAIN' ELSE '' END"
)
# CREATE INDEX on a partitioned table creates indexes on its partitions, whoever owns these.
_OF_OTHERS = f"""
SELECT c.oid, nspname, relname, stranger,
    coalesce(pg_relation_size(c.oid), 0) + coalesce(pg_relation_size(reltoastrelid), 0),
    NOT pg_is_in_recovery() AND coalesce(has_table_privilege(c.oid, {_RIGHTS_TO_HOLD}), false)
FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
CROSS JOIN LATERAL (
    SELECT rolname FROM (
        SELECT c.relowner UNION ALL
        SELECT above.relowner FROM pg_partition_ancestors(c.oid) AS ancestor
        JOIN pg_class above ON above.oid = ancestor.relid
        WHERE c.relispartition
    ) AS owners (oid)
    JOIN pg_roles USING (oid)
    WHERE {NOT_TRUSTED}
    LIMIT 1
) AS strangers (stranger)
WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY c.oid
"""  # noqa: S608
_HOLD = sql.SQL("SHARE UPDATE EXCLUSIVE MODE")
_HELD = """
SELECT relation::oid FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
    AND mode = 'ShareUpdateExclusiveLock'
"""
_CASTS_HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE pid = pg_backend_pid() AND relation = 'pg_catalog.pg_cast'::regclass AND granted
        AND mode = 'ShareLock'
)
"""
_WANTS_CASTS = f"""
SELECT NOT pg_is_in_recovery() AND has_table_privilege('pg_catalog.pg_cast', {_RIGHTS_TO_HOLD})
    AND EXISTS (
        SELECT FROM pg_attribute
        JOIN pg_class c ON c.oid = attrelid
        JOIN pg_type t ON t.oid = atttypid
        JOIN pg_roles r ON r.oid = typowner
        WHERE relkind = 'r' AND attnum > 0 AND {NOT_TRUSTED}
    )
"""  # noqa: S608


@dataclass(frozen=True)
class TableOfOthers:
    """A table whose owner, or that of a table of which it is a partition, is not trusted.

    :param owner: the owner that is not trusted.
    :param size_bytes: the size of the table with its TOAST data.
    :param may_hold: whether the user of the session may lock it.
    """

    oid: int
    schema: str
    name: str
    owner: str
    size_bytes: int
    may_hold: bool


def tables_of_others(session: Session) -> list[TableOfOthers]:
    """Return the tables whose owners are not trusted."""
    rows = session.execute(_OF_OTHERS, trusted_arguments(session))
    return [TableOfOthers(*row) for row in rows]


def begin_holding(session: Session, tables: Iterable[TableOfOthers], *, casts: bool) -> None:
    """Begin the transaction of a snapshot, and lock tables in it that can be locked.

    The locks come before the snapshot, since LOCK takes none. So all that was planted before is
    seen in the snapshot, and nothing is planted later.

    :param casts: whether to keep others from creating casts too. The owner of a type may create one
        that PostgreSQL then uses for values of the type.
    """
    wants_casts = casts and session.execute(_WANTS_CASTS, trusted_arguments(session)).fetchone()
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    names = [sql.Identifier(table.schema, table.name) for table in tables if table.may_hold]
    if wants_casts == (True,):
        _lock(session, sql.SQL("SHARE MODE"), [sql.Identifier("pg_catalog", "pg_cast")])
    if names and not _lock(session, _HOLD, names):
        for name in names:
            _lock(session, _HOLD + sql.SQL(" NOWAIT"), [name])


def held_tables(session: Session) -> frozenset[int]:
    """Return the OIDs of the tables that the open transaction holds."""
    return frozenset(oid for (oid,) in session.execute(_HELD))


def holds_casts(session: Session) -> bool:
    """Tell whether the open transaction keeps others from creating casts."""
    return session.fetch_row(_CASTS_HELD) == (True,)


def _lock(session: Session, mode: sql.Composable, names: Sequence[sql.Identifier]) -> bool:
    """Lock tables, and tell whether all of them could be locked in time."""
    statement = sql.SQL("LOCK TABLE ONLY {} IN {}").format(sql.SQL(", ONLY ").join(names), mode)
    try:
        with session.transaction():
            # It limits the wait for all of them together, which lock_timeout does not.
            session.execute(f"SET LOCAL statement_timeout = '{HOLD_SECONDS}s'".encode())
            session.execute(statement)
            session.execute("SET LOCAL statement_timeout = 0")
    except (
        psycopg.errors.QueryCanceled,
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.UndefinedTable,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.WrongObjectType,
    ) as error:
        session.cancellation.check()
        log.info(
            "could not lock against new indexes and statistics: %s", error.diag.message_primary
        )
        return False
    return True
