"""Chooses the tables that are read in ranges of pages, and locks them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import (
    Selection,
    Table,
    check_readable_tables,
    unplannable_tables,
)
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning import MaskPlan
from airflow_provider_pgclone.core.postgres import ClientTools, Database, Session, tool_environment
from airflow_provider_pgclone.core.reading.table_filter import (
    exclude_arguments,
    first_that_fit,
    reads_filter,
    room_for_arguments,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# A smaller table costs less in the stream of pg_dump, whose rows are handled one by one here, than
# the statements around its COPY do in a session of psql.
THRESHOLD_BYTES = 256 * 1024
# That pg_dump alone reads tables of less, together, costs too little for a warning, and for locks
# for which VACUUM waits.
LARGE_BYTES = 16 * 1024 * 1024

# The arguments that do not change the rows that pg_dump writes, or their format.
_HARMLESS_ARGUMENTS = frozenset(
    {
        *("-O", "-x", "-v", "--no-owner", "--no-privileges", "--no-acl", "--no-comments"),
        *("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces"),
        *("--no-toast-compression", "--no-table-access-method", "--verbose", "--no-sync"),
        *("--quote-all-identifiers", "--lock-wait-timeout"),
        *("-B", "--no-blobs", "--no-large-objects"),
    }
)

_HEAP_TABLES = """
SELECT c.oid, nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r'
"""
_TABLES = """
SELECT c.oid, nspname, relname,
    coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int,
    -- A table that was dropped or rewritten after the snapshot does not have a size.
    coalesce(pg_relation_size(c.oid), 0) + coalesce(pg_relation_size(reltoastrelid), 0),
    ARRAY(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        ORDER BY attnum
    )
FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_am am ON am.oid = relam
WHERE relkind = 'r' AND amname = 'heap' AND nspname !~ '^pg_'
    AND nspname <> 'information_schema'
    AND (relpersistence = 'p' OR relpersistence = 'u' AND NOT pg_is_in_recovery())
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
    )
    AND c.oid = ANY(%(oids)s)
    -- pg_dump loads these into their root: getPartitioningInfo(), forcePartitionRootLoad().
    AND NOT (relispartition AND EXISTS (
        SELECT FROM pg_partition_ancestors(c.oid) AS a
        JOIN pg_partitioned_table ON partrelid = a.relid
        JOIN pg_opclass o ON o.oid = ANY(partclass)
        JOIN pg_am method ON method.oid = opcmethod
        WHERE opcname = 'enum_ops' AND opcnamespace = 'pg_catalog'::regnamespace
            AND method.amname = 'hash'
    ))
"""


def room_for_ranged(
    tools: ClientTools, database: Database, selection: Selection, partitions: Sequence[TableName]
) -> int | None:
    """Return how long the arguments that name ranged tables may be, in bytes; ``None``: any."""
    if reads_filter(tools):
        return None
    arguments = [
        *(f"--exclude-table-data={pattern}" for pattern in selection.patterns),
        *selection.pg_dump_args,
        *exclude_arguments(partitions),
    ]
    return room_for_arguments(arguments, tool_environment(database))


def choose_ranged(
    session: Session,
    selection: Selection,
    excluded: Collection[int],
    encoding: str,
    room: int | None,
    masks: MaskPlan,
) -> tuple[list[Table], int]:
    """Choose the tables that are read in ranges, and lock them as pg_dump does.

    Without the lock, VACUUM FULL could move rows between ranges that were read and ranges that were
    not.

    :param excluded: the OIDs of the tables that the user excludes.
    :param encoding: the encoding of the database.
    :param room: the bytes of arguments that may name the tables; ``None`` for no limit.
    :return: the chosen tables, and the total size in bytes of the others.
    :raises InvalidInputError: when an argument of pg_dump cannot be combined with masking.
    :raises UnsupportedError: when a masked table cannot be read in ranges.
    """
    excluded = frozenset(excluded)
    arguments = {argument.partition("=")[0] for argument in selection.pg_dump_args}
    if not arguments <= _HARMLESS_ARGUMENTS:
        _check_unmasked(masks, sorted(arguments - _HARMLESS_ARGUMENTS))
        return [], 0  # we do not know what these arguments leave out
    # The size of a table that is locked cannot be told, and others need not be waited for.
    selected = [
        oid
        for oid, schema in session.execute(_HEAP_TABLES)
        if oid not in excluded and selection.includes_schema(schema)
    ]
    candidates = {
        oid: table
        for oid, table in _tables(session, masks, selected)
        # In other encodings the names could not be compared with the table of contents.
        if (encoding == "UTF8" or "".join((table.schema, table.name, *table.columns)).isascii())
    }
    worth_it = choose_tables(_readable(candidates, masks))
    chosen = set(worth_it if room is None else first_that_fit(worth_it, room))
    _check_all_ranged(masks, {oid for oid, table in candidates.items() if table in chosen})
    small_bytes = sum(table.size_bytes for table in candidates.values() if table not in chosen)
    if not chosen:
        return [], small_bytes
    _lock(session, chosen)
    locked = _plannable(
        session, {oid: table for oid, table in candidates.items() if table in chosen}, masks
    )
    small_bytes += sum(table.size_bytes for table in chosen - set(locked.values()))
    # Read the tables again, because until now another session could rewrite them.
    renewed = (table for _, table in _tables(session, masks, list(locked)))
    # Small ones are read first: until a table is read, an ALTER TABLE that waits ends the dump.
    ranged = choose_tables(renewed)
    return sorted(ranged, key=lambda table: table.size_bytes), small_bytes


def worth_locking(session: Session, oids: Collection[int]) -> set[int]:
    """Return which tables should be locked, so that they are read in ranges.

    The smallest are left to pg_dump, as far as they are not large together.
    """
    rows = session.execute(
        """
        SELECT oid FROM (
            SELECT oid, sum(size) OVER (ORDER BY size, oid) AS up_to_here
            FROM pg_class, LATERAL (
                SELECT coalesce(pg_relation_size(oid), 0)
                    + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
            ) AS of_table (size)
            WHERE oid = ANY(%s) AND size >= %s
        ) AS summed
        WHERE up_to_here >= %s
        """,
        [list(oids), THRESHOLD_BYTES, LARGE_BYTES],
    )
    return {oid for (oid,) in rows}


def choose_tables(tables: Iterable[Table]) -> list[Table]:
    """Return the tables to read in ranges: masked tables first, then the largest."""
    chosen = [
        table
        for table in tables
        if table.masked is not None or (table.size_bytes >= THRESHOLD_BYTES and table.columns)
    ]
    # Masked tables come first, because they must be among those that fit into the arguments.
    return sorted(chosen, key=lambda table: (table.masked is None, -table.size_bytes))


def _readable(candidates: Mapping[int, Table], masks: MaskPlan) -> list[Table]:
    """Return the tables that may be queried, and warn if the others are large together."""
    left = {
        oid: table.size_bytes
        for oid, table in candidates.items()
        if oid in masks.unreadable and table.columns and table.size_bytes >= THRESHOLD_BYTES
    }
    if sum(left.values()) >= LARGE_BYTES:
        why = masks.unreadable[max(left, key=lambda oid: left[oid])]
        log.warning(
            "pg_dump reads %d tables alone, rather than several sessions in parallel: %s. %s",
            len(left),
            why.message,
            why.hint,
        )
    return [table for oid, table in candidates.items() if oid not in masks.unreadable]


def _plannable(
    session: Session, tables: Mapping[int, Table], masks: MaskPlan
) -> Mapping[int, Table]:
    """Return the tables of which a query can be planned, and warn if the others are large together.

    :raises UnsupportedError: when one of the others is masked.
    """
    unplannable = unplannable_tables(session, tables)
    check_readable_tables(unplannable, masks.names)
    is_large = sum(tables[oid].size_bytes for oid in unplannable) >= LARGE_BYTES
    for why in unplannable.values():
        tell = log.warning if is_large else log.debug
        tell("pg_dump alone reads a table: %s. %s", why.message, why.hint)
    return {oid: table for oid, table in tables.items() if oid not in unplannable}


def _check_unmasked(masks: MaskPlan, arguments: Sequence[str]) -> None:
    """Refuse to combine masking with arguments with which pg_dump must read all tables itself."""
    if masks.facts is not None:
        raise InvalidInputError(
            f"the pg_dump argument {arguments[0]} cannot be combined with masking",
            hint="Remove it from pg_dump_args. Use exclude, schemas and exclude_schemas to choose "
            "what is dumped.",
        )


def _check_all_ranged(masks: MaskPlan, chosen: Collection[int]) -> None:
    """Refuse a dump in which pg_dump would read a masked table itself."""
    left = [name for oid, name in masks.names.items() if oid not in chosen]
    if left:
        raise UnsupportedError(
            f"the table {left[0]} cannot be masked: only pg_dump can read it",
            hint="Exclude it. This applies to tables of extensions, tables with an access method "
            "other than heap, partitions by the hash of an enum and, with pg_dump before 17, "
            "tables whose names do not fit into its arguments.",
        )


def _lock(session: Session, tables: Collection[Table]) -> None:
    names = [sql.Identifier(table.schema, table.name) for table in tables]
    session.execute(
        sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names))
    )


def _tables(session: Session, masks: MaskPlan, oids: Sequence[int]) -> Iterator[tuple[int, Table]]:
    """Yield the tables whose rows can be read in ranges of pages, by OID, with their masks.

    Tables of extensions are not among them, because the extension decides which rows pg_dump
    writes. Neither are tables with an access method other than heap, which may not have pages.

    :param oids: yield only these tables.
    """
    rows = session.execute(_TABLES, {"oids": oids})
    for oid, schema, name, pages, size_bytes, columns in rows:
        masked = masks.tables.get(oid)
        yield oid, Table(schema, name, pages, size_bytes, tuple(columns), masked)
