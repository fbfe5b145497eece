"""The data blocks of archives: written, read, and noticed when they are damaged."""

import hashlib
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import pytest
import zstandard

from airflow_provider_pgclone.core.archive import (
    COPY_END,
    ArchiveReader,
    Block,
    BlockContent,
    BlockWriter,
    BufferedWriter,
    Chunk,
    ManifestEntry,
    Piece,
    RowCount,
    compressor_of,
    read_blocks,
    read_large_objects,
    read_pieces,
    write_objects,
    write_rows,
)
from airflow_provider_pgclone.core.archive.compression import (
    DEFAULT_ZSTD_LEVEL,
    ZstdCompressor,
    decompress,
)
from airflow_provider_pgclone.core.archive.encoding import PIECE_BYTES
from airflow_provider_pgclone.core.errors import ArchiveError

ROWS = [b"1\tann\n2\tbob\n", b"3\tcyd\n", COPY_END]


def integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def chunk(data: bytes) -> bytes:
    return integer(len(data)) + data


class Plain:
    """Compresses nothing, so that the bytes of a block can be read in a test."""

    def part(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        for piece in pieces:
            yield Chunk(bytes(piece), 10 * len(piece))

    def join(self, parts: Iterable[Iterable[Chunk]]) -> Iterator[Chunk]:
        return chain.from_iterable(parts)

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        return self.part(pieces)


def test_a_block_is_its_kind_its_id_its_chunks_and_an_empty_chunk() -> None:
    written: list[bytes] = []
    blocks = BlockWriter(written.append, offset=100)
    count = RowCount()
    blocks.data(7, Plain().chunks(count.counted(ROWS)), count)
    first = b"\x01" + integer(7) + b"".join(map(chunk, ROWS)) + integer(0)
    assert b"".join(written) == first
    blocks.data(8, [], RowCount())
    second = b"\x01" + integer(8) + integer(0)
    assert b"".join(written) == first + second
    assert blocks.offset == 100 + len(first) + len(second)
    assert blocks.blocks == [
        Block(
            dump_id=7,
            kind=1,
            offset=100,
            length=len(first),
            raw_bytes=10 * sum(map(len, ROWS)),
            rows=3,
            sha256=hashlib.sha256(first).hexdigest(),
        ),
        Block(8, 1, 100 + len(first), len(second), 0, 0, hashlib.sha256(second).hexdigest()),
    ]


def test_large_objects_share_a_block_that_ends_with_no_oid() -> None:
    written: list[bytes] = []
    blocks = BlockWriter(written.append, offset=0)
    blocks.large_objects(9, [(16500, [b"a\nb", b"c"]), (16501, [])], Plain())
    content = b"".join(
        [
            *(b"\x03", integer(9)),
            *(integer(16500), chunk(b"a\nb"), chunk(b"c"), integer(0)),
            *(integer(16501), integer(0)),
            integer(0),
        ]
    )
    assert b"".join(written) == content
    digest = hashlib.sha256(content).hexdigest()
    assert blocks.blocks == [Block(9, 3, 0, len(content), 40, 2, digest)]


def test_blocks_without_compression_have_no_empty_chunk_but_the_last() -> None:
    written: list[Piece] = []
    write_rows(written.append, 7, [b"1\n", b"", COPY_END])
    first = b"\x01" + integer(7) + chunk(b"1\n") + chunk(COPY_END) + integer(0)
    assert b"".join(written) == first
    written.clear()
    write_objects(written.append, 9, [(16500, [b"ab", b"", b"c"]), (16501, [])])
    objects = integer(16500) + chunk(b"ab") + chunk(b"c") + integer(0) + integer(16501) + integer(0)
    assert b"".join(written) == b"\x03" + integer(9) + objects + integer(0)


def test_small_writes_are_joined() -> None:
    written: list[bytes] = []
    write = BufferedWriter(written.append)
    write(b"a" * (PIECE_BYTES - 1))
    assert written == []
    write(b"b")
    assert written == [b"a" * (PIECE_BYTES - 1) + b"b"]
    write(b"c")
    write(b"d")
    assert len(written) == 1
    write.flush()
    write.flush()
    assert written[1:] == [b"cd"]


def test_rows_are_counted_where_they_end() -> None:
    count = RowCount()
    pieces = count.counted([b"", b"1\n2\n3", b"\n", COPY_END])
    assert [(piece, count.rows) for piece in pieces] == [
        (b"", 0),
        (b"1\n2\n3", 2),
        (b"\n", 3),
        (COPY_END, 3),
    ]
    # A row may have the bytes of the end marker: it has one column that ends in \. and is empty.
    assert list(count.counted([bytes(bytearray(COPY_END))])) == [COPY_END]
    assert count.rows == 6


def test_the_end_marker_is_that_of_pg_dump() -> None:
    assert COPY_END == b"\\.\n\n\n"


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_what_is_compressed_is_read(compression: str) -> None:
    compressor = compressor_of(compression)
    for pieces in (ROWS, [bytes(PIECE_BYTES), b"x\n"], []):
        chunks = list(compressor.chunks(pieces))
        assert all(one.payload for one in chunks)
        assert sum(one.raw_bytes for one in chunks) == sum(map(len, pieces))
        payloads = [one.payload for one in chunks]
        assert b"".join(decompress(compression, payloads)) == b"".join(pieces)


def test_each_piece_is_a_frame_of_zstd_with_a_checksum() -> None:
    chunks = list(compressor_of("zstd").chunks([b"a\n" * 500, b"b\n"]))
    assert [one.raw_bytes for one in chunks] == [1000, 2]
    for one, content in zip(chunks, (b"a\n" * 500, b"b\n"), strict=True):
        assert type(one.payload) is bytes
        assert zstandard.decompress(one.payload) == content
        assert zstandard.get_frame_parameters(one.payload).has_checksum


def test_a_level_of_zstd_is_heeded() -> None:
    text = b"".join(f"{number}\t{number * 7919 % 1009}\n".encode() for number in range(5_000))

    def size(compressor: ZstdCompressor) -> int:
        return len(next(iter(compressor.chunks([text]))).payload)

    strong = compressor_of("zstd", 9)
    assert isinstance(strong, ZstdCompressor)
    assert size(strong) == size(ZstdCompressor(9)) < size(ZstdCompressor())
    plain = compressor_of("zstd")
    assert isinstance(plain, ZstdCompressor)
    assert size(plain) == size(ZstdCompressor(DEFAULT_ZSTD_LEVEL)) == size(ZstdCompressor())


def test_a_block_of_gzip_is_one_stream_whose_chunks_tell_what_went_into_them() -> None:
    pieces = [b"a\n", random.Random(1).randbytes(PIECE_BYTES), b"c\n"]
    chunks = list(compressor_of("gzip").chunks(pieces))
    assert zlib.decompress(b"".join(one.payload for one in chunks)) == b"".join(pieces)
    assert len(chunks) > 1
    assert sum(one.raw_bytes for one in chunks) == sum(map(len, pieces))


def test_damage_is_noticed_by_the_compression() -> None:
    (frame,) = compressor_of("zstd").chunks([b"a\n" * 50])
    damaged = frame.payload[:-1] + bytes([frame.payload[-1] ^ 1])
    with pytest.raises(zstandard.ZstdError):
        list(decompress("zstd", [damaged]))
    with pytest.raises(zlib.error):
        list(decompress("gzip", [b"no stream"]))


def block_of(compression: str = "zstd", dump_id: int = 7) -> tuple[ManifestEntry, bytes]:
    written: list[bytes] = []
    blocks = BlockWriter(written.append, offset=0)
    blocks.data(dump_id, compressor_of(compression).chunks(ROWS), RowCount())
    return ManifestEntry(blocks.blocks[0], "public", "users"), b"".join(written)


def objects_of(compression: str = "zstd") -> tuple[ManifestEntry, bytes]:
    written: list[bytes] = []
    blocks = BlockWriter(written.append, offset=0)
    objects = [(16500, [b"abc", b"def"]), (16501, []), (16502, [b"x"])]
    blocks.large_objects(9, objects, compressor_of(compression))
    return ManifestEntry(blocks.blocks[0], "", ""), b"".join(written)


def cut(content: bytes, size: int = 5) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def read_objects(entry: ManifestEntry, content: bytes, compression: str) -> dict[int, bytes]:
    objects = BlockContent(entry, cut(content), compression).large_objects()
    return {oid: b"".join(pieces) for oid, pieces in objects}


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_block_of_ours_is_read_and_checked(compression: str) -> None:
    entry, content = block_of(compression)
    rows = BlockContent(entry, cut(content), compression).rows()
    assert b"".join(rows) == b"".join(ROWS)
    entry, content = objects_of(compression)
    expected = {16500: b"abcdef", 16501: b"", 16502: b"x"}
    assert read_objects(entry, content, compression) == expected


DAMAGED = "the data of public.users (block 7) differs from what was written: it is damaged"
OBJECTS_DAMAGED = "the large objects (block 9) differs from what was written: it is damaged"


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_every_byte_of_a_block_counts(compression: str) -> None:
    entry, content = block_of(compression)
    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises(ArchiveError) as caught:
            list(BlockContent(entry, cut(damaged), compression).rows())
        assert caught.value.message == DAMAGED
    entry, content = objects_of(compression)
    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises(ArchiveError) as caught:
            read_objects(entry, damaged, compression)
        assert caught.value.message == OBJECTS_DAMAGED


def test_a_block_that_is_cut_or_followed_by_more_is_damaged() -> None:
    entry, content = block_of()
    for other in (content[:-1], content + b"x", b""):
        with pytest.raises(ArchiveError) as caught:
            list(BlockContent(entry, cut(other), "zstd").rows())
        assert caught.value.message == DAMAGED


def test_a_block_in_the_place_of_another_is_damaged() -> None:
    entry, content = block_of()
    other = replace(entry, block=replace(entry.block, dump_id=8))
    with pytest.raises(ArchiveError, match="block 8"):
        list(BlockContent(other, cut(content), "zstd").rows())
    with pytest.raises(ArchiveError, match="users"):
        list(BlockContent(entry, cut(content), "zstd").large_objects())
    entry, content = objects_of()
    with pytest.raises(ArchiveError, match="large objects"):
        list(BlockContent(entry, cut(content), "zstd").rows())


def test_the_blocks_of_any_archive_are_read_one_after_another() -> None:
    archive = (
        (b"\x01" + integer(7) + chunk(b"1\n") + chunk(b"2\n") + chunk(COPY_END) + integer(0))
        + (b"\x03" + integer(9) + integer(16500) + chunk(b"abc") + integer(0) + integer(16501))
        + (integer(0) + integer(0))
    )
    reader = ArchiveReader(cut(archive))
    blocks = read_blocks(reader)
    assert next(blocks) == (1, 7)
    assert list(read_pieces(reader)) == [b"1\n2\n", COPY_END]
    assert next(blocks) == (3, 9)
    objects = [(oid, b"".join(pieces)) for oid, pieces in read_large_objects(reader)]
    assert objects == [(16500, b"abc"), (16501, b"")]
    assert list(blocks) == []


def test_a_block_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(ArchiveError) as caught:
        next(read_blocks(ArchiveReader(iter([b"\x02" + integer(7)]))))
    assert caught.value.message == "the archive has a block of unknown kind 2"


def pieces_of(*rows: bytes) -> list[bytes]:
    content = b"".join(map(chunk, rows)) + integer(0)
    return list(read_pieces(ArchiveReader(iter([content]))))


def test_a_length_below_0_is_damage() -> None:
    """Otherwise what was read before would be read again, without an end."""
    content = chunk(b"1\n") + integer(-7) + bytes(20)
    with pytest.raises(ArchiveError) as caught:
        list(read_pieces(ArchiveReader(iter([content]))))
    assert caught.value.message == "the archive has a length of -7 bytes: it is damaged"


def test_rows_are_joined_into_pieces_that_are_large_enough() -> None:
    half = b"h" * (PIECE_BYTES // 2)
    assert pieces_of(half, half, b"x") == [half + half, b"x"]
    assert pieces_of(half, half[1:], b"x", b"y") == [half + half[1:] + b"x", b"y"]
    rest = half + half[1:] + b"y"
    assert pieces_of(half, half, half, half[1:], b"y") == [half + half, rest]
    assert pieces_of() == []
    assert pieces_of(COPY_END) == [COPY_END]


def test_a_row_that_is_too_large_for_a_piece_is_cut() -> None:
    row = b"r" * (2 * PIECE_BYTES + 3)
    assert [len(piece) for piece in pieces_of(row)] == [PIECE_BYTES, PIECE_BYTES, 3]
    # The last bytes of a row are not an end marker.
    tail = b"r" * PIECE_BYTES + COPY_END
    found = pieces_of(tail, b"x", COPY_END)
    assert b"".join(found) == tail + b"x" + COPY_END
    assert found[-1] is COPY_END
