"""Reads the data blocks of archives. The blocks of our own archives are checked on the way."""

import hashlib
import zlib
from collections.abc import Iterator

import zstandard

from airflow_provider_pgclone.core.archive.compression import decompress
from airflow_provider_pgclone.core.archive.encoding import (
    DATA,
    LARGE_OBJECTS,
    PIECE_BYTES,
    ArchiveReader,
)
from airflow_provider_pgclone.core.archive.manifest import ManifestEntry
from airflow_provider_pgclone.core.archive.rows import COPY_END
from airflow_provider_pgclone.core.errors import ArchiveError


def read_blocks(reader: ArchiveReader) -> Iterator[tuple[int, int]]:
    """Yield the kind and the dump id of each block; read its content before the next block.

    :raises ArchiveError: when no pg_dump writes blocks of this kind.
    """
    while not reader.at_end():
        kind = reader.byte()
        if kind not in (DATA, LARGE_OBJECTS):
            raise ArchiveError(f"the archive has a block of unknown kind {kind}")
        yield kind, reader.integer()


def read_pieces(reader: ArchiveReader) -> Iterator[bytes]:
    """Yield the content of a block in pieces that are large enough to compress well.

    pg_dump writes each row by itself, and an end marker after the rows. The end marker is a piece
    of its own.
    """
    gathered: list[bytes] = []
    size = 0
    while length := reader.integer():
        while length:  # a row may be too large for memory
            part = reader.take(min(length, PIECE_BYTES))
            is_end = length == len(COPY_END) and part == COPY_END
            length -= len(part)
            if not is_end:
                gathered.append(part)
                size += len(part)
            if gathered and (is_end or size >= PIECE_BYTES):
                yield b"".join(gathered)
                gathered, size = [], 0
            if is_end:
                yield COPY_END
    if gathered:
        yield b"".join(gathered)


def read_large_objects(reader: ArchiveReader) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Yield the OID and the content of each large object of a block."""
    while oid := reader.integer():
        yield oid, read_pieces(reader)


class BlockContent:
    """Reads one block of an archive of ours, and checks it.

    :param pieces: the bytes of the block in the archive.
    :raises ArchiveError: from the iterators, naming the table, when the bytes differ from what was
        written. Do not use what they yielded before.
    """

    def __init__(self, entry: ManifestEntry, pieces: Iterator[bytes], compression: str) -> None:
        self._entry = entry
        self._compression = compression
        self._digest = hashlib.sha256()
        self._reader = ArchiveReader(self._hashed(pieces))

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of a table in the text format of COPY."""
        try:
            self._start(DATA)
            yield from decompress(self._compression, self._payloads())
        except (ArchiveError, zstandard.ZstdError, zlib.error) as error:
            raise self._damaged() from error
        self._end()

    def large_objects(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the OID and the content of each large object."""
        try:
            self._start(LARGE_OBJECTS)
            while oid := self._reader.integer():
                yield oid, self._object()
        except ArchiveError as error:
            raise self._damaged() from error
        self._end()

    def _object(self) -> Iterator[bytes]:
        try:
            yield from decompress(self._compression, self._payloads())
        except (ArchiveError, zstandard.ZstdError, zlib.error) as error:
            raise self._damaged() from error

    def _payloads(self) -> Iterator[bytes]:
        while length := self._reader.integer():
            yield self._reader.take(length)

    def _start(self, kind: int) -> None:
        if (self._reader.byte(), self._reader.integer()) != (kind, self._entry.block.dump_id):
            raise self._damaged()

    def _end(self) -> None:
        if not self._reader.at_end() or self._digest.hexdigest() != self._entry.block.sha256:
            raise self._damaged()

    def _hashed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._digest.update(piece)
            yield piece

    def _damaged(self) -> ArchiveError:
        name = self._entry.display_name
        return ArchiveError(f"{name} differs from what was written: it is damaged")
