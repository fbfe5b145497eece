"""Takes the checksums of the tables of a dump, in its snapshot."""

import logging
from collections.abc import Mapping

from airflow_provider_pgclone.core.archive import TableChecksum, TableName, Toc
from airflow_provider_pgclone.core.catalog import named_rows_query
from airflow_provider_pgclone.core.checking import (
    comparable,
    copied_tables,
    lock_tables,
    read_checksums,
)
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.reading.snapshot import Snapshot

log = logging.getLogger(__name__)


def lock_checksummed(snapshot: Snapshot, toc: Toc) -> dict[TableName, TableName]:
    """Lock the tables whose checksums are taken, for longer than pg_dump does.

    :return: their names in the database, by those in the table of contents.
    :raises UnsupportedError: when a query of a table would call a function that is not trusted.
    :raises InvalidInputError: when rows are dumped in another way than by COPY.
    """
    for called in snapshot.masks.untrusted.values():
        raise UnsupportedError(
            f"no checksums can be taken: a query of a table calls the function {called}, with the "
            "rights of this dump",
            hint="Give the function to a superuser, dump as its owner, or leave checksums out.",
        )
    copied = copied_tables(toc)
    for entry in toc.entries:
        if entry.description == "TABLE DATA" and (entry.namespace, entry.tag) not in copied:
            raise InvalidInputError(
                f"no checksum can be taken of the rows of {entry.namespace}.{entry.tag}",
                hint="Leave --inserts and the like out of pg_dump_args, or checksums.",
            )
    names = comparable(snapshot.session, copied, snapshot.encoding)
    lock_tables(snapshot.session, names)
    return names


def take_checksums(
    snapshot: Snapshot,
    toc: Toc,
    names: Mapping[TableName, TableName],
    written: Mapping[TableName, int],
) -> dict[TableName, TableChecksum]:
    """Return the checksum of each table that was locked.

    :param names: what :func:`lock_checksummed` returned.
    :param written: how many rows of each table the archive has.
    :raises ArchiveError: when a table has another number of rows in the snapshot.
    """
    log.info("taking checksums of %d tables", len(names))
    masked = {
        (table.schema, table.name): named_rows_query(table)
        for table in snapshot.planned
        if table.masked is not None
    }
    found = read_checksums(snapshot.session, copied_tables(toc), names, snapshot.encoding, masked)
    for name, checksum in found.items():
        rows = written.get(name, 0)
        if checksum.rows != rows:
            raise ArchiveError(
                f"{rows} rows of the table {'.'.join(names[name])} were written, which has "
                f"{checksum.rows} in the snapshot"
            )
    return found
