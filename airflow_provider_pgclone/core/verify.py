"""Check an archive against the account at its end, without a database or on the way into one."""

import hashlib
import logging
from collections.abc import Iterator

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import Toc, read_toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import fetch_row
from airflow_provider_pgclone.core.errors import ArchiveError, RestoreError, UnsupportedError
from airflow_provider_pgclone.core.listing import Dump
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.trailer import (
    TAIL_BYTES,
    Part,
    Trailer,
    read_account,
    read_footer,
)

log = logging.getLogger(__name__)

TOC_RANGE_BYTES = 256 * 1024
# Stands beside pg_dump's version in the header of our archives, which only a listing shows.
OUR_MARK = "airflow-provider-pgclone"


def read_dump_toc(storage: Storage, dump: Dump) -> Toc:
    """Return the table of contents of a dump, reading little more than it."""
    return read_toc(_start_of(storage, dump))


def read_trailer(storage: Storage, dump: Dump, toc: Toc) -> Trailer | None:
    """Return the account of a dump by two reads, ``None`` for an archive that is not ours.

    :raises ArchiveError: when an archive of ours has none, so that its end is missing.
    """
    tail_start = max(0, dump.size_bytes - TAIL_BYTES)
    tail = storage.read_range(dump.key, tail_start, dump.size_bytes)
    footer = read_footer(tail, dump.size_bytes)
    if footer is not None:
        data = storage.read_range(dump.key, footer.offset, footer.offset + footer.length)
        return read_account(data, footer)
    if OUR_MARK in toc.pg_dump_version:
        raise ArchiveError(f"the end of {dump.key} is missing: the archive was cut")
    return None


def checked(
    chunks: Iterator[bytes], trailer: Trailer, cancellation: Cancellation
) -> Iterator[bytes]:
    """Pass the bytes of an archive on, and raise where they are not those that were written.

    :raises ArchiveError: naming the table of the first block that differs.
    """
    regions = _regions(trailer)
    name, left, expected = next(regions)
    digest = hashlib.sha256()
    for chunk in chunks:
        cancellation.check()
        view = memoryview(chunk)
        while view and left:
            piece = view[:left]
            digest.update(piece)
            view, left = view[len(piece) :], left - len(piece)
            if left == 0:
                if digest.hexdigest() != expected:
                    raise ArchiveError(f"{name} differs from what was written: it is damaged")
                name, left, expected = next(regions, ("", 0, ""))
                digest = hashlib.sha256()
        yield chunk
    if left:
        raise ArchiveError(f"the archive ends within {name}")


def verify(storage: Storage, dump: Dump, cancellation: Cancellation) -> Trailer:
    """Read a whole dump and check each of its bytes.

    :raises ArchiveError: naming what differs.
    :raises UnsupportedError: when it is not ours, so that there is nothing to check it by.
    """
    trailer = inspect(storage, dump)
    for _ in checked(storage.read(dump.key), trailer, cancellation):
        pass
    log.info("verified %s: %d blocks", dump.key, len(trailer.parts))
    return trailer


def inspect(storage: Storage, dump: Dump) -> Trailer:
    """Return the account of a dump.

    :raises UnsupportedError: when it is not ours.
    """
    trailer = read_trailer(storage, dump, read_dump_toc(storage, dump))
    if trailer is None:
        raise UnsupportedError(f"{dump.key} was not made by this package: it has no account")
    return trailer


def check_rows(connection: psycopg.Connection, trailer: Trailer) -> None:
    """Count the rows of each restored table.

    :param connection: a session on the restored database.
    :raises RestoreError: naming a table that has another number of rows than the dump.
    """
    for (schema, table), expected in trailer.rows_of_tables.items():
        statement = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
        try:
            (found,) = fetch_row(connection, statement, [])
        except psycopg.errors.UndefinedTable as error:
            raise RestoreError(
                f"the table {schema}.{table} is missing after the restore"
            ) from error
        if found != expected:
            raise RestoreError(
                f"the table {schema}.{table} has {found} rows after the restore, and {expected} in "
                "the dump"
            )


def _regions(trailer: Trailer) -> Iterator[tuple[str, int, str]]:
    """Yield what the archive holds one after another: its name, length and hash."""
    yield "the table of contents", trailer.facts["toc_bytes"], trailer.facts["toc_sha256"]
    for part in trailer.parts:
        yield _name(part), part.block.length, part.block.sha256


def _name(part: Part) -> str:
    what = f"the data of {part.schema}.{part.table}" if part.table else "the large objects"
    return f"{what} (block {part.block.dump_id})"


def _start_of(storage: Storage, dump: Dump) -> Iterator[bytes]:
    """Yield the first bytes of a dump in ranges that grow, as its table of contents may."""
    start, size = 0, TOC_RANGE_BYTES
    while start < dump.size_bytes:
        end = min(start + size, dump.size_bytes)
        yield storage.read_range(dump.key, start, end)
        start, size = end, size * 2
