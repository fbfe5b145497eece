"""Hands the blocks of a running pg_dump to the units that load them.

pg_dump writes one block after another, so units read in turns. A unit keeps what it has read in
memory: the next one reads while the rows of this one are on their way to the server.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from airflow_provider_pgclone.core.archive import (
    DATA,
    Piece,
    RowCount,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.executing import BlockSink
from airflow_provider_pgclone.core.reading import Skeleton

# What a unit keeps of its blocks. If there is more, it is read when it is loaded.
KEPT_BYTES = 8 * 1024 * 1024
POLL_SECONDS = 0.5


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

    :param units: the ids of the entries of each unit, in the order in which pg_dump writes their
        blocks. Each unit writes its blocks in that order.
    """

    def __init__(self, skeleton: Skeleton, units: Sequence[Sequence[int]]) -> None:
        self._skeleton = skeleton
        self._blocks = read_blocks(skeleton.reader)
        self._units = units
        self._unit_of = {dump_id: place for place, ids in enumerate(units) for dump_id in ids}
        self._changed = threading.Condition()
        self._turn = 0
        self._kept: dict[int, _Rows] = {}
        # The kind and the entry of the block whose content comes next, if they were read.
        self._next: tuple[int, int] | None = None

    def write(self, dump_id: int, sink: BlockSink) -> int:
        """Write the block of an entry, and return its number of rows.

        :raises ArchiveError: when pg_dump wrote another block, or ended too early.
        :raises ToolError: when pg_dump failed.
        """
        unit = self._unit_of[dump_id]
        with self._skeleton.explaining_failure():
            if dump_id == self._units[unit][0]:
                self._wait_for_turn(unit, sink.check)
                self._keep(self._units[unit])
            rows = self._kept.pop(dump_id, None) or self._next_rows(dump_id)
            if rows is None:
                self._next = None
                sink.write_large_objects(read_large_objects(self._skeleton.reader))
            else:
                sink.write_rows(rows.pieces)
            if unit == self._turn and dump_id == self._units[unit][-1]:
                self._end_turn()
        return 0 if rows is None else rows.count.rows

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

    def _wait_for_turn(self, unit: int, check: Callable[[], None]) -> None:
        with self._changed:
            while self._turn != unit:
                check()
                self._changed.wait(POLL_SECONDS)

    def _end_turn(self) -> None:
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    def _keep(self, ids: Sequence[int]) -> None:
        """Read the blocks of a unit as far as they may be kept; end its turn if that is all."""
        room = KEPT_BYTES
        for dump_id in ids:
            rows = self._next_rows(dump_id)
            if rows is None:
                return
            kept: list[Piece] = []
            self._kept[dump_id] = _Rows(chain(kept, rows.pieces), rows.count)
            for piece in rows.pieces:
                kept.append(piece)
                room -= len(piece)
                if room < 0:
                    return
        self._end_turn()

    def _next_rows(self, dump_id: int) -> _Rows | None:
        """Return the rows of the next block; ``None`` if it has large objects."""
        self._next = self._next or next(self._blocks, (0, 0))
        kind, found = self._next
        if found != dump_id:
            raise ArchiveError(f"pg_dump wrote block {found} instead of block {dump_id}")
        if kind != DATA:
            return None
        self._next, count = None, RowCount()
        return _Rows(count.counted(read_pieces(self._skeleton.reader)), count)
