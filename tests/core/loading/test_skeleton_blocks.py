"""How units share the blocks that pg_dump writes one after another."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_provider_pgclone.core.archive import COPY_END, ArchiveReader, Piece
from airflow_provider_pgclone.core.archive.block_writer import write_objects, write_rows
from airflow_provider_pgclone.core.errors import ArchiveError, CancelledError
from airflow_provider_pgclone.core.loading import skeleton_blocks
from airflow_provider_pgclone.core.loading.skeleton_blocks import SkeletonBlocks
from airflow_provider_pgclone.core.reading import Skeleton

PATIENCE_SECONDS = 30


class Sink:
    """Notes what is written to it, once it may."""

    holds_large_objects = False

    def __init__(self, may_write: Callable[[], object] = lambda: None) -> None:
        self._may_write = may_write
        self.written = b""
        self.checks = threading.Event()

    def check(self) -> None:
        self.checks.set()

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        self._may_write()
        self.written = b"".join(pieces)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        self._may_write()
        self.written = b"".join(b"%d:" % oid + b"".join(pieces) for oid, pieces in objects)


def rows_of(dump_id: int) -> bytes:
    return b"".join(b"%d\t%d\n" % (dump_id, row) for row in range(dump_id))


def blocks_of(
    units: Sequence[Sequence[int]], stream: Sequence[int | str], read: list[int] | None = None
) -> SkeletonBlocks:
    """Return the blocks of a pg_dump that writes a stream.

    :param stream: the ids of blocks with as many rows; a text is the id of a block with objects.
    :param read: gets the ids of the blocks as they are read.
    """

    def chunks() -> Iterator[bytes]:
        for block in stream:
            archive = bytearray()
            if isinstance(block, int):
                write_rows(archive.extend, block, [rows_of(block), COPY_END])
            else:
                write_objects(archive.extend, int(block), [(1, [b"one"]), (2, [b"two"])])
            if read is not None:
                read.append(int(block))
            yield bytes(archive)

    skeleton = SimpleNamespace(
        reader=ArchiveReader(chunks()),
        explaining_failure=nullcontext,
        pg_dump=SimpleNamespace(wait_for_success=lambda: None),
    )
    return SkeletonBlocks(cast("Skeleton", cast("Any", skeleton)), units)


def test_blocks_are_written_with_their_number_of_rows() -> None:
    blocks = blocks_of([[3, 5], [4]], [3, 5, 4])
    for dump_id in (3, 5, 4):
        sink = Sink()
        assert blocks.write(dump_id, sink) == dump_id
        assert sink.written == rows_of(dump_id) + COPY_END
    blocks.finish()


def test_a_unit_is_read_while_the_one_before_is_loaded() -> None:
    blocks, second_is_loaded = blocks_of([[3, 4], [5]], [3, 4, 5]), threading.Event()
    first = Sink(lambda: second_is_loaded.wait(PATIENCE_SECONDS) or pytest.fail("it waits"))
    second = Sink()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(blocks.write, 3, first)
        assert blocks.write(5, second) == 5
        second_is_loaded.set()
        assert loading.result() == 3
    assert (first.written, second.written) == (rows_of(3) + COPY_END, rows_of(5) + COPY_END)
    assert blocks.write(4, Sink()) == 4
    blocks.finish()


@pytest.mark.parametrize("kept_bytes", [0, 10, 20, 37])  # of the 38 of the first unit
def test_a_unit_that_cannot_be_kept_is_read_before_the_next(
    kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skeleton_blocks, "KEPT_BYTES", kept_bytes)
    read: list[int] = []
    blocks, second, third = blocks_of([[3, 4], [5]], [3, 4, 5], read), Sink(), Sink()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(blocks.write, 5, third)
        assert third.checks.wait(PATIENCE_SECONDS)
        assert blocks.write(3, Sink()) == 3
        assert read == ([3, 4] if kept_bytes > len(rows_of(3) + COPY_END) else [3])
        assert blocks.write(4, second) == 4
        assert waiting.result() == 5
    assert (second.written, third.written) == (rows_of(4) + COPY_END, rows_of(5) + COPY_END)
    blocks.finish()


@pytest.mark.parametrize("unit", [[3, 7, 4], [7, 3, 4], [3, 4, 7], [7]])
def test_large_objects_are_not_kept(unit: list[int]) -> None:
    stream: list[int | str] = ["7" if dump_id == 7 else dump_id for dump_id in (*unit, 5)]
    blocks = blocks_of([unit, [5]], stream)
    for dump_id in (*unit, 5):
        sink = Sink()
        assert blocks.write(dump_id, sink) == (0 if dump_id == 7 else dump_id)
        assert sink.written == (b"1:one2:two" if dump_id == 7 else rows_of(dump_id) + COPY_END)
    blocks.finish()


def test_a_stop_ends_the_wait_for_a_turn() -> None:
    blocks, sink = blocks_of([[3], [4]], [3, 4]), Sink()

    def check() -> None:
        raise CancelledError("stopped")

    sink.check = check  # type: ignore[method-assign]
    with pytest.raises(CancelledError):
        blocks.write(4, sink)


def test_another_block_than_the_announced_is_refused() -> None:
    blocks = blocks_of([[3, 4]], [3, 5])
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 5 instead of block 4$"):
        blocks.write(3, Sink())
    blocks = blocks_of([[3]], [3, 5])
    blocks.write(3, Sink())
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 5, which is not in its table of"):
        blocks.finish()
    blocks = blocks_of([[3, 4]], [3])
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 0 instead of block 4$"):
        blocks.write(3, Sink())
