"""Writes the data blocks of a custom-format archive.

``_WriteData``, ``_StartData`` and ``_StartLO`` in ``pg_backup_custom.c`` define a block: its kind,
its dump id, chunks with their lengths, and an empty chunk at the end. In a block of large objects,
the OID of each object precedes its chunks, and OID 0 ends the block.
"""

import hashlib
from collections.abc import Callable, Iterable

from airflow_provider_pgclone.core.archive.compression import Chunk, Compressor
from airflow_provider_pgclone.core.archive.encoding import (
    DATA,
    END,
    LARGE_OBJECTS,
    PIECE_BYTES,
    write_integer,
)
from airflow_provider_pgclone.core.archive.manifest import Block
from airflow_provider_pgclone.core.archive.rows import Piece, RowCount


class BufferedWriter:
    """Joins small writes into large ones. An archive has at least five small writes a block."""

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
    """Writes blocks one after another, and keeps a list of them.

    :param write: receives the bytes of the archive.
    :param offset: the number of bytes that the archive has before the first block.
    """

    def __init__(self, write: Callable[[bytes], None], offset: int) -> None:
        self._write = write
        self.offset = offset
        self.blocks: list[Block] = []

    def data(self, dump_id: int, chunks: Iterable[Chunk], count: RowCount) -> None:
        """Write a block with the rows of a table or of a range of its pages.

        :param count: has their number once all chunks are read.
        """
        block = _OpenBlock(self._write)
        block.put(bytes([DATA]) + write_integer(dump_id))
        for chunk in chunks:
            block.chunk(chunk)
        block.put(END)
        self._note(dump_id, DATA, block, count.rows)

    def large_objects(
        self,
        dump_id: int,
        objects: Iterable[tuple[int, Iterable[bytes]]],
        compressor: Compressor,
    ) -> None:
        """Write a block with large objects, and compress each of them separately."""
        block, count = _OpenBlock(self._write), 0
        block.put(bytes([LARGE_OBJECTS]) + write_integer(dump_id))
        for oid, pieces in objects:
            block.put(write_integer(oid))
            for chunk in compressor.chunks(pieces):
                block.chunk(chunk)
            block.put(END)
            count += 1
        block.put(write_integer(0))
        self._note(dump_id, LARGE_OBJECTS, block, count)

    def _note(self, dump_id: int, kind: int, written: "_OpenBlock", rows: int) -> None:
        block = Block(
            dump_id=dump_id,
            kind=kind,
            offset=self.offset,
            length=written.length,
            raw_bytes=written.raw_bytes,
            rows=rows,
            sha256=written.digest.hexdigest(),
        )
        self.blocks.append(block)
        self.offset += block.length


class _OpenBlock:
    """Writes one block, and counts and hashes its bytes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.digest = hashlib.sha256()
        self.length = self.raw_bytes = 0

    def put(self, data: bytes) -> None:
        self.digest.update(data)
        self.length += len(data)
        self._write(data)

    def chunk(self, chunk: Chunk) -> None:
        self.put(write_integer(len(chunk.payload)))
        self.put(chunk.payload)
        self.raw_bytes += chunk.raw_bytes


def write_rows(write: Callable[[Piece], object], dump_id: int, pieces: Iterable[Piece]) -> None:
    """Write a block with the rows of a table, for an archive without compression."""
    write(bytes([DATA]) + write_integer(dump_id))
    _write_chunks(write, pieces)


def write_objects(
    write: Callable[[Piece], object],
    dump_id: int,
    objects: Iterable[tuple[int, Iterable[bytes]]],
) -> None:
    """Write a block with large objects, for an archive without compression."""
    write(bytes([LARGE_OBJECTS]) + write_integer(dump_id))
    for oid, pieces in objects:
        write(write_integer(oid))
        _write_chunks(write, pieces)
    write(write_integer(0))


def _write_chunks(write: Callable[[Piece], object], pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        if piece:  # an empty chunk would end the block
            write(write_integer(len(piece)))
            write(piece)
    write(END)
