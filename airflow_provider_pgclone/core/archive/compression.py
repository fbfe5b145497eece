"""Compresses and decompresses the data blocks of an archive, as its format requires."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard
from isal import isal_zlib

# At level 1, zstd and isal keep up with two COPYs on two cores.
DEFAULT_ZSTD_LEVEL = 1
GZIP_LEVEL = 1
# The end marker that pg_dump writes after the rows of a table. Scripts of pg_restore need it.
COPY_END = b"\\.\n\n\n"


@dataclass(frozen=True)
class Chunk:
    """A compressed piece of a block.

    :param payload: the bytes in the archive; never empty, since an empty chunk ends a block.
    :param raw_bytes: the size of the piece before compression.
    :param rows: the number of rows that end in the piece.
    """

    payload: bytes
    raw_bytes: int
    rows: int


class Compressor(Protocol):
    """Compresses one block after another; use it in one thread only."""

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        """Compress the pieces of a block in order."""


class ZstdCompressor:
    """Compresses each piece to one frame, since pg_restore ignores data after a frame in a chunk.

    A frame has a checksum of its content, so that stock pg_restore notices a flipped bit.
    """

    def __init__(self, level: int = DEFAULT_ZSTD_LEVEL) -> None:
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True)

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        for piece in pieces:
            # Copied, since compress() returns a buffer that was allocated for the worst case.
            payload = bytes(memoryview(self._zstd.compress(piece)))
            yield Chunk(payload, len(piece), count_rows(piece))


class GzipCompressor:
    """Compresses each block to one zlib stream, for archives of pg_dump 15 and older."""

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        stream = isal_zlib.compressobj(GZIP_LEVEL)
        raw_bytes, rows = 0, 0
        for piece in pieces:
            raw_bytes, rows = raw_bytes + len(piece), rows + count_rows(piece)
            payload = stream.compress(piece)
            if payload:
                yield Chunk(payload, raw_bytes, rows)
                raw_bytes, rows = 0, 0
        yield Chunk(stream.flush(), raw_bytes, rows)


def compressor_of(compression: str, level: int = DEFAULT_ZSTD_LEVEL) -> Compressor:
    """Return a compressor for the blocks of an archive.

    :param compression: ``zstd`` or ``gzip``.
    :param level: the level of zstd.
    """
    return ZstdCompressor(level) if compression == "zstd" else GzipCompressor()


def decompress(compression: str, payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a block in an archive of ours.

    :raises zstandard.ZstdError: for a damaged frame.
    :raises zlib.error: for a damaged stream.
    """
    if compression == "zstd":
        zstd = zstandard.ZstdDecompressor()
        for payload in payloads:
            yield zstd.decompress(payload)
        return
    stream = zlib.decompressobj()
    for payload in payloads:
        yield stream.decompress(payload)
    yield stream.flush()


def count_rows(piece: bytes) -> int:
    """Return the number of rows in COPY's text format that end in a piece.

    The end marker is not a row. It is recognized as an object, since a row may have the same bytes.
    """
    return 0 if piece is COPY_END else piece.count(b"\n")
