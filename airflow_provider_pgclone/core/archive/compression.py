"""Compression of the data blocks of an archive, as its format wants it."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard
from isal import isal_zlib

# zstd 1 and isal 1 keep up with two COPYs on two cores.
DEFAULT_ZSTD_LEVEL = 1
GZIP_LEVEL = 1
# pg_dump ends the rows of a table so; a script that pg_restore writes for psql needs it.
COPY_END = b"\\.\n\n\n"


@dataclass(frozen=True)
class Chunk:
    """A piece of a block, compressed.

    :param payload: what the archive holds; never empty, since an empty chunk ends a block.
    :param raw_bytes: how many bytes it was before.
    :param rows: how many rows of a table ended in those.
    """

    payload: bytes
    raw_bytes: int
    rows: int


class Compressor(Protocol):
    """Compresses one block after another, in one thread."""

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        """Compress the pieces of a block in their order."""


class ZstdCompressor:
    """Each chunk is a frame of its own, as pg_restore drops what follows a frame in its chunk.

    A frame carries a checksum of its content, by which stock pg_restore notices a flipped bit.
    """

    def __init__(self, level: int = DEFAULT_ZSTD_LEVEL) -> None:
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True)

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[Chunk]:
        for piece in pieces:
            # A copy, since what compress() returns was allocated for the worst case.
            payload = bytes(memoryview(self._zstd.compress(piece)))
            yield Chunk(payload, len(piece), count_rows(piece))


class GzipCompressor:
    """One zlib stream a block, for archives of pg_dump 15 and older."""

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
    """Return a compressor for the blocks of an archive."""
    return ZstdCompressor(level) if compression == "zstd" else GzipCompressor()


def decompress(compression: str, payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a block of ours.

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
    """Return how many rows of COPY's text format end in a piece.

    The end of the rows comes as a piece of its own, and as this very object: a row may look alike.
    """
    return 0 if piece is COPY_END else piece.count(b"\n")
