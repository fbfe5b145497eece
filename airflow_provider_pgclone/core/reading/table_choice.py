"""Chooses the tables that are read in ranges of pages, and locks them."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import Selection, Table
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning import MaskPlan
from airflow_provider_pgclone.core.postgres import ClientTools, Database, Session, tool_environment
from airflow_provider_pgclone.core.reading.table_filter import (
    exclude_arguments,
    first_that_fit,
    reads_filter,
    room_for_arguments,
)

log = logging.getLogger(__name__)


# What changes neither which rows pg_dump writes nor how.
_HARMLESS_ARGUMENTS = frozenset(
    {
        *("-O", "-x", "-v", "--no-owner", "--no-privileges", "--no-acl", "--no-comments"),
        *("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces"),
        *("--no-toast-compression", "--no-table-access-method", "--verbose", "--no-sync"),
        *("--quote-all-identifiers", "--lock-wait-timeout"),
        *("-B", "--no-blobs", "--no-large-objects"),
    }
)


def room_for_planned(
    tools: ClientTools, database: Database, selection: Selection, partitions: Sequence[TableName]
) -> int | None:
    """Return how many bytes of arguments may name planned tables; ``None`` is no limit."""
    if reads_filter(tools):
        return None
    arguments = [
        *(f"--exclude-table-data={pattern}" for pattern in selection.patterns),
        *selection.pg_dump_args,
        *exclude_arguments(partitions),
    ]
    return room_for_arguments(arguments, tool_environment(database))


def choose_planned(
    session: Session,
    selection: Selection,
    excluded: Sequence[int],
    encoding: str,
    room: int | None,
    masks: MaskPlan,
    *,
    small_too: bool,
) -> tuple[list[Table], int]:
    """Choose the tables that are read in ranges, and lock them as pg_dump does.

    Without the lock VACUUM FULL could move rows from a range that was not yet read into one that
    was.

    :param room: how many bytes of arguments may name them.
    :raises UnsupportedError: when a table that is masked cannot be one of them.
    :return: these, and how large the others are.
    """
    arguments = {argument.partition("=")[0] for argument in selection.pg_dump_args}
    if not arguments <= _HARMLESS_ARGUMENTS:
        _check_unmasked(masks, sorted(arguments - _HARMLESS_ARGUMENTS))
        return [], 0  # pg_dump alone knows what they leave out
    candidates = {
        oid: replace(table, masked=masks.tables.get(oid))
        for oid, table in _tables(session)
        if oid not in excluded
        and oid not in masks.untrusted
        and selection.includes_schema(table.schema)
        # In another encoding the table of contents could not be compared with the catalog.
        and (encoding == "UTF8" or "".join((table.schema, table.name, *table.columns)).isascii())
    }
    worth_it = choose_tables(candidates.values(), small_too=small_too)
    chosen = set(worth_it if room is None else first_that_fit(worth_it, room))
    _check_all_planned(masks, {oid for oid, table in candidates.items() if table in chosen})
    small_bytes = sum(table.size_bytes for table in candidates.values() if table not in chosen)
    if not chosen:
        return [], small_bytes
    names = [sql.Identifier(table.schema, table.name) for table in chosen]
    session.execute(
        sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names))
    )
    locked = [oid for oid, table in candidates.items() if table in chosen]
    # Anew, since only now nobody can rewrite them.
    renewed = (
        replace(table, masked=masks.tables.get(oid)) for oid, table in _tables(session, locked)
    )
    return choose_tables(renewed, small_too=small_too), small_bytes


def _check_unmasked(masks: MaskPlan, arguments: Sequence[str]) -> None:
    """Refuse arguments beside masks by which pg_dump might read the tables in its own way."""
    if masks.facts is not None:
        raise InvalidInputError(
            f"pg_dump's {arguments[0]} cannot be given where something is masked",
            hint="Leave it out of pg_dump_args; exclude, schemas and exclude_schemas choose what "
            "is dumped.",
        )


def _check_all_planned(masks: MaskPlan, chosen: Collection[int]) -> None:
    """Refuse a dump in which pg_dump itself would read a table that is masked."""
    left = [name for oid, name in masks.names.items() if oid not in chosen]
    if left:
        raise UnsupportedError(
            f"the table {left[0]} cannot be masked: only pg_dump itself can read it",
            hint="Exclude it. Tables of extensions, of other access methods than heap and those "
            "partitioned by the hash of an enum are such; so are more tables than fit into the "
            "arguments of a pg_dump older than 17.",
        )


def _tables(session: Session, oids: Sequence[int] | None = None) -> Iterator[tuple[int, Table]]:
    """Yield the tables, all or the given ones, whose rows a COPY by pages reads as pg_dump would.

    Not those of extensions, which pg_dump treats as it sees fit, nor of other access methods.
    """
    rows = session.execute(
        """
        SELECT c.oid, nspname, relname,
            coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int,
            -- A table that was dropped or rewritten since the snapshot has no size.
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
            AND (%(oids)s::oid[] IS NULL OR c.oid = ANY(%(oids)s))
            -- pg_dump loads these by their root: getPartitioningInfo() and forcePartitionRootLoad()
            AND NOT (relispartition AND EXISTS (
                SELECT FROM pg_partition_ancestors(c.oid) AS a
                JOIN pg_partitioned_table ON partrelid = a.relid
                JOIN pg_opclass o ON o.oid = ANY(partclass)
                JOIN pg_am method ON method.oid = opcmethod
                WHERE opcname = 'enum_ops' AND opcnamespace = 'pg_catalog'::regnamespace
                    AND method.amname = 'hash'
            ))
        """,
        {"oids": oids},
    )
    for oid, schema, name, pages, size_bytes, columns in rows:
        yield oid, Table(schema, name, pages, size_bytes, tuple(columns))


MIB = 1024 * 1024


# Below it a table costs less inside pg_dump's one stream than a session of its own.
THRESHOLD_BYTES = 16 * MIB


def choose_tables(tables: Iterable[Table], *, small_too: bool = False) -> list[Table]:
    """Return the tables worth a session of their own, masked ones first, then the largest.

    :param small_too: whether small ones are worth it as well.
    """
    least = 0 if small_too else THRESHOLD_BYTES
    chosen = [
        table
        for table in tables
        if table.masked is not None or (table.size_bytes >= least and table.columns)
    ]
    # Those that are masked come first: they must be chosen where not all can be.
    return sorted(chosen, key=lambda table: (table.masked is None, -table.size_bytes))
