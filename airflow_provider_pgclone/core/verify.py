"""Check an archive against the account at its end, without a database or on the way into one."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.archive import Toc, read_toc
from airflow_provider_pgclone.core.blocks import DATA
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import fetch_row
from airflow_provider_pgclone.core.errors import ArchiveError, RestoreError, UnsupportedError
from airflow_provider_pgclone.core.listing import Dump
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.trailer import (
    HEAD_BYTES,
    TAIL_BYTES,
    Trailer,
    account_head,
    read_account,
    read_footer,
)

log = logging.getLogger(__name__)

TOC_RANGE_BYTES = 256 * 1024
# Few round trips for many small tables, and few tables in a statement that holds locks on them.
COUNTED_AT_ONCE = 100
# Stands beside pg_dump's version in the header of our archives, which only a listing shows.
OUR_MARK = "airflow-provider-pgclone"


@dataclass(frozen=True)
class Archive:
    """A dump in storage, as far as it tells of itself.

    :param trailer: its account; ``None`` where pg_dump or another program wrote it.
    """

    storage: Storage
    dump: Dump
    toc: Toc
    trailer: Trailer | None


def open_archive(storage: Storage, dump: Dump) -> Archive:
    """Read the table of contents and the account of a dump, and little more.

    :raises ArchiveError: when they are damaged, do not fit each other or have no end.
    """
    tail_start = max(0, dump.size_bytes - TAIL_BYTES)
    tail = storage.read_range(dump.key, tail_start, dump.size_bytes)
    footer = read_footer(tail, dump.size_bytes)
    if footer is None:
        toc = read_toc(_start_of(storage, dump))
        if OUR_MARK in toc.pg_dump_version:
            raise ArchiveError(f"the end of {dump.key} is missing: the archive was cut")
        return Archive(storage, dump, toc, None)
    start = footer.offset - HEAD_BYTES
    block = storage.read_range(dump.key, start, footer.offset + footer.length)
    trailer = read_account(block[HEAD_BYTES:], footer)
    toc = _checked_toc(storage, dump, trailer)
    head = account_head(toc.unused_id, footer.length)
    if _check_parts(toc, trailer) != start or not block.startswith(head):
        raise ArchiveError("the account of the archive is not where the last block ends")
    return Archive(storage, dump, toc, trailer)


def _checked_toc(storage: Storage, dump: Dump, trailer: Trailer) -> Toc:
    if not 0 < trailer.toc_bytes <= dump.size_bytes:
        raise ArchiveError("the account of the archive does not fit it: the archive is damaged")
    start = storage.read_range(dump.key, 0, trailer.toc_bytes)
    if hashlib.sha256(start).hexdigest() != trailer.facts["toc_sha256"]:
        raise ArchiveError("the table of contents differs from what was written: it is damaged")
    return read_toc(iter([start]))


def _check_parts(toc: Toc, trailer: Trailer) -> int:
    """Make sure that the account has the data of each entry once, with no byte between.

    :return: where the last block ends.
    """
    names = {entry.dump_id: (entry.namespace, entry.tag) for entry in toc.entries if entry.has_data}
    offset = trailer.toc_bytes
    for part in trailer.parts:
        name = names.pop(part.block.dump_id, None)
        if name is None or (part.block.kind == DATA and name != (part.schema, part.table)):
            raise ArchiveError(f"{part.name} is not what the table of contents has there")
        if part.block.offset != offset or part.block.length <= 0:
            raise ArchiveError(f"{part.name} is not where the one before it ends")
        offset += part.block.length
    if names:
        dump_id, (schema, table) = next(iter(names.items()))
        raise ArchiveError(f"the data of {schema}.{table} (block {dump_id}) is not in the account")
    return offset


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
    trailer = open_archive(storage, dump).trailer
    if trailer is None:
        raise UnsupportedError(f"{dump.key} was not made by this package: it has no account")
    return trailer


def check_rows(
    connection: psycopg.Connection, rows_of_tables: Mapping[tuple[str, str], int], encoding: str
) -> None:
    """Count the rows of each restored table.

    :param connection: a session on the restored database.
    :param rows_of_tables: how many there must be, by schema and name, as the table of contents has
        them.
    :param encoding: of the database that these are from.
    :raises RestoreError: naming a table that has another number of rows than the dump.
    """
    uncountable = _uncountable(connection)
    expected_rows = (
        ((_decoded(connection, schema, encoding), _decoded(connection, table, encoding)), rows)
        for (schema, table), rows in rows_of_tables.items()
    )
    tables = [(name, rows) for name, rows in expected_rows if name not in uncountable]
    for start in range(0, len(tables), COUNTED_AT_ONCE):
        some = tables[start : start + COUNTED_AT_ONCE]
        counts = [
            sql.SQL("(SELECT count(*) FROM ONLY {})").format(sql.Identifier(schema, table))
            for (schema, table), _ in some
        ]
        statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts))
        try:
            (found,) = fetch_row(connection, statement, [])
        except psycopg.errors.UndefinedTable as error:
            raise RestoreError(
                f"a table is missing after the restore: {error.diag.message_primary}"
            ) from error
        for ((schema, table), expected), rows in zip(some, found, strict=True):
            if rows != expected:
                raise RestoreError(
                    f"the table {schema}.{table} has {rows} rows after the restore, and {expected} "
                    "in the dump"
                )


def _uncountable(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Return the tables whose rows may well be others than those that were loaded.

    CREATE EXTENSION may have put rows of its own into a table of an extension, and a policy may
    hide rows even from the owner of a table.
    """
    rows = connection.execute(
        """
        SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'r' AND (
            relrowsecurity AND row_security_active(c.oid)
            OR EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
            )
        )
        """
    ).fetchall()
    tables = {(schema, table) for schema, table in rows}
    if tables:
        log.info("%d tables of extensions or with row security are not counted", len(tables))
    return tables


def _decoded(connection: psycopg.Connection, name: str, encoding: str) -> str:
    """Return a name in which bytes of another encoding than UTF-8 may stand for letters."""
    if encoding == "UTF8" or name.isascii():
        return name
    data = name.encode(errors="surrogateescape")
    (text,) = fetch_row(connection, "SELECT convert_from(%s, %s)", [data, encoding])
    return str(text)


def _regions(trailer: Trailer) -> Iterator[tuple[str, int, str]]:
    """Yield what the archive holds one after another: its name, length and hash."""
    yield "the table of contents", trailer.toc_bytes, trailer.facts["toc_sha256"]
    for part in trailer.parts:
        yield part.name, part.block.length, part.block.sha256


def _start_of(storage: Storage, dump: Dump) -> Iterator[bytes]:
    """Yield the first bytes of a dump in ranges that grow, as its table of contents may."""
    start, size = 0, TOC_RANGE_BYTES
    while start < dump.size_bytes:
        end = min(start + size, dump.size_bytes)
        yield storage.read_range(dump.key, start, end)
        start, size = end, size * 2
