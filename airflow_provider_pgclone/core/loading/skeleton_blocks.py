"""Hands the blocks of a running pg_dump to the units that load them.

pg_dump writes one block after another, so units read one after another. A unit keeps what it has
read in memory: the next one reads while the rows of this one are on their way to the server.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from airflow_provider_pgclone.core.archive import (
    DATA,
    Piece,
    RowCount,
    TocEntry,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.executing import BlockSink
from airflow_provider_pgclone.core.reading import Skeleton
from airflow_provider_pgclone.core.scheduling import SERIAL_BYTES, Unit


@dataclass(frozen=True)
class _Rows:
    """The rows of a block.

    :param pieces: those that are kept, and then those that are still to read.
    :param count: has the number of rows once all pieces are taken.
    """

    pieces: Iterator[Piece]
    count: RowCount


class SkeletonBlocks:
    """The blocks of pg_dump, in memory or still to read.

    One unit after another reads its blocks. A unit whose blocks are read may write them at any
    time; each unit writes them in the order in which they were read.

    :param ids: the ids of the entries with a block.
    """

    def __init__(self, skeleton: Skeleton, ids: Collection[int]) -> None:
        self._skeleton = skeleton
        self._ids = frozenset(ids)
        self._blocks = read_blocks(skeleton.reader)
        # What was begun; None for large objects, which are not kept.
        self._begun: dict[int, _Rows | None] = {}

    def first_of(self, unit: Unit) -> TocEntry | None:
        """Return the first entry of a unit that has a block."""
        return next((entry for entry in unit.entries if entry.dump_id in self._ids), None)

    def read_ahead(self, unit: Unit) -> bool:
        """Read the blocks of a unit as far as they may be kept, and tell whether that is all.

        :raises ArchiveError: when pg_dump wrote another block, or ended too early.
        :raises ToolError: when pg_dump failed.
        """
        room = SERIAL_BYTES
        with self._skeleton.explaining_failure():
            for dump_id in (one.dump_id for one in unit.entries if one.dump_id in self._ids):
                rows = self._begin(dump_id)
                kept: list[Piece] = []
                self._begun[dump_id] = rows and _Rows(chain(kept, rows.pieces), rows.count)
                for piece in rows.pieces if rows else ():
                    kept.append(piece)
                    room -= len(piece)
                    if room < 0:
                        return False
                if rows is None:
                    return False
        return True

    def write(self, dump_id: int, sink: BlockSink) -> int:
        """Write the block of an entry, and return its number of rows.

        :raises ArchiveError: when pg_dump wrote another block, or ended too early.
        :raises ToolError: when pg_dump failed.
        """
        with self._skeleton.explaining_failure():
            is_begun = dump_id in self._begun
            rows = self._begun.pop(dump_id) if is_begun else self._begin(dump_id)
            if rows is None:
                sink.write_large_objects(read_large_objects(self._skeleton.reader))
                return 0
            sink.write_rows(rows.pieces)
            return rows.count.rows

    def finish(self) -> None:
        """Check that pg_dump succeeded, and did not write blocks that are not announced.

        :raises ArchiveError: when it wrote another block.
        :raises ToolError: when it failed.
        """
        with self._skeleton.explaining_failure():
            for _, dump_id in self._blocks:
                raise ArchiveError(
                    f"pg_dump wrote block {dump_id}, which is not in its table of contents"
                )
        self._skeleton.pg_dump.wait_for_success()

    def _begin(self, dump_id: int) -> _Rows | None:
        """Return the rows of the next block; ``None`` if it has large objects."""
        kind, found = next(self._blocks, (0, 0))
        if found != dump_id:
            raise ArchiveError(f"pg_dump wrote block {found} instead of block {dump_id}")
        if kind != DATA:
            return None
        count = RowCount()
        return _Rows(count.counted(read_pieces(self._skeleton.reader)), count)
