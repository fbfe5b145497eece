"""An archive in storage: what it tells of itself, and whether its bytes are those written."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import MAGIC, Toc, read_toc
from airflow_provider_pgclone.core.blocks import DATA
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError
from airflow_provider_pgclone.core.listing import Dump
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.trailer import (
    HEAD_BYTES,
    TAIL_BYTES,
    Footer,
    Trailer,
    account_head,
    read_account,
    read_footer,
)

TOC_RANGE_BYTES = 256 * 1024
# Stands beside pg_dump's version in the header of our archives, which only a listing shows.
OUR_MARK = "airflow-provider-pgclone"
# More than the header can have before its first entry, and so the mark in it.
_HEADER_BYTES = 4096
_NO_END = "the end is missing: the archive was cut"


# The name, length and hash of what an archive has in one place.
Region = tuple[str, int, str]


@dataclass(frozen=True)
class Archive:
    """A dump in storage, as far as it tells of itself.

    :param trailer: its account; ``None`` where pg_dump or another program wrote it.
    :param account_sha256: of the account, in hexadecimal, and so of all that the archive holds.
    """

    storage: Storage
    dump: Dump
    toc: Toc
    trailer: Trailer | None
    account_sha256: str = ""

    @property
    def account(self) -> Trailer:
        """Its account.

        :raises UnsupportedError: when it has none.
        """
        if self.trailer is None:
            raise UnsupportedError(
                f"{self.dump.key} was not made by this package: it has no account"
            )
        return self.trailer


@contextmanager
def naming(dump: Dump) -> Iterator[None]:
    """Name the dump in the errors about its bytes."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{dump.key}: {error.message}", hint=error.hint) from error


def open_archive(storage: Storage, dump: Dump) -> Archive:
    """Read the table of contents and the account of a dump, and little more.

    :raises ArchiveError: when they are damaged, do not fit each other or have no end.
    """
    with naming(dump):
        return _opened(storage, dump)


def read_trailer(storage: Storage, dump: Dump) -> Trailer | None:
    """Read the account of a dump and not what it is of; ``None`` where it has none.

    :raises ArchiveError: when it is damaged, or the dump has no start or no end.
    """
    with naming(dump):
        if end := _read_end(storage, dump):
            return end.trailer
        _check_header(storage.read_range(dump.key, 0, min(dump.size_bytes, _HEADER_BYTES)))
        return None


def _check_header(header: bytes) -> None:
    """Make sure that an archive that has no account may be without one."""
    if not header.startswith(MAGIC):
        raise ArchiveError("it is no archive of pg_dump")
    if OUR_MARK.encode() in header:
        raise ArchiveError(_NO_END)


@dataclass(frozen=True)
class _End:
    """The last block of one of our archives.

    :param head: what it has before the account.
    """

    head: bytes
    footer: Footer
    trailer: Trailer

    @property
    def start(self) -> int:
        return self.footer.offset - HEAD_BYTES


def _read_end(storage: Storage, dump: Dump) -> _End | None:
    """Read the account of an archive, ``None`` where it has none."""
    if not dump.size_bytes:  # of which storage gives no range
        raise ArchiveError("the archive is empty")
    tail_start = max(0, dump.size_bytes - TAIL_BYTES)
    tail = storage.read_range(dump.key, tail_start, dump.size_bytes)
    footer = read_footer(tail, dump.size_bytes)
    if footer is None:
        return None
    end = footer.offset + footer.length
    block = storage.read_range(dump.key, footer.offset - HEAD_BYTES, end)
    return _End(block[:HEAD_BYTES], footer, read_account(block[HEAD_BYTES:], footer))


def _opened(storage: Storage, dump: Dump) -> Archive:
    end = _read_end(storage, dump)
    if end is None:
        toc = read_toc(_start_of(storage, dump))
        if OUR_MARK in toc.pg_dump_version:
            raise ArchiveError(_NO_END)
        return Archive(storage, dump, toc, None)
    toc = _checked_toc(storage, dump, end.trailer)
    head = account_head(toc.unused_id, end.footer.length)
    if _check_parts(toc, end.trailer) != end.start or end.head != head:
        raise ArchiveError("the account of the archive is not where the last block ends")
    return Archive(storage, dump, toc, end.trailer, end.footer.sha256.hex())


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


def check_bytes(archive: Archive, cancellation: Cancellation) -> None:
    """Read a whole archive, and raise where its bytes are not those that were written.

    :raises ArchiveError: naming the table of the first block that differs.
    :raises UnsupportedError: when it is not ours, so that there is nothing to check it by.
    """
    regions = _regions(archive.account)
    with naming(archive.dump):
        _check_regions(archive.storage.read(archive.dump.key, cancellation), regions, cancellation)


def _check_regions(
    chunks: Iterator[bytes], regions: Iterator[Region], cancellation: Cancellation
) -> None:
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
    if left:
        raise ArchiveError(f"the archive ends within {name}")


def _regions(trailer: Trailer) -> Iterator[Region]:
    """Yield what the archive holds one after another."""
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
