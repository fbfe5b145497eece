"""Locks tables that people who are not trusted could plant functions in, or exchange for others.

CREATE INDEX and CREATE STATISTICS add expressions that PostgreSQL evaluates to plan a query of the
table, with the rights of whoever queries it. Both wait for SHARE UPDATE EXCLUSIVE, the weakest lock
that holds up the second one. Readers and writers do not wait for it. See
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES

Queries name their tables, and the owner of a schema may rename it, and give its name to another. No
lock of a table holds that up, but one of the row of the schema does.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog.selection import Selection
from airflow_provider_pgclone.core.catalog.trust import (
    NOT_TRUSTED,
    SCHEMA_OWNER,
    trusted_arguments,
)
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

HOLD_SECONDS = 30
# Where nothing is gained but time: VACUUM, or another dump, may hold one of many tables for hours.
# An autovacuum gives way after deadlock_timeout: ProcSleep() in proc.c.
_GIVES_WAY = "SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'"

# LockTableAclCheck() in lockcmds.c.
_RIGHTS_TO_HOLD = (
    "'UPDATE, DELETE, TRUNCATE' || CASE WHEN current_setting('server_version_num')::int >= 170000 "
    "THEN ', MAINTAIN' ELSE '' END"
)
# CREATE INDEX on a partitioned table creates indexes on its partitions, whoever owns these. A
# partition that is being detached still counts, which pg_partition_ancestors() leaves out.
_OF_OTHERS = f"""
WITH RECURSIVE above (oid, ancestor) AS (
    SELECT inhrelid, inhparent FROM pg_inherits
    UNION SELECT above.oid, inhparent FROM above JOIN pg_inherits ON inhrelid = ancestor
),
strangers (oid, name) AS (SELECT oid, rolname FROM pg_roles WHERE {NOT_TRUSTED}),
strange_above (oid, name) AS (
    SELECT above.oid, min(name) FROM above
    JOIN pg_class parent ON parent.oid = ancestor
    JOIN strangers ON strangers.oid = parent.relowner
    GROUP BY above.oid
)
SELECT c.oid, nspname, relname, n.oid,
    coalesce(own.name, strange_above.name),
    of_schema.name,
    NOT pg_is_in_recovery() AND has_schema_privilege(n.oid, 'USAGE')
        AND coalesce(has_table_privilege(c.oid, {_RIGHTS_TO_HOLD}), false),
    NOT pg_is_in_recovery() AND has_table_privilege('pg_catalog.pg_namespace', 'UPDATE')
FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
LEFT JOIN strangers own ON own.oid = relowner
LEFT JOIN strange_above ON strange_above.oid = c.oid
LEFT JOIN strangers of_schema ON of_schema.oid = {SCHEMA_OWNER}
WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY c.oid
"""  # noqa: S608
_SCHEMAS_OF_OTHERS = f"""
SELECT n.oid FROM pg_namespace n
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT pg_is_in_recovery()
    AND has_table_privilege('pg_catalog.pg_namespace', 'UPDATE')
    AND EXISTS (SELECT FROM pg_roles WHERE pg_roles.oid = {SCHEMA_OWNER} AND {NOT_TRUSTED})
"""  # noqa: S608
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
_HOLD = sql.SQL("SHARE UPDATE EXCLUSIVE MODE")
_SUPERUSER = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = session_user AND rolsuper)"


@dataclass(frozen=True)
class TableOfOthers:
    """A table of which somebody who is not trusted could have a query run a function of theirs.

    :param table_owner: the owner of the table, or of one that it inherits from or is a partition
        of, who is not trusted; ``None`` if all are.
    :param schema_owner: the owner of the schema, if not trusted.
    :param may_lock: whether the user of the session may lock the table against that.
    :param may_hold_schema: whether the user may lock the schema.
    """

    oid: int
    schema: str
    name: str
    schema_oid: int
    table_owner: str | None
    schema_owner: str | None
    may_lock: bool
    may_hold_schema: bool

    @property
    def owner(self) -> str:
        """The owner who is not trusted."""
        return self.table_owner or self.schema_owner or ""

    @property
    def may_hold(self) -> bool:
        """Whether the user may hold all that it takes."""
        return self.may_lock and (self.schema_owner is None or self.may_hold_schema)


@dataclass(frozen=True)
class Held:
    """What the open transaction has locked.

    :param tables: the OIDs of tables.
    :param schemas: the OIDs of schemas.
    """

    tables: frozenset[int] = frozenset()
    schemas: frozenset[int] = frozenset()

    def holds(self, table: TableOfOthers) -> bool:
        """Tell whether nobody can plant a function in a table, or exchange it."""
        return table.oid in self.tables and (
            table.schema_owner is None or table.schema_oid in self.schemas
        )


def tables_of_others(session: Session) -> list[TableOfOthers]:
    """Return the tables in which people who are not trusted could plant functions."""
    rows = session.execute(_OF_OTHERS, trusted_arguments(session))
    return [table for row in rows if (table := TableOfOthers(*row)).owner]


def selected_of_others(
    tables: Iterable[TableOfOthers], selection: Selection, excluded: Iterable[int]
) -> list[TableOfOthers]:
    """Return those of the tables whose rows a selection reads.

    :param excluded: the OIDs of the tables that the selection excludes.
    """
    left_out = frozenset(excluded)
    return [
        table
        for table in tables
        if table.oid not in left_out and selection.includes_schema(table.schema)
    ]


def begin_holding(
    session: Session,
    tables: Collection[TableOfOthers],
    *,
    casts: bool,
    for_speed: bool = False,
    warns: bool = True,
) -> Held:
    """Begin the transaction of a snapshot, and lock in it what can be locked.

    The locks of tables come before the snapshot, since LOCK takes none. So all that was planted
    before is seen in the snapshot, and nothing is planted later.

    :param casts: whether to keep others from creating casts too. The owner of a type may create one
        that PostgreSQL then uses for values of the type.
    :param for_speed: whether the tables could be read without the locks, only slower.
    :param warns: whether to warn of a superuser.
    """
    milliseconds = HOLD_SECONDS * 1000
    if for_speed:
        (gives_way_after,) = session.fetch_row(_GIVES_WAY)
        milliseconds = min(milliseconds, gives_way_after + 1000)
    if warns:
        _warn_of_superuser(session, tables)
    wants_casts = casts and _wants_casts(session)
    wanted = [table for table in tables if table.may_hold]
    # Also those without tables: masks name types in them, and functions name others.
    schemas = _schemas_of_others(session) if casts or wanted else []
    # To lock rows takes a transaction that may write; a standby has none.
    mode = "READ WRITE" if schemas else "READ ONLY"
    session.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ {mode}".encode())
    # It limits the wait for all locks of a statement together, which lock_timeout does not.
    session.execute(f"SET LOCAL statement_timeout = {milliseconds}".encode())
    if wants_casts:
        _lock(session, sql.SQL("SHARE MODE"), [sql.Identifier("pg_catalog", "pg_cast")])
    names = [sql.Identifier(table.schema, table.name) for table in wanted]
    if names and not _lock(session, _HOLD, names):
        _lock_those_that_are_free(session, names)
    held_schemas = _hold_schemas(session, schemas)
    session.execute("SET LOCAL statement_timeout = 0")
    if schemas:
        session.execute("SET TRANSACTION READ ONLY")
    return Held(frozenset(oid for (oid,) in session.execute(_HELD)), held_schemas)


def holds_casts(session: Session) -> bool:
    """Tell whether the open transaction keeps others from creating casts."""
    return session.fetch_row(_CASTS_HELD) == (True,)


def _schemas_of_others(session: Session) -> list[int]:
    rows = session.execute(_SCHEMAS_OF_OTHERS, trusted_arguments(session))
    return [oid for (oid,) in rows]


def _wants_casts(session: Session) -> bool:
    return session.execute(_WANTS_CASTS, trusted_arguments(session)).fetchone() == (True,)


def _warn_of_superuser(session: Session, tables: Iterable[TableOfOthers]) -> None:
    owners = sorted({table.owner for table in tables})
    if owners and session.fetch_row(_SUPERUSER) == (True,):
        log.warning(
            "a superuser reads database %r, in which %s own tables or schemas: a role with fewer "
            "rights can do that, and is safer (docs/reference/server.md)",
            session.database.name,
            ", ".join(owners[:5]),
        )


def _lock(session: Session, mode: sql.Composable, names: Sequence[sql.Identifier]) -> bool:
    """Lock tables, and tell whether all of them could be locked in time."""
    statement = sql.SQL("LOCK TABLE ONLY {} IN {}").format(sql.SQL(", ONLY ").join(names), mode)
    return _in_time(session, statement) is not None


def _lock_those_that_are_free(session: Session, names: Sequence[sql.Identifier]) -> None:
    """Lock tables that nobody else has locked; by few statements, if these are nearly all."""
    middle = len(names) // 2
    for some in (names[:middle], names[middle:]):
        is_locked = not some or _lock(session, _HOLD + sql.SQL(" NOWAIT"), some)
        if not is_locked and len(some) > 1:
            _lock_those_that_are_free(session, some)


def _hold_schemas(session: Session, schemas: Sequence[int]) -> frozenset[int]:
    """Lock the rows of schemas, so that nobody renames or drops them, and return their OIDs."""
    if not schemas:
        return frozenset()
    oids = sql.SQL(", ").join(map(sql.Literal, schemas))
    statement = sql.SQL("SELECT oid FROM pg_namespace WHERE oid IN ({}) FOR SHARE").format(oids)
    return frozenset(oid for (oid,) in _in_time(session, statement) or ())


def _in_time(session: Session, statement: sql.Composed) -> list[tuple[int, ...]] | None:
    """Run a statement that waits for locks, and return its rows; ``None`` if it had to give up."""
    try:
        with session.transaction():
            cursor = session.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    except (
        psycopg.errors.QueryCanceled,
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.SerializationFailure,
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.WrongObjectType,
    ) as error:
        session.cancellation.check()
        log.info("could not lock against planted functions: %s", error.diag.message_primary)
        return None
    return rows
