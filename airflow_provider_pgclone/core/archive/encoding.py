"""The numbers, strings and markers of a custom-format archive, as bytes."""

import struct
from collections.abc import Iterator

from airflow_provider_pgclone.core.errors import ArchiveError

MAGIC = b"PGDMP"
DATA, LARGE_OBJECTS = 1, 3
INT_BYTES, OFFSET_BYTES = 4, 8
# The sign of a number, then its magnitude, by how many bytes that has.
INTEGERS = {4: struct.Struct("<?I"), 8: struct.Struct("<?Q")}
_INTEGER = INTEGERS[INT_BYTES]
END = _INTEGER.pack(False, 0)
PIECE_BYTES = 1024 * 1024
_MAX_STRING_BYTES = 1 << 30


class ArchiveReader:
    """Reads the numbers and strings of an archive from chunks, one after another."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._position = 0
        self.has_ended = False  # whether a chunk more was wanted than there were
        self.integers = _INTEGER
        self.offset_bytes = 8

    def take(self, count: int) -> bytes:
        if len(self._buffer) - self._position < count:
            self._fill(count)
        taken = self._buffer[self._position : self._position + count]
        self._position += count
        return taken

    def at_end(self) -> bool:
        """Whether all bytes were taken."""
        while self._position == len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._buffer, self._position = chunk, 0
        return False

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
        return -value if negative else value

    def text(self) -> str | None:
        length = self.integer()
        if length < 0:
            return None
        if length > _MAX_STRING_BYTES:
            raise ArchiveError(f"the archive has a string of {length} bytes: it is damaged")
        return self.take(length).decode(errors="surrogateescape")

    def _fill(self, count: int) -> None:
        """Have at least ``count`` bytes in the buffer."""
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
    """Return a number as archives hold it: its sign, then its magnitude."""
    return _INTEGER.pack(value < 0, abs(value))


def write_text(value: str | None) -> bytes:
    if value is None:
        return write_integer(-1)
    data = value.encode(errors="surrogateescape")
    return write_integer(len(data)) + data
