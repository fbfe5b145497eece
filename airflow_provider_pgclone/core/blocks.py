"""The data blocks of a custom-format archive: read from pg_dump's, and written as ours.

``_WriteData``, ``_StartData`` and ``_StartLO`` in ``pg_backup_custom.c`` define them: the kind, the
dump id, chunks with their length, and an empty chunk at the end; of large objects each has its OID
before its chunks, and OID 0 ends the block.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import ArchiveReader, write_integer
from airflow_provider_pgclone.core.compression import COPY_END, Chunk, Compressor
from airflow_provider_pgclone.core.errors import ArchiveError

DATA, LARGE_OBJECTS = 1, 3
PIECE_BYTES = 1024 * 1024
_END = write_integer(0)


@dataclass(frozen=True)
class Block:
    """Where a block of an archive is, and what tells whether it is whole.

    :param offset: of its first byte in the archive, and ``length`` its bytes there.
    :param raw_bytes: how many bytes its content has.
    :param rows: how many rows of a table, or large objects.
    :param sha256: of its bytes in the archive, in hexadecimal.
    """

    dump_id: int
    kind: int
    offset: int
    length: int
    raw_bytes: int
    rows: int
    sha256: str


class Gathering:
    """Gathers small writes, of which an archive has five a block, into large ones."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._gathered: list[bytes] = []
        self._size = 0

    def __call__(self, data: bytes) -> None:
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._size:
            self._write(b"".join(self._gathered))
        self._gathered, self._size = [], 0


class BlockWriter:
    """Writes blocks one after another, and keeps an account of them.

    :param write: takes the bytes of the archive.
    :param offset: how many were written before.
    """

    def __init__(self, write: Callable[[bytes], None], offset: int) -> None:
        self._write = write
        self.offset = offset
        self.blocks: list[Block] = []

    def data(self, dump_id: int, chunks: Iterable[Chunk]) -> None:
        """Write the rows of a table, or of a range of it."""
        account = _Account(self._write)
        account.put(bytes([DATA]) + write_integer(dump_id))
        for chunk in chunks:
            account.chunk(chunk)
        account.put(_END)
        self._note(dump_id, DATA, account, account.rows)

    def large_objects(
        self,
        dump_id: int,
        objects: Iterable[tuple[int, Iterable[bytes]]],
        compressor: Compressor,
    ) -> None:
        """Write large objects, each compressed on its own."""
        account, count = _Account(self._write), 0
        account.put(bytes([LARGE_OBJECTS]) + write_integer(dump_id))
        for oid, pieces in objects:
            account.put(write_integer(oid))
            for chunk in compressor.chunks(pieces):
                account.chunk(chunk)
            account.put(_END)
            count += 1
        account.put(write_integer(0))
        self._note(dump_id, LARGE_OBJECTS, account, count)

    def _note(self, dump_id: int, kind: int, account: "_Account", rows: int) -> None:
        block = Block(
            dump_id=dump_id,
            kind=kind,
            offset=self.offset,
            length=account.length,
            raw_bytes=account.raw_bytes,
            rows=rows,
            sha256=account.digest.hexdigest(),
        )
        self.blocks.append(block)
        self.offset += block.length


class _Account:
    """Counts and hashes what is written of one block."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.digest = hashlib.sha256()
        self.length = self.raw_bytes = self.rows = 0

    def put(self, data: bytes) -> None:
        self.digest.update(data)
        self.length += len(data)
        self._write(data)

    def chunk(self, chunk: Chunk) -> None:
        self.put(write_integer(len(chunk.payload)))
        self.put(chunk.payload)
        self.raw_bytes += chunk.raw_bytes
        self.rows += chunk.rows


def read_blocks(reader: ArchiveReader) -> Iterator[tuple[int, int]]:
    """Yield the kind and the dump id of each block; its content must be read before the next.

    :raises ArchiveError: when a block is of a kind that no pg_dump writes.
    """
    while not reader.at_end():
        kind = reader.byte()
        if kind not in (DATA, LARGE_OBJECTS):
            raise ArchiveError(f"the archive has a block of the unknown kind {kind}")
        yield kind, reader.integer()


def read_pieces(reader: ArchiveReader) -> Iterator[bytes]:
    """Yield the content of a block in pieces of a size worth compressing.

    pg_dump writes row by row, and the end of the rows by itself, which is a piece of its own here.
    """
    gathered: list[bytes] = []
    size = 0
    while length := reader.integer():
        while length:  # a row may be larger than memory should be
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
