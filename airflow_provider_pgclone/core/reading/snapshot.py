"""A database as a dump sees it: its snapshot, and how each table is read."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    Selection,
    Table,
    check_encodable,
    check_schemas,
    excluded_tables,
)
from airflow_provider_pgclone.core.errors import ArchiveError, BusyError
from airflow_provider_pgclone.core.masking.planning import Masking, MaskPlan, plan_masking
from airflow_provider_pgclone.core.postgres import (
    SNAPSHOT_SESSION,
    ClientTools,
    Database,
    Session,
    connect,
    tool_environment,
    tools_for_dump,
)
from airflow_provider_pgclone.core.reading.table_choice import choose_planned, room_for_planned

log = logging.getLogger(__name__)

_REWRITTEN = """
SELECT convert_to(nspname, getdatabaseencoding()), convert_to(relname, getdatabaseencoding())
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relfilenode <> 0
    AND relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
"""
# The catalog is read as of the snapshot, and the functions return the present names.
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
class Snapshot:
    """A database as a dump sees it.

    :param session: holds the snapshot; its database has the mask key, where there is one.
    :param database: without the key, for the programs that need none.
    :param tools: the client that dumps it.
    :param name: what pg_dump and every COPY import.
    :param excluded_names: all tables whose rows are left out.
    :param excluded_partitions: those of them that are partitions.
    :param planned: the tables to read in ranges, which are locked against being rewritten.
    :param small_bytes: the size of the tables that pg_dump reads itself.
    :param masks: what masking does.
    """

    session: Session
    database: Database
    tools: ClientTools
    selection: Selection
    version: str
    encoding: str
    size_bytes: int
    name: str
    excluded_names: frozenset[TableName]
    excluded_partitions: Sequence[TableName]
    planned: Sequence[Table]
    small_bytes: int
    masks: MaskPlan

    @property
    def cancellation(self) -> Cancellation:
        return self.session.cancellation

    @property
    def named(self) -> list[TableName]:
        """The tables whose rows pg_dump is told by name to leave out."""
        planned = ((table.schema, table.name) for table in self.planned)
        return [*self.excluded_partitions, *planned]

    def release(self) -> None:
        """Give the snapshot up, once nobody needs it any more."""
        if not self.session.is_idle:
            self.session.execute("COMMIT")

    def tool_environment(self, database: Database) -> dict[str, str]:
        """Return the variables of a program that dumps, in the encoding of its database.

        Another encoding, set by the connection or the worker, would change the names of tables.
        """
        return {**tool_environment(database), "PGCLIENTENCODING": self.encoding}

    def check(self, toc: Toc) -> None:
        """Refuse a table of contents that does not fit, once pg_dump has locked all that it dumps.

        :raises BusyError: when a table was renamed, rewritten or replaced since the snapshot.
        :raises ArchiveError: when pg_dump would dump rows that it was told to leave out, or that
            masking has not looked at.
        """
        in_skeleton = {(entry.namespace, entry.tag) for entry in toc.entries if entry.has_data}
        dumped = in_skeleton.union(self.named)
        self._check_same_names(dumped)
        self._check_not_rewritten(dumped)
        self._check_left_out(toc)
        self._check_looked_at(toc)

    def _check_not_rewritten(self, dumped: Collection[TableName]) -> None:
        """Refuse a snapshot in which a table only seems to be empty.

        TRUNCATE, and ALTER TABLE where it rewrites, leave an older snapshot no rows, and so does a
        table that took the place of a dropped one: "Caveats" of the chapter on concurrency control
        in PostgreSQL's documentation. The catalog is read as of the snapshot, and the function
        returns the present file.

        :param dumped: the tables whose rows are wanted, as pg_dump names them.
        """
        for row in self.session.execute(_REWRITTEN):
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
        # In an encoding other than UTF-8, names that are not ASCII are bytes to us: none is masked.
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
        row = self.session.execute(_RENAMED, names).fetchone()
        if row is not None:
            raise BusyError(
                f"{row[0]} was renamed while its database was opened", hint="Try again."
            )

    def _check_left_out(self, toc: Toc) -> None:
        """Make sure that pg_dump understands what is left out as we do."""
        left_out = self.excluded_names.union(self.named)
        for entry in toc.entries:
            if entry.has_data and (entry.namespace, entry.tag) in left_out:
                raise ArchiveError(
                    f"pg_dump would dump the data of {entry.namespace}.{entry.tag}, which it was "
                    "told to leave out"
                )

    def _check_looked_at(self, toc: Toc) -> None:
        """Refuse what pg_dump would dump and masking has not looked at."""
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


@contextmanager
def open_snapshot(
    database: Database,
    selection: Selection,
    masking: Masking,
    *,
    pg_bin_dir: str | None,
    cancellation: Cancellation,
    small_too: bool = False,
) -> Iterator[Snapshot]:
    """Open the snapshot of a dump, for as long as the block runs.

    :param small_too: whether to plan small tables as well, which otherwise cost more than pg_dump.
    :raises InvalidInputError: when a pattern matches nothing: rows would be dumped that were meant
        to be left out.
    :raises UnsupportedError: when every pg_dump is older than the server.
    """
    with connect(masking.keyed(database), cancellation) as session:
        tools = tools_for_dump(session.major, pg_bin_dir)
        session.execute(SNAPSHOT_SESSION)
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (name,) = session.fetch_row("SELECT pg_export_snapshot()")
        size_bytes, encoding, version = session.fetch_row(
            "SELECT pg_database_size(oid), pg_encoding_to_char(encoding), "
            "current_setting('server_version') FROM pg_database WHERE datname = %s",
            [database.name],
        )
        check_encodable(selection.patterns, encoding)
        check_schemas(session, [*selection.schemas, *selection.exclude_schemas])
        excluded = excluded_tables(session, selection.exclude)
        # A partitioned table has no rows of its own, and pg_dump below 16 cannot exclude it with
        # its partitions.
        partitions = _names(session, excluded, partitions=True)
        masks = plan_masking(session, selection, masking, encoding)
        if masks.untrusted:
            log.info(
                "%d tables are left to pg_dump: a query of them would call functions of others",
                len(masks.untrusted),
            )
        room = room_for_planned(tools, database, selection, partitions)
        planned, small_bytes = choose_planned(
            session, selection, excluded, encoding, room, masks, small_too=small_too
        )
        snapshot = Snapshot(
            session=session,
            database=database,
            tools=tools,
            selection=selection,
            version=version,
            encoding=encoding,
            size_bytes=size_bytes,
            name=name,
            excluded_names=frozenset(_names(session, excluded)),
            excluded_partitions=partitions,
            planned=planned,
            small_bytes=small_bytes,
            masks=masks,
        )
        yield snapshot
        snapshot.release()


def _names(session: Session, oids: Sequence[int], *, partitions: bool = False) -> list[TableName]:
    """Return the names of tables as pg_dump writes them: in the database's encoding.

    :param partitions: whether to return only those that are partitions.
    """
    rows = session.execute(
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
