"""The manifest at the end of an archive: its bytes, and what its facts tell."""

import hashlib
import json
import struct
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from airflow_provider_pgclone.core.archive import (
    HEAD_BYTES,
    TAIL_BYTES,
    Block,
    Footer,
    Manifest,
    ManifestEntry,
    MaskingFacts,
    TableChecksum,
    manifest_block,
    manifest_head,
    read_footer,
    read_manifest,
)
from airflow_provider_pgclone.core.archive.manifest import BY_COLUMN, BY_ROW
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError
from tests.core.archive.test_manifest import MANIFEST

MISFIT = "the footer of the archive does not fit it: the archive is damaged"
END = b"\x00\x00\x00\x00\x00"


def integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def footer_bytes(offset: int, length: int, magic: bytes = b"PGCLONE1") -> bytes:
    return struct.pack("<8sQQ32s", magic, offset, length, bytes(32))


def tail(offset: int, length: int, **options: Any) -> bytes:
    return integer(56) + footer_bytes(offset, length, **options) + END


def test_the_manifest_is_a_block_with_a_footer_as_its_last_chunk() -> None:
    block = manifest_block(MANIFEST, dump_id=500, offset=1000)
    head, rest = block[:HEAD_BYTES], block[HEAD_BYTES:]
    data, last = rest[:-TAIL_BYTES], rest[-TAIL_BYTES:]
    assert head == b"\x01" + integer(500) + integer(len(data)) == manifest_head(500, len(data))
    digest = hashlib.sha256(data).digest()
    footer = struct.pack("<8sQQ32s", b"PGCLONE1", 1000 + len(head), len(data), digest)
    assert last == integer(len(footer)) + footer + END
    assert json.loads(zstandard.decompress(data)) == {"format": 1, **MANIFEST.as_json()}
    read = read_footer(block, 1000 + len(block))
    assert read == Footer(1000 + HEAD_BYTES, len(data), digest)
    assert read_manifest(data, read) == {"format": 1, **MANIFEST.as_json()}


def test_the_signature_is_of_all_other_facts() -> None:
    signed: list[Any] = []

    def sign(values: Any) -> str:
        signed.append(dict(values))
        return "abc"

    block = manifest_block(MANIFEST, dump_id=1, offset=0, sign=sign)
    values = json.loads(zstandard.decompress(block[HEAD_BYTES:-TAIL_BYTES]))
    assert values.pop("signature") == "abc"
    assert signed == [values] == [{"format": 1, **MANIFEST.as_json()}]


@pytest.mark.parametrize(
    ("content", "archive_bytes"),
    [
        (b"", 0),
        (END, 5),
        (tail(11, 20)[6:], 0),
        (tail(11, 20)[:-1] + b"\x01", 11 + 20 + TAIL_BYTES),
        (tail(11, 20, magic=b"PGCLONE2"), 11 + 20 + TAIL_BYTES),
        (b"PGDMP" + bytes(200), 205),
    ],
)
def test_an_archive_of_others_has_no_footer(content: bytes, archive_bytes: int) -> None:
    assert read_footer(content, archive_bytes) is None


@pytest.mark.parametrize(
    ("content", "archive_bytes"),
    [
        (tail(11, 20), 11 + 20 + TAIL_BYTES + 1),
        (tail(11, 20), 11 + 20 + TAIL_BYTES - 1),
        (tail(10, 20), 10 + 20 + TAIL_BYTES),
        (tail(11, (1 << 30) + 1), 11 + (1 << 30) + 1 + TAIL_BYTES),
        (tail(11, 20)[5:], 11 + 20 + TAIL_BYTES),
        (integer(57) + tail(11, 20)[5:], 11 + 20 + TAIL_BYTES),
    ],
)
def test_a_footer_that_does_not_fit_is_damage(content: bytes, archive_bytes: int) -> None:
    with pytest.raises(ArchiveError) as caught:
        read_footer(content, archive_bytes)
    assert caught.value.message == MISFIT


@pytest.mark.parametrize("length", [0, 20, 1 << 30])
def test_a_footer_that_fits_is_read_behind_any_bytes(length: int) -> None:
    expected = Footer(11, length, bytes(32))
    assert read_footer(tail(11, length), 11 + length + TAIL_BYTES) == expected
    assert read_footer(b"more" + tail(11, length), 11 + length + TAIL_BYTES) == expected


def frame(values: object) -> tuple[bytes, Footer]:
    data = zstandard.compress(json.dumps(values).encode())
    return data, Footer(0, len(data), hashlib.sha256(data).digest())


def test_a_manifest_with_another_hash_is_damaged() -> None:
    data, footer = frame({"format": 1})
    with pytest.raises(ArchiveError) as caught:
        read_manifest(data + b"x", footer)
    assert caught.value.message == "the manifest at the end of the archive is damaged"


@pytest.mark.parametrize("values", [{"format": 2}, {}])
def test_a_manifest_of_a_newer_version_is_not_read(values: dict[str, int]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_manifest(*frame(values))
    assert caught.value.message == "the archive was written by a newer version of this package"
    assert caught.value.hint == "Update airflow-provider-pgclone."


@pytest.mark.parametrize(
    "data",
    [
        *(b"no frame", zstandard.compress(b"no JSON"), zstandard.compress(b"[1]")),
        *(zstandard.compress(b"[" * 100_000), zstandard.compress(b'"a"')[:-1]),
    ],
)
def test_what_somebody_else_wrote_in_place_of_a_manifest_is_not_one(data: bytes) -> None:
    with pytest.raises(ArchiveError) as caught:
        read_manifest(data, Footer(0, len(data), hashlib.sha256(data).digest()))
    assert caught.value.message == "the manifest at the end of the archive is not one"


def test_a_manifest_that_would_fill_the_memory_is_not_unpacked() -> None:
    # The header of a frame that says that it holds a byte more than a gigabyte.
    data = struct.pack("<IBQ", 0xFD2FB528, 0b1110_0000, (1 << 30) + 1)
    footer = Footer(0, len(data), hashlib.sha256(data).digest())
    with pytest.raises(ArchiveError) as caught:
        read_manifest(data, footer)
    assert caught.value.message == "the manifest at the end of the archive is too large"


def test_a_manifest_that_does_not_tell_its_size_is_read() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    data = compressor.compress(b'{"format": 1}')
    footer = Footer(0, len(data), hashlib.sha256(data).digest())
    assert read_manifest(data, footer) == {"format": 1}


def test_facts_of_another_type_name_the_reason() -> None:
    with pytest.raises(UnsupportedError) as caught:
        Manifest.from_json({})
    assert caught.value.message == (
        "this version of the package cannot read the manifest of the archive: KeyError('parts')"
    )
    assert caught.value.hint == "Update airflow-provider-pgclone."


MASKING = MaskingFacts(
    columns=(("public", "users", "email", "email"),),
    kept=(("public", "users", "id"),),
    unclassified=(("public", "users", "note"),),
    rows=(("public", "users", "id > 5"), ("audit", "log", "false")),
    reported=(("view", "v"),),
    policy="strict",
    follow_fks=True,
    is_keyed=True,
)
FULL = replace(
    MANIFEST,
    content={"exclude": ["a*"], "schemas": [], "pg_dump_args": ["--no-acl"]},
    masking=MASKING,
    checksums={
        ("public", "users"): TableChecksum(3, "77", BY_COLUMN),
        ("public", "old"): TableChecksum(2, "78", BY_ROW),
    },
    made_by={"dag": "nightly", "run": "r1"},
    seconds=2.5,
    instance="prod",
)


def test_all_facts_come_back_from_json() -> None:
    values = json.loads(json.dumps(FULL.as_json()))
    assert Manifest.from_json(values) == FULL
    assert values["masking"] == {
        "columns": [["public", "users", "email", "email"]],
        "kept": [["public", "users", "id"]],
        "unclassified": [["public", "users", "note"]],
        "rows": [["public", "users", "id > 5"], ["audit", "log", "false"]],
        "reported": [["view", "v"]],
        "policy": "strict",
        "follow_fks": True,
        "is_keyed": True,
    }
    assert FULL.as_json()["masking"] == values["masking"]
    assert values["checksums"] == [
        ["public", "users", 3, "77", "column"],
        ["public", "old", 2, "78"],
    ]
    assert values["made_by"] == {"dag": "nightly", "run": "r1"}
    assert (values["seconds"], values["instance"]) == (2.5, "prod")
    assert values["content"] == {"exclude": ["a*"], "schemas": [], "pg_dump_args": ["--no-acl"]}
    assert values["parts"] == [
        {
            **{"schema": "public", "table": "users", "dump_id": 7, "kind": 1, "offset": 100},
            **{"length": 20, "raw_bytes": 40, "rows": 3, "sha256": "ab"},
        }
    ]
    assert "entries" not in values


def test_a_dump_without_masks_and_checksums_says_nothing_of_them() -> None:
    left_out = {"masking", "checksums", "entries", "made_by", "seconds", "instance"}
    assert not left_out & set(MANIFEST.as_json())
    assert "parts" not in MANIFEST.facts()


def test_facts_of_masks_that_are_null_or_missing_are_the_defaults() -> None:
    assert MaskingFacts.from_json({"columns": None, "colour": 1}) == MaskingFacts()
    assert MaskingFacts.from_json({"rows": ((1, "t"),)}).rows == (("1", "t"),)


def test_what_a_dump_leaves_out_is_told() -> None:
    assert MANIFEST.left_out == []
    assert FULL.left_out == [
        *("exclude=['a*']", "pg_dump_args=['--no-acl']"),
        "conditions on the rows of public.users, audit.log",
    ]
    assert replace(FULL, content={}, masking=replace(MASKING, rows=())).left_out == []


def test_masks_on_rows_alone_mask_no_column() -> None:
    assert FULL.masks_columns is True
    assert replace(FULL, masking=replace(MASKING, columns=())).masks_columns is False
    assert MANIFEST.masks_columns is False


def test_the_rows_of_a_table_are_those_of_its_ranges() -> None:
    def entry(dump_id: int, table: str, rows: int, kind: int = 1) -> ManifestEntry:
        return ManifestEntry(Block(dump_id, kind, 0, 0, 0, rows, ""), "public", table)

    entries = (entry(1, "a", 3), entry(2, "b", 5), entry(3, "a", 4), entry(4, "", 9, kind=3))
    found = replace(MANIFEST, entries=entries)
    assert found.rows_of_tables == {("public", "a"): 7, ("public", "b"): 5}
    assert [one.display_name for one in entries[2:]] == [
        *("the data of public.a (block 3)", "the large objects (block 4)"),
    ]
