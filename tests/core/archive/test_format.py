"""The bytes of a table of contents: WriteHead() and WriteToc() in pg_backup_archiver.c."""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive import ArchiveReader
from airflow_provider_pgclone.core.archive.encoding import write_integer, write_text
from airflow_provider_pgclone.core.archive.toc import (
    NO_DATA,
    POSITION_NOT_SET,
    TocEntry,
    read_start,
    read_toc,
    statement_entry,
    write_toc,
)
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError
from tests.support.fixtures.entries import toc_entry, toc_of


def integer(value: int, size: int = 4) -> bytes:
    """Return a number as WriteInt() does: the sign, then the bytes, the lowest first."""
    return bytes([value < 0]) + abs(value).to_bytes(size, "little")


def text(value: str | None, size: int = 4) -> bytes:
    """Return a string as WriteStr() does."""
    if value is None:
        return integer(-1, size)
    return integer(len(value.encode()), size) + value.encode()


def header(minor: int, compression: bytes, *, int_bytes: int = 4, kind: int = 1) -> bytes:
    return b"PGDMP" + bytes([1, minor, 0, int_bytes, 8, kind]) + compression


def origin(count: int, size: int = 4) -> bytes:
    """Return what follows the compression: the time, the database and the versions."""
    time = b"".join(integer(number, size) for number in (1, 2, 3, 4, 5, 126, 0))
    names = b"".join(text(name, size) for name in ("shop", "17.2", "17.2"))
    return time + names + integer(count, size)


def entry_bytes(minor: int, size: int = 4) -> bytes:
    """Return an entry with a value in each field."""
    return b"".join(
        [
            integer(215, size),  # its dump id
            integer(1, size),  # it has a dumper
            *(text(value, size) for value in ("1259", "16386", "users", "TABLE DATA")),
            integer(3, size),  # its section
            *(text(value, size) for value in ("-- define", "DROP x;", "COPY users;\n", "public")),
            text("fast", size),
            text("heap", size) if minor >= 14 else b"",
            integer(114, size) if minor >= 16 else b"",
            *(text(value, size) for value in ("größe", "false", "7", "123", None)),
            bytes([1]),  # its position is not set
            bytes(8),
        ]
    )


def entry(minor: int) -> TocEntry:
    return TocEntry(
        dump_id=215,
        has_dumper=1,
        catalog_oid="1259",
        object_oid="16386",
        tag="users",
        description="TABLE DATA",
        section=3,
        definition="-- define",
        drop_statement="DROP x;",
        copy_statement="COPY users;\n",
        namespace="public",
        tablespace="fast",
        table_access_method="heap" if minor >= 14 else None,
        relation_kind=114 if minor >= 16 else 0,
        owner="größe",
        with_oids="false",
        dependencies=(7, 123),
        data_state=1,
    )


COMPRESSIONS = [
    *((minor, integer(0), "none") for minor in (12, 13, 14)),
    *((minor, integer(-1), "gzip") for minor in (12, 13, 14)),
    *((minor, bytes([0]), "none") for minor in (15, 16)),
    (15, bytes([1]), "gzip"),
    (16, bytes([2]), "lz4"),
    (16, bytes([3]), "zstd"),
]


@pytest.mark.parametrize(("minor", "byte", "compression"), COMPRESSIONS)
def test_each_version_is_read_and_written(minor: int, byte: bytes, compression: str) -> None:
    archive = header(minor, byte) + origin(1) + entry_bytes(minor)
    toc = toc_of(entry(minor), version=(1, minor), compression=compression)
    assert read_toc(iter([archive])) == toc
    assert write_toc(toc) == archive


def test_a_level_of_compression_is_gzip() -> None:
    assert read_toc(iter([header(14, integer(6)) + origin(0)])).compression == "gzip"


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(UnsupportedError, match="compressed by algorithm 9") as caught:
        read_toc(iter([header(16, bytes([9])) + origin(0)]))
    assert caught.value.hint == "This package knows none, gzip, lz4, zstd."


@pytest.mark.parametrize(("minor", "reader"), [(12, 9), (13, 10), (14, 12), (15, 16), (16, 17)])
def test_a_version_tells_the_oldest_pg_restore_that_reads_it(minor: int, reader: int) -> None:
    assert toc_of(version=(1, minor)).first_reader == reader


def test_numbers_of_eight_bytes_and_other_offsets_are_read() -> None:
    start = b"PGDMP" + bytes([1, 16, 0, 8, 4, 1, 3]) + origin(2, 8)
    entries = (entry_bytes(16, 8)[:-8] + bytes(4)) * 2
    toc = read_toc(iter([start + entries]))
    assert toc == toc_of(entry(16), entry(16))


def test_nulls_are_read_as_empty_texts_where_a_text_is_expected() -> None:
    nulls = b"".join(
        [
            *(integer(number) for number in (5, 0)),
            *[text(None)] * 4,
            integer(2),
            *[text(None)] * 6,
            integer(0),
            *[text(None)] * 3,
            bytes([3]),
            bytes(8),
        ]
    )
    start = header(16, bytes([0])) + b"".join(map(integer, range(7)))
    toc = read_toc(iter([start + text(None) * 3 + integer(1) + nulls]))
    assert (toc.created, toc.database) == (tuple(range(7)), "")
    assert (toc.server_version, toc.pg_dump_version) == ("", "")
    (read,) = toc.entries
    assert read == toc_entry(
        5,
        "",
        "",
        catalog_oid=None,
        object_oid=None,
        section=2,
        drop_statement=None,
        namespace="",
        owner="",
        with_oids=None,
        data_state=NO_DATA,
    )
    # pg_dump writes these two, even if they are empty.
    written = nulls.replace(text(None) * 4, text(None) * 2 + text("") * 2, 1)
    assert write_toc(toc).endswith(written)


TEXTS = ("", "t", "größe", 'a"b', "x\ny", "€" * 70)
NUMBERS = (-(2**32) + 1, -1, 0, 255, 256, 2**32 - 1)
OF_NUMBERS = ("has_dumper", "section", "relation_kind")
OF_TEXTS = ("tag", "description", "definition", "copy_statement", "namespace", "owner")
OF_NULLABLE_TEXTS = (
    *("catalog_oid", "object_oid", "drop_statement", "tablespace"),
    *("table_access_method", "with_oids"),
)
ODD_VALUES: list[tuple[str, Any]] = [
    *itertools.product(("dump_id",), (1, 255, 256, 10**7)),
    *itertools.product(OF_NUMBERS, NUMBERS),
    *itertools.product(OF_TEXTS, TEXTS),
    *itertools.product(OF_NULLABLE_TEXTS, (None, *TEXTS)),
    *itertools.product(("dependencies",), ((), (1,), (0, 10**7))),
    *itertools.product(("data_state",), (POSITION_NOT_SET, NO_DATA)),
]


@pytest.mark.parametrize("chunk", [1, 5, 10**6])
def test_what_is_written_is_read(chunk: int) -> None:
    toc = toc_of(*(replace(entry(16), **{name: value}) for name, value in ODD_VALUES))
    content = write_toc(toc)
    chunks = (content[start : start + chunk] for start in range(0, len(content), chunk))
    assert read_toc(chunks) == toc


def test_the_reader_is_left_at_the_first_block() -> None:
    archive = header(16, bytes([3])) + origin(1) + entry_bytes(16)
    reader = ArchiveReader(iter([archive + b"blo", b"cks"]))
    read_start(reader)
    assert b"".join(reader.rest()) == b"blocks"


GOOD = header(16, bytes([3])) + origin(1) + entry_bytes(16)
WIDE = b"PGDMP" + bytes([1, 16, 0, 8, 8, 1, 3]) + origin(1, 8) + entry_bytes(16, 8)
SUPPORTED = "This package reads formats 1.12 to 1.16."


@pytest.mark.parametrize(
    ("archive", "error", "message", "hint"),
    [
        (
            b"PGDMX" + GOOD[5:],
            ArchiveError,
            "not a custom-format archive of pg_dump: it does not start with PGDMP",
            None,
        ),
        (b"PGD", ArchiveError, "the archive ends too early", None),
        (
            b"PGDMP" + bytes([1, 17]),
            ArchiveError,
            "the archive ends too early",
            None,
        ),
        (
            b"PGDMP" + bytes([1, 17, 0]),
            UnsupportedError,
            "the archive has format 1.17",
            SUPPORTED,
        ),
        (
            header(16, bytes([0]), int_bytes=5),
            ArchiveError,
            "the archive has integers of 5 bytes: it is damaged",
            None,
        ),
        (
            header(16, bytes([0]), kind=3),
            ArchiveError,
            "the archive is not in the custom format of pg_dump",
            None,
        ),
        (
            header(16, bytes([0])) + origin(10_000_001),
            ArchiveError,
            "the archive has 10000001 entries: it is damaged",
            None,
        ),
        (
            header(16, bytes([0])) + origin(-1),
            ArchiveError,
            "the archive has -1 entries: it is damaged",
            None,
        ),
        (
            header(16, bytes([0])) + origin(10_000_000),
            ArchiveError,
            "the archive ends too early",
            None,
        ),
        (
            GOOD.replace(text("123"), text("12a")),
            ArchiveError,
            "the archive has a dependency that is not a number: it is damaged",
            None,
        ),
        (
            GOOD.replace(text("123"), text("１２３")),
            ArchiveError,
            "the archive has a dependency that is not a number: it is damaged",
            None,
        ),
        (
            GOOD.replace(text("123"), text("12345678901")),
            ArchiveError,
            "the archive has a dependency that is not a number: it is damaged",
            None,
        ),
        *(
            (
                GOOD.replace(text("123"), text(str(dependency))),
                ArchiveError,
                f"the archive has a dependency on the id {dependency}: it is damaged",
                None,
            )
            for dependency in (10**7 + 1, 10**10 - 1)
        ),
        (
            GOOD.replace(text("shop"), integer((1 << 30) + 1) + b"shop"),
            ArchiveError,
            "the archive has a string of 1073741825 bytes: it is damaged",
            None,
        ),
        (
            GOOD.replace(text("shop"), integer(1 << 30) + b"shop"),
            ArchiveError,
            "the archive ends too early",
            None,
        ),
        (GOOD[:-1], ArchiveError, "the archive ends too early", None),
        *(
            (
                GOOD.replace(integer(215), integer(dump_id)),
                ArchiveError,
                f"the archive has an entry with the id {dump_id}: it is damaged",
                None,
            )
            for dump_id in (-1, 0, 10**7 + 1, 2**32 - 1)
        ),
        (
            WIDE.replace(integer(114, 8), integer(2**32, 8)),
            ArchiveError,
            "the archive has the number 4294967296: it is damaged",
            None,
        ),
    ],
)
def test_what_is_not_an_archive_is_refused_with_the_reason(
    archive: bytes, error: type[ArchiveError], message: str, hint: str | None
) -> None:
    with pytest.raises(error) as caught:
        read_toc(iter([archive]))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def reader_of(*chunks: bytes) -> ArchiveReader:
    return ArchiveReader(iter(chunks))


def test_bytes_are_taken_across_chunks() -> None:
    reader = reader_of(b"a", b"", b"bcd", b"efg")
    assert [reader.take(count) for count in (2, 0, 3, 1)] == [b"ab", b"", b"cde", b"f"]
    assert not reader.at_end()
    assert reader.byte() == ord("g")
    assert reader.at_end()
    assert reader.has_ended is False
    with pytest.raises(ArchiveError):
        reader.take(1)
    assert reader.has_ended is True


def test_empty_chunks_are_not_the_end() -> None:
    assert not reader_of(b"", b"", b"a").at_end()
    assert reader_of(b"", b"").at_end()
    assert reader_of().at_end()


@pytest.mark.parametrize("cut", range(1, 15))
def test_numbers_and_texts_are_read_across_chunks(cut: int) -> None:
    content = write_integer(-70_000) + write_text("añb") + write_integer(7)
    reader = reader_of(content[:cut], content[cut:])
    assert (reader.integer(), reader.text(), reader.integer()) == (-70_000, "añb", 7)


def test_the_rest_is_all_that_was_not_read() -> None:
    reader = reader_of(b"abc", b"de", b"f")
    reader.take(1)
    assert list(reader.rest()) == [b"bc", b"de", b"f"]
    assert reader.at_end()
    whole = reader_of(b"abc", b"d")
    whole.take(3)
    assert list(whole.rest()) == [b"d"]
    assert list(reader_of().rest()) == []


def test_no_chunk_is_taken_before_it_is_needed() -> None:
    taken = itertools.count()

    def chunks() -> Iterator[bytes]:
        while True:
            next(taken)
            yield b"abcdefgh"

    reader = ArchiveReader(chunks())
    reader.take(8)
    assert next(taken) == 1
    reader.integer()
    reader.take(3)
    assert next(taken) == 3
    reader.take(3)
    reader.take(5)
    assert next(taken) == 5
    reader.take(3)
    reader.integer()
    assert next(taken) == 7


@pytest.mark.parametrize("value", NUMBERS)
def test_a_number_is_its_sign_and_its_magnitude(value: int) -> None:
    assert write_integer(value) == struct.pack("<?I", value < 0, abs(value))
    assert reader_of(write_integer(value)).integer() == value


def test_bytes_that_are_not_utf8_stay_as_they_are() -> None:
    read = reader_of(integer(2) + b"\xe9x").text()
    assert read is not None
    assert write_text(read) == integer(2) + b"\xe9x"


def test_entries_are_left_out_by_their_ids() -> None:
    toc = toc_of(*(toc_entry(id_, "TABLE", f"t{id_}") for id_ in (3, 9, 4)))
    assert [one.dump_id for one in toc.without({9}).entries] == [3, 4]
    assert toc.without(()) == toc
    assert toc.unused_id == 10
    assert toc_of().unused_id == 1


def test_an_entry_tells_its_table_and_whether_it_has_data() -> None:
    assert entry(16).table == ("public", "users")
    assert entry(16).display_name == "public.users"
    assert entry(16).has_data
    assert not replace(entry(16), data_state=3).has_data


def test_the_owners_are_those_of_what_pg_restore_can_drop() -> None:
    dropped = {"drop_statement": "DROP x;"}
    toc = toc_of(
        toc_entry(1, "TABLE", "a", owner="ann", **dropped),
        toc_entry(2, "TABLE", "b", owner="bob"),
        toc_entry(3, "COMMENT", "TABLE a", owner="cyd", drop_statement=None),
        toc_entry(4, "DATABASE", "shop", owner="dan", **dropped),
        toc_entry(5, "DATABASE PROPERTIES", "shop", owner="eve", **dropped),
        toc_entry(6, "TABLE", "f", owner="", **dropped),
        toc_entry(7, "VIEW", "g", owner="fay", **dropped),
    )
    assert toc.owners == {"ann", "fay"}


ROWS = toc_entry(2, "TABLE DATA", "t", 1)
ROOT = toc_entry(3, "TABLE", "root", definition="CREATE TABLE root (a int)\nPARTITION BY LIST (a);")


@pytest.mark.parametrize(
    ("entries", "lacks"),
    [
        ((), False),
        ((toc_entry(1, "TABLE", "t"),), True),
        ((toc_entry(1, "TABLE", "t"), ROWS), False),
        ((ROOT,), False),
        ((ROOT, toc_entry(1, "TABLE", "t")), True),
        ((toc_entry(1, "VIEW", "v"),), False),
        ((toc_entry(1, "TABLE", "t", definition="a DEFAULT 'PARTITION BY '"),), True),
    ],
)
def test_tables_without_any_rows_are_an_archive_without_data(
    entries: tuple[TocEntry, ...], lacks: bool
) -> None:
    assert toc_of(*entries).lacks_data is lacks


@pytest.mark.parametrize(
    ("definition", "options"),
    [
        (
            "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' "
            "LOCALE_PROVIDER = libc LOCALE = 'C';\n",
            {"ENCODING": "UTF8", "LOCALE_PROVIDER": "libc", "LOCALE": "C"},
        ),
        (
            "CREATE DATABASE \"ENCODING = 'X' \"\"LOCALE = y\" WITH LC_COLLATE = 'it''s';\n",
            {"LC_COLLATE": "it's"},
        ),
        ("CREATE DATABASE shop;\n", {}),
    ],
)
def test_the_options_of_a_database_are_those_of_its_statement(
    definition: str, options: dict[str, str]
) -> None:
    others = toc_entry(1, "ENCODING", "ENCODING", definition="SET ENCODING = 'LATIN1'")
    database = toc_entry(2, "DATABASE", "shop", definition=definition)
    assert toc_of(others, database).database_options == options
    assert toc_of(others).database_options == {}


@pytest.mark.parametrize(("description", "section"), [("ACL", 1), ("SCHEMA", 2)])
def test_an_entry_of_statements_has_no_more_than_their_text(description: str, section: int) -> None:
    assert statement_entry(7, description, "s", "GRANT …;") == TocEntry(
        dump_id=7,
        has_dumper=0,
        catalog_oid="0",
        object_oid="0",
        tag="s",
        description=description,
        section=section,
        definition="GRANT …;",
        drop_statement=None,
        copy_statement="",
        namespace="",
        tablespace=None,
        table_access_method=None,
        relation_kind=0,
        owner="",
        with_oids="false",
        dependencies=(),
        data_state=NO_DATA,
    )
