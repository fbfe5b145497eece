"""Blocks of several parts, each compressed by itself, are what one stream would have been."""

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.compression import (
    Compressor,
    compressor_of,
    decompress,
    joined_adler32,
)

parts_of_pieces = st.lists(st.lists(st.binary(min_size=1, max_size=300), max_size=4), max_size=4)


def joined(compression: str, parts: list[list[bytes]]) -> list[bytes]:
    """Compress parts as workers do, each with a compressor of its own."""

    def compressed() -> Iterator[Iterator[object]]:
        for pieces in parts:
            compressor: Compressor = compressor_of(compression)
            yield compressor.part(pieces)

    block = compressor_of(compression).join(compressed())  # type: ignore[arg-type]
    return [chunk.payload for chunk in block]


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
@given(parts=parts_of_pieces)
def test_joined_parts_are_read_as_one_block(compression: str, parts: list[list[bytes]]) -> None:
    payloads = joined(compression, parts)
    assert all(payloads)  # an empty chunk would end the block
    whole = b"".join(piece for pieces in parts for piece in pieces)
    assert b"".join(decompress(compression, payloads)) == whole


@given(parts=parts_of_pieces)
def test_a_gzip_block_is_one_zlib_stream_with_nothing_after_it(parts: list[list[bytes]]) -> None:
    stream = zlib.decompressobj()
    data = b"".join(stream.decompress(payload) for payload in joined("gzip", parts))
    assert stream.eof
    assert not stream.unused_data
    assert data == b"".join(piece for pieces in parts for piece in pieces)


@given(first=st.binary(), second=st.binary())
def test_the_checksum_of_two_texts_is_that_of_both(first: bytes, second: bytes) -> None:
    of_both = joined_adler32(zlib.adler32(first), zlib.adler32(second), len(second))
    assert of_both == zlib.adler32(first + second)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_bytes_are_counted_over_all_chunks(compression: str) -> None:
    rows = [b"a\tb\n" * 1000, b"c\td\n" * 500]
    chunks = list(compressor_of(compression).chunks(rows))
    assert sum(chunk.raw_bytes for chunk in chunks) == sum(map(len, rows))
