"""Reads and writes the numbers, strings and markers of a custom-format archive."""

import struct
from collections.abc import Iterator

from airflow_provider_pgclone.core.errors import ArchiveError

MAGIC = b"PGDMP"
# The kinds of blocks: BLK_… in pg_backup_archiver.h.
DATA, LARGE_OBJECTS = 1, 3
INT_BYTES, OFFSET_BYTES = 4, 8
# The sign of a number, then its magnitude, by the number of bytes in the magnitude.
INTEGERS = {4: struct.Struct("<?I"), 8: struct.Struct("<?Q")}
_INTEGER = INTEGERS[INT_BYTES]
# The length of the empty chunk that ends a block.
END = _INTEGER.pack(False, 0)
PIECE_BYTES = 1024 * 1024
_MAX_STRING_BYTES = 1 << 30
# What we can write. A header that says that numbers have 8 bytes allows larger ones, but pg_dump
# writes none: they are of C's type int.
_MAX_MAGNITUDE = (1 << 8 * INT_BYTES) - 1


class ArchiveReader:
    """Reads the numbers and strings of an archive from chunks of its bytes.

    :ivar has_ended: whether a read found too few bytes.
    :ivar integers: the encoding of numbers, as the header of the archive defines it.
    :ivar offset_bytes: the size of offsets, as the header defines it.
    :raises ArchiveError: from each method, when the archive ends too early.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._position = 0
        self.has_ended = False
        self.integers = _INTEGER
        self.offset_bytes = OFFSET_BYTES

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        if count < 0:
            raise ArchiveError(f"the archive has a length of {count} bytes: it is damaged")
        if len(self._buffer) - self._position < count:
            self._fill(count)
        taken = self._buffer[self._position : self._position + count]
        self._position += count
        return taken

    def at_end(self) -> bool:
        """Tell whether all bytes were read."""
        while self._position == len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._buffer, self._position = chunk, 0
        return False

    def rest(self) -> Iterator[bytes]:
        """Yield all bytes that were not read yet."""
        rest, self._buffer, self._position = self._buffer[self._position :], b"", 0
        if rest:
            yield rest
        yield from self._chunks

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        end = self._position + self.integers.size
        if end > len(self._buffer):
            self._fill(self.integers.size)
            end = self.integers.size
        negative: bool
        value: int
        negative, value = self.integers.unpack_from(self._buffer, self._position)
        self._position = end
        if value > _MAX_MAGNITUDE:
            raise ArchiveError(f"the archive has the number {value}: it is damaged")
        return -value if negative else value

    def text(self) -> str | None:
        """Return the next string, ``None`` for the null string."""
        length = self.integer()
        if length < 0:
            return None
        if length > _MAX_STRING_BYTES:
            raise ArchiveError(f"the archive has a string of {length} bytes: it is damaged")
        return self.take(length).decode(errors="surrogateescape")

    def _fill(self, count: int) -> None:
        """Read chunks until the buffer has at least ``count`` bytes."""
        pieces = [self._buffer[self._position :]]
        missing = count - len(pieces[0])
        while missing > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.has_ended = True
                raise ArchiveError("the archive ends too early")
            pieces.append(chunk)
            missing -= len(chunk)
        self._buffer, self._position = b"".join(pieces), 0


def write_integer(value: int) -> bytes:
    """Return a number as bytes of an archive: its sign, then its magnitude."""
    return _INTEGER.pack(value < 0, abs(value))


def write_text(value: str | None) -> bytes:
    """Return a string as bytes of an archive; ``None`` is its null string."""
    if value is None:
        return write_integer(-1)
    data = value.encode(errors="surrogateescape")
    return write_integer(len(data)) + data
