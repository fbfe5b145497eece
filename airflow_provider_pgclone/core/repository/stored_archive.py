"""An archive in storage: what it tells of itself, and whether its bytes are those written."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import (
    DATA,
    HEAD_BYTES,
    MAGIC,
    TAIL_BYTES,
    Footer,
    Manifest,
    Toc,
    manifest_head,
    read_footer,
    read_manifest,
    read_toc,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.storage import Storage

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

    :param manifest: its manifest; ``None`` where pg_dump or another program wrote it.
    :param manifest_sha256: of the manifest, in hexadecimal, and so of all that the archive holds.
    """

    storage: Storage
    dump: Dump
    toc: Toc
    manifest: Manifest | None
    manifest_sha256: str = ""

    @property
    def required_manifest(self) -> Manifest:
        """Its manifest.

        :raises UnsupportedError: when it has none.
        """
        if self.manifest is None:
            raise UnsupportedError(
                f"{self.dump.key} was not made by this package: it has no manifest"
            )
        return self.manifest


@dataclass(frozen=True)
class _End:
    """The last block of one of our archives.

    :param head: what it has before the manifest.
    """

    head: bytes
    footer: Footer
    manifest: Manifest

    @property
    def start(self) -> int:
        return self.footer.offset - HEAD_BYTES


def open_archive(storage: Storage, dump: Dump) -> Archive:
    """Read the table of contents and the manifest of a dump, and little more.

    :raises ArchiveError: when they are damaged, do not fit each other or have no end.
    """
    with naming(dump):
        return _opened(storage, dump)


def read_manifest_of(storage: Storage, dump: Dump) -> Manifest | None:
    """Read the manifest of a dump and not what it is of; ``None`` where it has none.

    :raises ArchiveError: when it is damaged, or the dump has no start or no end.
    """
    with naming(dump):
        if end := _read_end(storage, dump):
            return end.manifest
        _check_header(storage.read_range(dump.key, 0, min(dump.size_bytes, _HEADER_BYTES)))
        return None


def check_bytes(archive: Archive, cancellation: Cancellation) -> None:
    """Read a whole archive, and raise where its bytes are not those that were written.

    :raises ArchiveError: naming the table of the first block that differs.
    :raises UnsupportedError: when it is not ours, so that there is nothing to check it by.
    """
    regions = _regions(archive.required_manifest)
    with naming(archive.dump):
        _check_regions(archive.storage.read(archive.dump.key, cancellation), regions, cancellation)


@contextmanager
def naming(dump: Dump) -> Iterator[None]:
    """Name the dump in the errors about its bytes."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{dump.key}: {error.message}", hint=error.hint) from error


def _opened(storage: Storage, dump: Dump) -> Archive:
    end = _read_end(storage, dump)
    if end is None:
        toc = read_toc(_start_of(storage, dump))
        if OUR_MARK in toc.pg_dump_version:
            raise ArchiveError(_NO_END)
        return Archive(storage, dump, toc, None)
    toc = _checked_toc(storage, dump, end.manifest)
    head = manifest_head(toc.unused_id, end.footer.length)
    if _check_entries(toc, end.manifest) != end.start or end.head != head:
        raise ArchiveError("the manifest of the archive is not where the last block ends")
    return Archive(storage, dump, toc, end.manifest, end.footer.sha256.hex())


def _read_end(storage: Storage, dump: Dump) -> _End | None:
    """Read the manifest of an archive, ``None`` where it has none."""
    if not dump.size_bytes:  # of which storage gives no range
        raise ArchiveError("the archive is empty")
    tail_start = max(0, dump.size_bytes - TAIL_BYTES)
    tail = storage.read_range(dump.key, tail_start, dump.size_bytes)
    footer = read_footer(tail, dump.size_bytes)
    if footer is None:
        return None
    end = footer.offset + footer.length
    block = storage.read_range(dump.key, footer.offset - HEAD_BYTES, end)
    return _End(block[:HEAD_BYTES], footer, read_manifest(block[HEAD_BYTES:], footer))


def _check_header(header: bytes) -> None:
    """Make sure that an archive that has no manifest may be without one."""
    if not header.startswith(MAGIC):
        raise ArchiveError("it is no archive of pg_dump")
    if OUR_MARK.encode() in header:
        raise ArchiveError(_NO_END)


def _checked_toc(storage: Storage, dump: Dump, manifest: Manifest) -> Toc:
    if not 0 < manifest.toc_bytes <= dump.size_bytes:
        raise ArchiveError("the manifest of the archive does not fit it: the archive is damaged")
    start = storage.read_range(dump.key, 0, manifest.toc_bytes)
    if hashlib.sha256(start).hexdigest() != manifest.toc_sha256:
        raise ArchiveError("the table of contents differs from what was written: it is damaged")
    return read_toc(iter([start]))


def _start_of(storage: Storage, dump: Dump) -> Iterator[bytes]:
    """Yield the first bytes of a dump in ranges that grow, as its table of contents may."""
    start, size = 0, TOC_RANGE_BYTES
    while start < dump.size_bytes:
        end = min(start + size, dump.size_bytes)
        yield storage.read_range(dump.key, start, end)
        start, size = end, size * 2


def _check_entries(toc: Toc, manifest: Manifest) -> int:
    """Make sure that the manifest has the data of each entry once, with no byte between.

    :return: where the last block ends.
    """
    names = {one.dump_id: (one.namespace, one.tag) for one in toc.entries if one.has_data}
    offset = manifest.toc_bytes
    for entry in manifest.entries:
        name = names.pop(entry.block.dump_id, None)
        if name is None or (entry.block.kind == DATA and name != (entry.schema, entry.table)):
            raise ArchiveError(f"{entry.display_name} is not what the table of contents has there")
        if entry.block.offset != offset or entry.block.length <= 0:
            raise ArchiveError(f"{entry.display_name} is not where the one before it ends")
        offset += entry.block.length
    if names:
        dump_id, (schema, table) = next(iter(names.items()))
        raise ArchiveError(f"the data of {schema}.{table} (block {dump_id}) is not in the manifest")
    return offset


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


def _regions(manifest: Manifest) -> Iterator[Region]:
    """Yield what the archive holds one after another."""
    yield "the table of contents", manifest.toc_bytes, manifest.toc_sha256
    for entry in manifest.entries:
        yield entry.display_name, entry.block.length, entry.block.sha256
