"""How units share the blocks that pg_dump writes one after another."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_provider_pgclone.core.archive import COPY_END, ArchiveReader, Piece
from airflow_provider_pgclone.core.archive.block_writer import write_objects, write_rows
from airflow_provider_pgclone.core.archive.toc import statement_entry
from airflow_provider_pgclone.core.errors import ArchiveError, ToolError
from airflow_provider_pgclone.core.loading import skeleton_blocks
from airflow_provider_pgclone.core.loading.skeleton_blocks import SkeletonBlocks
from airflow_provider_pgclone.core.reading import Skeleton
from airflow_provider_pgclone.core.scheduling.unit import Unit


class Sink:
    """Keeps what is written to it."""

    holds_large_objects = False
    written = b""

    def check(self) -> None:
        pass

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        self.written = b"".join(pieces)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        self.written = b"".join(b"%d:" % oid + b"".join(pieces) for oid, pieces in objects)


def rows_of(dump_id: int) -> bytes:
    return b"".join(b"%d\t%d\n" % (dump_id, row) for row in range(dump_id))


class FakePgDump:
    """A pg_dump that writes blocks, and may fail.

    :param stream: the ids of blocks with as many rows; a text is the id of a block with objects.
    """

    def __init__(self, stream: Sequence[int | str], failure: Exception | None = None) -> None:
        self.read: list[int] = []
        self.has_ended = False
        self._failure = failure
        skeleton = SimpleNamespace(
            reader=ArchiveReader(self._chunks(stream)),
            explaining_failure=self._explaining_failure,
            pg_dump=SimpleNamespace(wait_for_success=self._end),
        )
        ids = [int(block) for block in stream]
        self.blocks = SkeletonBlocks(cast("Skeleton", cast("Any", skeleton)), ids)

    def _chunks(self, stream: Sequence[int | str]) -> Iterator[bytes]:
        for block in stream:
            archive = bytearray()
            if isinstance(block, int):
                write_rows(archive.extend, block, [rows_of(block), COPY_END])
            else:
                write_objects(archive.extend, int(block), [(1, [b"one"]), (2, [b"two"])])
            self.read.append(int(block))
            yield bytes(archive)

    @contextmanager
    def _explaining_failure(self) -> Iterator[None]:
        try:
            yield
        except ArchiveError as error:
            raise self._failure or error from error

    def _end(self) -> None:
        self.has_ended = True


def unit(*ids: int) -> Unit:
    """Return a unit with data, and with something else."""
    kinds = [(1, "INDEX"), *((dump_id, "TABLE DATA") for dump_id in ids)]
    return Unit(0, tuple(statement_entry(dump_id, kind, "t", "") for dump_id, kind in kinds))


def check_written(blocks: SkeletonBlocks, *ids: int) -> None:
    for dump_id in ids:
        sink = Sink()
        assert blocks.write(dump_id, sink) == dump_id
        assert sink.written == rows_of(dump_id) + COPY_END


@pytest.mark.parametrize("is_ahead", [True, False])
def test_blocks_are_written_with_their_number_of_rows(is_ahead: bool) -> None:
    pg_dump = FakePgDump([3, 5, 4])
    blocks = pg_dump.blocks
    if is_ahead:
        assert blocks.read_ahead(unit(3, 5))
        assert pg_dump.read == [3, 5]
    check_written(blocks, 3, 5, 4)
    assert not pg_dump.has_ended
    blocks.finish()
    assert pg_dump.has_ended


def test_a_unit_may_write_what_it_has_read_after_others_have_read_theirs() -> None:
    blocks = FakePgDump([3, 4, 5]).blocks
    assert blocks.read_ahead(unit(3, 4))
    assert blocks.read_ahead(unit(5))
    check_written(blocks, 3, 5, 4)
    blocks.finish()


def test_a_unit_without_blocks_reads_nothing() -> None:
    pg_dump = FakePgDump([3])
    assert pg_dump.blocks.read_ahead(unit())
    assert pg_dump.read == []


# The first block has 17 bytes, the second one 21.
@pytest.mark.parametrize(
    ("kept_bytes", "read", "is_all"),
    [
        (0, [3], False),
        (16, [3], False),
        (17, [3, 4], False),
        (37, [3, 4], False),
        (38, [3, 4], True),
    ],
)
def test_no_more_is_read_ahead_than_may_be_kept(
    kept_bytes: int, read: list[int], is_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skeleton_blocks, "SERIAL_BYTES", kept_bytes)
    pg_dump = FakePgDump([3, 4, 5])
    assert pg_dump.blocks.read_ahead(unit(3, 4)) is is_all
    assert pg_dump.read == read
    check_written(pg_dump.blocks, 3, 4, 5)
    pg_dump.blocks.finish()


@pytest.mark.parametrize("ids", [[3, 7, 4], [7, 3, 4], [3, 4, 7], [7]])
def test_large_objects_are_not_kept(ids: list[int]) -> None:
    pg_dump = FakePgDump(["7" if dump_id == 7 else dump_id for dump_id in (*ids, 5)])
    assert not pg_dump.blocks.read_ahead(unit(*ids))
    assert pg_dump.read == ids[: ids.index(7) + 1]
    for dump_id in ids:
        sink = Sink()
        assert pg_dump.blocks.write(dump_id, sink) == (0 if dump_id == 7 else dump_id)
        assert sink.written == (b"1:one2:two" if dump_id == 7 else rows_of(dump_id) + COPY_END)
    check_written(pg_dump.blocks, 5)
    pg_dump.blocks.finish()


def test_another_block_than_the_announced_is_refused() -> None:
    blocks = FakePgDump([3, 5, 4]).blocks
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 5 instead of block 4$"):
        blocks.read_ahead(unit(3, 4))
    blocks = FakePgDump([3, 5]).blocks
    check_written(blocks, 3)
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 5, which is not in its table of"):
        blocks.finish()
    blocks = FakePgDump([3]).blocks
    check_written(blocks, 3)
    with pytest.raises(ArchiveError, match=r"^pg_dump wrote block 0 instead of block 4$"):
        blocks.write(4, Sink())


@pytest.mark.parametrize(
    "use",
    [
        lambda blocks: blocks.read_ahead(unit(3)),
        lambda blocks: blocks.write(3, Sink()),
        lambda blocks: blocks.finish(),
    ],
)
def test_a_failure_of_pg_dump_is_told_wherever_it_shows(
    use: Callable[[SkeletonBlocks], object],
) -> None:
    """It is the cause of what is wrong with the blocks."""
    pg_dump = FakePgDump([4, 3], failure=ToolError("pg_dump failed"))
    with pytest.raises(ToolError, match=r"^pg_dump failed$"):
        use(pg_dump.blocks)
