"""The database of a dump: a snapshot of it, and what of it is dumped in which way."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import (
    Database,
    connect,
    fetch_row,
    server_major,
)
from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    BusyError,
    InvalidInputError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.masking.plan_masking import MaskPlan, plan_masking
from airflow_provider_pgclone.core.pg_tools import ClientTools, tool_environment, tools_for_dump
from airflow_provider_pgclone.core.plan import Table, choose_tables
from airflow_provider_pgclone.core.scope import (
    DumpContent,
    check_readable,
    check_schemas,
    excluded_tables,
    is_in_schemas,
)
from airflow_provider_pgclone.core.table_filter import (
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
_REWRITTEN = """
SELECT convert_to(nspname, getdatabaseencoding()), convert_to(relname, getdatabaseencoding())
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relfilenode <> 0
    AND relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
"""


# The catalog is read as of the snapshot, and the functions tell the names of now.
_RENAMED = """
SELECT concat_ws('.', nspname, relname, attname)
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(planned)s::bool[])
    AS dumped (schema, name, is_planned)
JOIN pg_namespace n ON nspname = schema
JOIN pg_class c ON relnamespace = n.oid AND relname = name
LEFT JOIN pg_attribute ON is_planned AND attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE to_regclass(format('%%I.%%I', nspname, relname)) IS DISTINCT FROM c.oid::regclass
    OR CASE WHEN attnum IS NOT NULL THEN
        (pg_identify_object('pg_class'::regclass, c.oid, attnum)).identity
            IS DISTINCT FROM format('%%I.%%I.%%I', nspname, relname, attname)
    END
LIMIT 1
"""


@dataclass(frozen=True)
class Source:
    """A database as a dump sees it.

    :param tools: the client that dumps it.
    :param snapshot: what pg_dump and every COPY read.
    :param excluded_names: all tables whose data stays out.
    :param excluded_partitions: those of them that are partitions.
    :param planned: the tables to read in ranges, which are locked against being rewritten.
    :param small_bytes: how large the tables are that pg_dump reads itself.
    :param masks: what masking does.
    :param connection: the session that holds the snapshot.
    """

    tools: ClientTools
    version: str
    encoding: str
    size_bytes: int
    snapshot: str
    excluded_names: frozenset[TableName]
    excluded_partitions: Sequence[TableName]
    planned: Sequence[Table]
    small_bytes: int
    masks: MaskPlan
    connection: psycopg.Connection

    def release(self) -> None:
        """Give the snapshot up, once nobody needs it any more."""
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.connection.execute("COMMIT")

    def check_not_rewritten(self, dumped: Collection[TableName]) -> None:
        """Refuse a snapshot in which a table seems empty, once all tables are locked.

        TRUNCATE, and ALTER TABLE where it rewrites, leave an older snapshot no rows, and so does a
        table that took the place of a dropped one: "Caveats" of the chapter on concurrency control
        in PostgreSQL's documentation. The catalog is read as of the snapshot, and the function
        tells the file of now.

        :param dumped: the tables whose rows are wanted, as pg_dump names them.
        :raises BusyError: naming the table.
        """
        self._check_same_names(dumped)
        for row in self.connection.execute(_REWRITTEN):
            schema, name = (part.decode(errors="surrogateescape") for part in row)
            if (schema, name) in dumped:
                raise BusyError(
                    f"table {schema}.{name} was truncated, rewritten or replaced while its "
                    "database was opened",
                    hint="Try again: the snapshot is older and has none of its rows.",
                )

    def _check_same_names(self, dumped: Collection[TableName]) -> None:
        """Refuse tables and columns that were renamed between the snapshot and their locks.

        A COPY by name would read others: of a table that took the place of a masked one, or of a
        column that took that of another.
        """
        planned = {(table.schema, table.name) for table in self.planned}
        # Names of another encoding than UTF-8 that are not ASCII are bytes to us: none is masked.
        tables = sorted(
            name
            for name in planned.union(dumped)
            if self.encoding == "UTF8" or "".join(name).isascii()
        )
        names = {
            "schemas": [schema for schema, _ in tables],
            "names": [name for _, name in tables],
            "planned": [table in planned for table in tables],
        }
        row = self.connection.execute(_RENAMED, names).fetchone()
        if row is not None:
            raise BusyError(
                f"{row[0]} was renamed while its database was opened", hint="Try again."
            )

    def tool_environment(self, database: Database) -> dict[str, str]:
        """Return the variables of a program that dumps, in the encoding of its database.

        Another that the connection or the worker sets would make other names of ours.
        """
        return {**tool_environment(database), "PGCLIENTENCODING": self.encoding}

    def check_looked_at(self, toc: Toc) -> None:
        """Refuse what pg_dump would dump and masking has not looked at.

        :raises ArchiveError: naming it.
        """
        if self.masks.in_scope is None:
            return
        for entry in toc.entries:
            is_unknown = (entry.namespace, entry.tag) not in self.masks.in_scope
            if entry.description == "STATISTICS DATA" or (
                entry.description == "TABLE DATA" and is_unknown
            ):
                raise ArchiveError(
                    f"pg_dump would dump {entry.description} of {entry.namespace}.{entry.tag}, "
                    "which masking has not looked at"
                )

    @property
    def named(self) -> list[TableName]:
        """The tables whose data pg_dump is told by name to leave out."""
        planned = ((table.schema, table.name) for table in self.planned)
        return [*self.excluded_partitions, *planned]


@contextmanager
def open_source(
    database: Database,
    content: DumpContent,
    pg_bin_dir: str | None,
    cancellation: Cancellation,
    *,
    small_too: bool = False,
) -> Iterator[Source]:
    """Open the snapshot of a dump, for as long as the block runs.

    :param small_too: whether to plan small tables as well, which otherwise cost more than pg_dump.
    :raises InvalidInputError: when a pattern matches nothing: it would let data out that was meant
        to stay.
    :raises UnsupportedError: when no pg_dump is as new as the server.
    """
    with connect(database, cancellation) as connection:
        tools = tools_for_dump(server_major(connection), pg_bin_dir)
        # Functions that somebody else has put where they are found first: CVE-2018-1058.
        connection.execute("SET search_path = ''; SET constraint_exclusion = off")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (snapshot,) = fetch_row(connection, "SELECT pg_export_snapshot()", [])
        size_bytes, encoding, version = fetch_row(
            connection,
            "SELECT pg_database_size(oid), pg_encoding_to_char(encoding), "
            "current_setting('server_version') FROM pg_database WHERE datname = %s",
            [database.name],
        )
        check_readable([*content.exclude, *content.schemas, *content.exclude_schemas], encoding)
        check_schemas(connection, database, [*content.schemas, *content.exclude_schemas])
        excluded = excluded_tables(connection, database, content.exclude)
        # A partitioned table has no data of its own, and pg_dump below 16 cannot exclude it with
        # its partitions.
        partitions = _names(connection, excluded, partitions=True)
        masks = plan_masking(connection, database, content, encoding)
        if masks.strangers:
            log.info(
                "%d tables are left to pg_dump: a query of them would call functions of others",
                len(masks.strangers),
            )
        room = _room_for_planned(tools, database, content, partitions)
        planned, small_bytes = _plan(
            connection, content, excluded, encoding, room, masks, small_too=small_too
        )
        source = Source(
            tools=tools,
            version=version,
            encoding=encoding,
            size_bytes=size_bytes,
            snapshot=snapshot,
            excluded_names=frozenset(_names(connection, excluded)),
            excluded_partitions=partitions,
            planned=planned,
            small_bytes=small_bytes,
            masks=masks,
            connection=connection,
        )
        yield source
        source.release()


def _room_for_planned(
    tools: ClientTools, database: Database, content: DumpContent, partitions: Sequence[TableName]
) -> int | None:
    """Return how many bytes of arguments may name planned tables; ``None`` is no limit."""
    if reads_filter(tools):
        return None
    patterns = [*content.exclude, *content.schemas, *content.exclude_schemas]
    arguments = [
        *(f"--exclude-table-data={pattern}" for pattern in patterns),
        *content.pg_dump_args,
        *exclude_arguments(partitions),
    ]
    return room_for_arguments(arguments, tool_environment(database))


def _plan(
    connection: psycopg.Connection,
    content: DumpContent,
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
    arguments = {argument.partition("=")[0] for argument in content.pg_dump_args}
    if not arguments <= _HARMLESS_ARGUMENTS:
        _check_unmasked(masks, sorted(arguments - _HARMLESS_ARGUMENTS))
        return [], 0  # pg_dump alone knows what they leave out
    candidates = {
        oid: replace(table, masked=masks.tables.get(oid))
        for oid, table in _tables(connection)
        if oid not in excluded
        and oid not in masks.strangers
        and is_in_schemas(table.schema, content)
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
    connection.execute(
        sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names))
    )
    locked = [oid for oid, table in candidates.items() if table in chosen]
    # Anew, since only now nobody can rewrite them.
    renewed = (
        replace(table, masked=masks.tables.get(oid)) for oid, table in _tables(connection, locked)
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
    left = [label for oid, label in masks.labels.items() if oid not in chosen]
    if left:
        raise UnsupportedError(
            f"the table {left[0]} cannot be masked: only pg_dump itself can read it",
            hint="Exclude it. Tables of extensions, of other access methods than heap and those "
            "partitioned by the hash of an enum are such; so are more tables than fit into the "
            "arguments of a pg_dump older than 17.",
        )


def _tables(
    connection: psycopg.Connection, oids: Sequence[int] | None = None
) -> Iterator[tuple[int, Table]]:
    """Yield the tables, all or the given ones, whose rows a COPY by pages reads as pg_dump would.

    Not those of extensions, which pg_dump treats as it sees fit, nor of other access methods.
    """
    rows = connection.execute(
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


def _names(
    connection: psycopg.Connection, oids: Sequence[int], *, partitions: bool = False
) -> list[TableName]:
    """Return the names of tables as pg_dump writes them: in the database's encoding.

    :param partitions: whether to return those that are partitions alone.
    """
    rows = connection.execute(
        """
        SELECT convert_to(nspname, getdatabaseencoding()),
            convert_to(relname, getdatabaseencoding())
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE c.oid = ANY(%s) AND (relispartition OR NOT %s)
        ORDER BY nspname, relname
        """,
        [list(oids), partitions],
    )
    return [
        (schema.decode(errors="surrogateescape"), name.decode(errors="surrogateescape"))
        for schema, name in rows
    ]
