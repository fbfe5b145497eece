"""Opens an archive in storage: reads its table of contents and manifest, and checks its bytes."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_pgclone.core.archive import (
    DATA,
    HEAD_BYTES,
    MAGIC,
    SIGNATURE,
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
# Our archives have this mark after the version of pg_dump in their header. Only pg_restore --list
# shows it.
OUR_MARK = "airflow-provider-pgclone"
# The header, and so the mark, is shorter than this.
_HEADER_BYTES = 4096
_NO_END = "the end is missing: the archive was cut"

# The name, length and hash of a part of an archive.
Region = tuple[str, int, str]


@dataclass(frozen=True)
class Archive:
    """A dump in storage, with its table of contents and its manifest.

    :param manifest: ``None`` if pg_dump or another program wrote the dump.
    :param manifest_sha256: the hash of the manifest, in hexadecimal. It identifies the whole
        archive, since the manifest contains the hashes of all other bytes.
    :param manifest_values: the manifest as JSON values, with its signature if it has one.
    """

    storage: Storage
    dump: Dump
    toc: Toc
    manifest: Manifest | None
    manifest_sha256: str = ""
    manifest_values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def required_manifest(self) -> Manifest:
        """The manifest.

        :raises UnsupportedError: when the dump has no manifest.
        """
        if self.manifest is None:
            raise UnsupportedError(
                f"{self.dump.key} was not made by this package: it has no manifest"
            )
        return self.manifest

    @property
    def is_signed(self) -> bool:
        """Whether it has a signature, of any key."""
        return SIGNATURE in self.manifest_values


@dataclass(frozen=True)
class _End:
    """The last block of an archive of ours.

    :param head: the bytes that precede the manifest.
    """

    head: bytes
    footer: Footer
    values: Mapping[str, Any]

    @property
    def manifest(self) -> Manifest:
        return Manifest.from_json(self.values)

    @property
    def start(self) -> int:
        return self.footer.offset - HEAD_BYTES


def open_archive(storage: Storage, dump: Dump) -> Archive:
    """Read the table of contents and the manifest of a dump, but not its data.

    :raises ArchiveError: when they are damaged or do not fit each other, or the dump was cut.
    """
    with naming(dump):
        return _opened(storage, dump)


def read_manifest_of(storage: Storage, dump: Dump) -> Manifest | None:
    """Read only the manifest of a dump; ``None`` if the dump has no manifest.

    :raises ArchiveError: when the manifest is damaged, or the dump is not an archive or was cut.
    """
    found = read_signed_manifest_of(storage, dump)
    return found[0] if found else None


def read_signed_manifest_of(storage: Storage, dump: Dump) -> tuple[Manifest, bool] | None:
    """Read the manifest of a dump, and whether it has a signature, of any key.

    :raises ArchiveError: as :func:`read_manifest_of` does.
    """
    with naming(dump):
        if end := _read_end(storage, dump):
            return end.manifest, SIGNATURE in end.values
        _check_header(storage.read_range(dump.key, 0, min(dump.size_bytes, _HEADER_BYTES)))
        return None


def check_bytes(archive: Archive, cancellation: Cancellation) -> None:
    """Read a whole archive, and compare its bytes with the hashes in the manifest.

    :raises ArchiveError: when bytes differ; it names the table of the first such block.
    :raises UnsupportedError: when the archive has no manifest.
    """
    regions = _regions(archive.required_manifest)
    with naming(archive.dump):
        _check_regions(archive.storage.read(archive.dump.key, cancellation), regions, cancellation)


@contextmanager
def naming(dump: Dump) -> Iterator[None]:
    """Name the dump in errors about its bytes."""
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
    manifest = end.manifest
    toc = _checked_toc(storage, dump, manifest)
    head = manifest_head(toc.unused_id, end.footer.length)
    if _check_entries(toc, manifest) != end.start or end.head != head:
        raise ArchiveError("the manifest of the archive does not start where the last block ends")
    return Archive(storage, dump, toc, manifest, end.footer.sha256.hex(), end.values)


def _read_end(storage: Storage, dump: Dump) -> _End | None:
    """Read the last block of an archive; ``None`` if the archive has no manifest."""
    if not dump.size_bytes:  # storage cannot return a range of an empty object
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
    """Check that an archive without a manifest was written by pg_dump, not by this package."""
    if not header.startswith(MAGIC):
        raise ArchiveError("it is not an archive of pg_dump")
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
    """Yield the bytes of a dump from its start, in ranges of growing size."""
    start, size = 0, TOC_RANGE_BYTES
    while start < dump.size_bytes:
        end = min(start + size, dump.size_bytes)
        yield storage.read_range(dump.key, start, end)
        start, size = end, size * 2


def _check_entries(toc: Toc, manifest: Manifest) -> int:
    """Check that the manifest has one block for each entry with data, without gaps between blocks.

    :return: the offset at which the last block ends.
    """
    names = {one.dump_id: one.table for one in toc.entries if one.has_data}
    offset = manifest.toc_bytes
    for entry in manifest.entries:
        name = names.pop(entry.block.dump_id, None)
        if name is None or (entry.block.kind == DATA and name != (entry.schema, entry.table)):
            raise ArchiveError(f"{entry.display_name} does not fit the table of contents")
        if entry.block.offset != offset or entry.block.length <= 0:
            raise ArchiveError(f"{entry.display_name} does not follow the block before it")
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
    """Yield the table of contents and the blocks, in the order of the archive."""
    yield "the table of contents", manifest.toc_bytes, manifest.toc_sha256
    for entry in manifest.entries:
        yield entry.display_name, entry.block.length, entry.block.sha256
