"""Compresses and decompresses the data blocks of an archive, as its format requires."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import zstandard
from isal import isal_zlib

from airflow_provider_pgclone.core.archive.rows import Piece

# At level 1, zstd and isal keep up with two COPYs on two cores.
DEFAULT_ZSTD_LEVEL = 1
GZIP_LEVEL = 1
# Of a stream that any level made, and the empty block that is the last one of a stream.
_ZLIB_HEADER, _LAST_OF_DEFLATE = b"\x78\x01", b"\x03\x00"
_ADLER_MODULUS = 65521


@dataclass(frozen=True)
class Chunk:
    """A compressed piece of a block.

    :param payload: the bytes in the archive; never empty, since an empty chunk ends a block.
    :param raw_bytes: the size of the piece before compression.
    :param adler32: the checksum of the piece before compression, where a zlib stream needs it.
    """

    payload: bytes
    raw_bytes: int
    adler32: int = 1


class Compressor(Protocol):
    """Compresses one block after another, or parts of blocks; use it in one thread only."""

    def part(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        """Compress the pieces of a part of a block in order."""

    def join(self, parts: Iterable[Iterable[Chunk]]) -> Iterator[Chunk]:
        """Make a block of its parts, which other compressors may have compressed."""

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        """Compress the pieces of a block in order."""


class ZstdCompressor:
    """Compresses each piece to one frame, since pg_restore ignores data after a frame in a chunk.

    A frame has a checksum of its content, so that stock pg_restore notices a flipped bit.
    """

    def __init__(self, level: int = DEFAULT_ZSTD_LEVEL) -> None:
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True)

    def part(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        for piece in pieces:
            # Copied, since compress() returns a buffer that was allocated for the worst case.
            payload = bytes(memoryview(self._zstd.compress(piece)))
            yield Chunk(payload, len(piece))

    def join(self, parts: Iterable[Iterable[Chunk]]) -> Iterator[Chunk]:
        return chain.from_iterable(parts)

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        return self.part(pieces)


class GzipCompressor:
    """Compresses each block to one zlib stream, for archives of pg_dump 15 and older.

    pg_restore reads one stream a block: ReadDataFromArchiveGzip() in compress_gzip.c. So a part is
    a piece of a stream that ends at a whole byte and is not the last one: RFC 1950 and RFC 1951.
    """

    def part(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        stream = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)
        raw_bytes, adler32 = 0, 1
        for piece in pieces:
            raw_bytes += len(piece)
            adler32 = isal_zlib.adler32(piece, adler32)
            payload = stream.compress(piece)
            if payload:
                yield Chunk(payload, raw_bytes, adler32)
                raw_bytes, adler32 = 0, 1
        yield Chunk(stream.flush(isal_zlib.Z_SYNC_FLUSH), raw_bytes, adler32)

    def join(self, parts: Iterable[Iterable[Chunk]]) -> Iterator[Chunk]:
        adler32 = 1
        yield Chunk(_ZLIB_HEADER, 0)
        for chunk in chain.from_iterable(parts):
            adler32 = joined_adler32(adler32, chunk.adler32, chunk.raw_bytes)
            yield chunk
        yield Chunk(_LAST_OF_DEFLATE + adler32.to_bytes(4, "big"), 0)

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        return self.join([self.part(pieces)])


def joined_adler32(first: int, second: int, second_bytes: int) -> int:
    """Return the checksum of two texts, one after the other, by those of each: RFC 1950.

    :param second_bytes: the length of the second text.
    """
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_bytes * ((first & 0xFFFF) - 1)
    return (high % _ADLER_MODULUS) << 16 | low % _ADLER_MODULUS


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
