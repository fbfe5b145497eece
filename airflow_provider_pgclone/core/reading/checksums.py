"""Takes the checksums of the tables of a dump, within its snapshot."""

from collections.abc import Callable, Iterable, Mapping
from typing import LiteralString

from airflow_provider_pgclone.core.archive import TableChecksum, TableName, Toc
from airflow_provider_pgclone.core.catalog import Unreadable, named_rows_query, unplannable_tables
from airflow_provider_pgclone.core.checking import (
    comparable,
    copied_tables,
    lock_tables,
    read_checksums,
)
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.reading.obstacles import explaining_lock
from airflow_provider_pgclone.core.reading.snapshot import Snapshot
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)


def lock_checksummed(snapshot: Snapshot, toc: Toc) -> dict[TableName, TableName]:
    """Lock the tables whose checksums are taken. Our lock lasts longer than that of pg_dump.

    :return: maps the names in the table of contents to the names in the database.
    :raises UnsupportedError: when a table cannot or must not be queried.
    :raises InvalidInputError: when the rows of a table are not dumped by COPY.
    :raises BusyError: when another session waits to alter one of the tables.
    """
    copied = copied_tables(toc)
    for entry in toc.entries:
        if entry.description == "TABLE DATA" and entry.table not in copied:
            raise InvalidInputError(
                f"no checksum can be taken of the rows of {entry.display_name}",
                hint="Remove --inserts and similar arguments from pg_dump_args, or do not take "
                "checksums.",
            )
    names = comparable(snapshot.session, copied, snapshot.encoding)
    oids = _oids(snapshot.session, names.values())
    _refuse(snapshot.masks.unreadable, oids)
    with explaining_lock(snapshot.session):
        lock_tables(snapshot.session, names)
    _refuse(unplannable_tables(snapshot.session, oids), oids)
    return names


def _refuse(found: Mapping[int, Unreadable], oids: Iterable[int]) -> None:
    for oid in oids:
        if oid in found:
            raise found[oid].error(
                f"no checksums can be taken: {found[oid].message}", hint=found[oid].hint
            )


def _oids(session: Session, names: Iterable[TableName]) -> list[int]:
    """Return the OIDs of tables in the snapshot."""
    names = list(names)
    query: LiteralString = (
        "SELECT c.oid FROM unnest(%s::text[], %s::text[]) AS named (schema, name) "
        "JOIN pg_namespace n ON nspname = schema "
        "JOIN pg_class c ON relnamespace = n.oid AND relname = name"
    )
    arguments = [[schema for schema, _ in names], [name for _, name in names]]
    return [oid for (oid,) in session.execute(query, arguments)]


def take_checksums(
    snapshot: Snapshot,
    toc: Toc,
    names: Mapping[TableName, TableName],
    written: Mapping[TableName, int],
    tell: Callable[[str], None],
) -> dict[TableName, TableChecksum]:
    """Return the checksum of each locked table.

    :param names: the result of :func:`lock_checksummed`.
    :param written: the number of rows of each table in the archive.
    :param tell: called with the name of each table before it is read.
    :raises ArchiveError: when a table has a different number of rows in the snapshot.
    """
    log.info("taking checksums of %d tables", len(names))
    masked = {
        (table.schema, table.name): named_rows_query(table)
        for table in snapshot.ranged
        if table.masked is not None
    }
    found = read_checksums(
        snapshot.session, copied_tables(toc), names, snapshot.encoding, masked, tell=tell
    )
    for name, checksum in found.items():
        rows = written.get(name, 0)
        if checksum.rows != rows:
            raise ArchiveError(
                f"{rows} rows of the table {'.'.join(names[name])} were written, but it has "
                f"{checksum.rows} in the snapshot"
            )
    return found
