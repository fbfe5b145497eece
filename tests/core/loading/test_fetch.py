"""Blocks come from storage as they are wanted, by few reads and with bounded memory."""

import random
import threading
from collections.abc import Sequence

import pytest

from airflow_provider_pgclone.core.archive.encoding import DATA
from airflow_provider_pgclone.core.archive.manifest import Block
from airflow_provider_pgclone.core.errors import StorageError
from airflow_provider_pgclone.core.loading import fetch
from airflow_provider_pgclone.core.loading.fetch import BlockFetcher

START = 100


def blocks_of(lengths: Sequence[int]) -> list[Block]:
    blocks, offset = [], START
    for number, length in enumerate(lengths, start=1):
        blocks.append(Block(number, DATA, offset, length, length, 1, ""))
        offset += length
    return blocks


def never() -> None:
    """What is asked for is wanted."""


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "READ_BYTES", 1000)
    monkeypatch.setattr(fetch, "SMALL_BLOCK_BYTES", 200)


class Reads:
    """Reads bytes that are at hand, and keeps what was asked for."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.data = random.Random(1).randbytes(blocks[-1].offset + blocks[-1].length)
        self.done: list[tuple[int, int]] = []

    def __call__(self, start: int, end: int) -> bytes:
        self.done.append((start, end))
        if end > len(self.data):
            raise StorageError("it ended")
        return self.data[start:end]


@pytest.mark.parametrize("seed", range(8))
def test_each_block_comes_whole_in_any_order(small_reads: None, seed: int) -> None:
    chance = random.Random(seed)
    blocks = blocks_of(chance.choices([1, 60, 199, 201, 999, 1000, 1001, 5000], k=60))
    reads = Reads(blocks)
    wanted = chance.sample(blocks, len(blocks))
    with BlockFetcher(reads, chance.sample(blocks, 60), ahead=3) as fetcher:
        for block in wanted:
            got = b"".join(fetcher.pieces(block, never))
            assert got == reads.data[block.offset : block.offset + block.length]


def test_small_neighbours_are_fetched_by_one_read(small_reads: None) -> None:
    blocks = blocks_of([50] * 100)
    reads = Reads(blocks)
    with BlockFetcher(reads, blocks, ahead=3) as fetcher:
        for block in blocks:
            list(fetcher.pieces(block, never))
    assert len(reads.done) == 5


def test_a_large_block_is_fetched_piece_by_piece(small_reads: None) -> None:
    blocks = blocks_of([3500])
    reads = Reads(blocks)
    with BlockFetcher(reads, blocks, ahead=3) as fetcher:
        assert [len(piece) for piece in fetcher.pieces(blocks[0], never)] == [1000, 1000, 1000, 500]


def test_no_more_is_read_ahead_than_allowed(small_reads: None) -> None:
    blocks = blocks_of([1000] * 50)
    reads = Reads(blocks)
    with BlockFetcher(reads, blocks, ahead=4) as fetcher:
        for count, block in enumerate(blocks, start=1):
            list(fetcher.pieces(block, never))
            assert len(reads.done) <= count + 4
    assert len(reads.done) == 50


def test_a_failure_of_storage_reaches_who_wants_the_block(small_reads: None) -> None:
    blocks = blocks_of([500, 500])
    reads = Reads(blocks[:1])
    with BlockFetcher(reads, blocks, ahead=2) as fetcher:
        list(fetcher.pieces(blocks[0], never))
        with pytest.raises(StorageError):
            list(fetcher.pieces(blocks[1], never))


def test_a_wait_for_storage_ends_when_the_block_is_not_wanted_any_more(small_reads: None) -> None:
    blocks = blocks_of([500])
    reads = Reads(blocks)
    answer = threading.Event()

    def stalled(start: int, end: int) -> bytes:
        answer.wait()
        return reads(start, end)

    def unwanted() -> None:
        raise KeyError

    try:
        with BlockFetcher(stalled, blocks, ahead=2) as fetcher, pytest.raises(KeyError):
            list(fetcher.pieces(blocks[0], unwanted))
    finally:
        answer.set()
