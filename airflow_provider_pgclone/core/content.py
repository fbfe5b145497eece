"""What the blocks of our archives hold: checked and decompressed on the way."""

import hashlib
import zlib
from collections.abc import Iterator

import zstandard

from airflow_provider_pgclone.core.archive import ArchiveReader
from airflow_provider_pgclone.core.blocks import DATA, LARGE_OBJECTS
from airflow_provider_pgclone.core.compression import decompress
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.trailer import Part


class BlockContent:
    """Reads one block.

    :param pieces: its bytes in the archive.
    :raises ArchiveError: from its iterators, naming the table, when a byte is not what was written;
        what they have yielded before that is not to be used.
    """

    def __init__(self, part: Part, pieces: Iterator[bytes], compression: str) -> None:
        self._part = part
        self._compression = compression
        self._digest = hashlib.sha256()
        self._reader = ArchiveReader(self._hashed(pieces))

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of a table as COPY wrote them."""
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
        if (self._reader.byte(), self._reader.integer()) != (kind, self._part.block.dump_id):
            raise self._damaged()

    def _end(self) -> None:
        if not self._reader.at_end() or self._digest.hexdigest() != self._part.block.sha256:
            raise self._damaged()

    def _hashed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._digest.update(piece)
            yield piece

    def _damaged(self) -> ArchiveError:
        return ArchiveError(f"{self._part.name} differs from what was written: it is damaged")
