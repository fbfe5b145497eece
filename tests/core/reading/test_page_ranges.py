"""How a table is divided into ranges of pages, and what the ranges become in an archive."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.toc import SECTION_DATA, SECTION_POST_DATA, Toc
from airflow_provider_pgclone.core.catalog.rows import Masked, Table
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.reading.page_ranges import (
    MAX_RANGES_OF_TABLE,
    PART_BYTES,
    PageRange,
    add_ranges,
    copy_query,
    split,
)
from tests.support.fixtures.entries import toc_entry, toc_of

USERS = Table("public", "users", 1000, 3 * PART_BYTES, ("id", 'e"mail'))


def users(**changes: Any) -> Table:
    return replace(USERS, **changes)


@pytest.mark.parametrize(
    ("table", "bounds"),
    [
        (users(pages=0, size_bytes=0), [(0, None)]),
        (users(pages=10, size_bytes=PART_BYTES), [(0, None)]),
        (users(pages=10, size_bytes=PART_BYTES + 1), [(0, 5), (5, None)]),
        (users(pages=10), [(0, 3), (3, 6), (6, None)]),
        # Most of it is TOAST data, which the pages do not show.
        (users(pages=2, size_bytes=9 * PART_BYTES), [(0, 1), (1, None)]),
    ],
)
def test_a_table_is_split_by_its_size_and_never_within_a_page(
    table: Table, bounds: list[tuple[int, int | None]]
) -> None:
    assert split(table) == [PageRange(table, first, end) for first, end in bounds]


@given(st.integers(0, 10**7), st.integers(0, 10**6))
def test_the_ranges_are_the_whole_table_once(pages: int, megabytes: int) -> None:
    ranges = split(users(pages=pages, size_bytes=megabytes << 20))
    assert ranges[0].first == 0
    assert ranges[-1].end is None
    assert [one.end for one in ranges[:-1]] == [one.first for one in ranges[1:]]
    lengths = [one.end - one.first for one in ranges if one.end is not None]
    lengths.append(max(pages, 1) - ranges[-1].first)
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert len(ranges) <= MAX_RANGES_OF_TABLE


@pytest.mark.parametrize(
    ("pages", "query"),
    [
        (
            PageRange(USERS, 7, 9),
            'COPY (SELECT "id", "e""mail" FROM ONLY "public"."users" '
            "WHERE ctid >= '(7,0)' AND ctid < '(9,0)') TO STDOUT",
        ),
        (
            PageRange(USERS, 7, 9, is_binary=True),
            'COPY (SELECT "id", "e""mail" FROM ONLY "public"."users" '
            "WHERE ctid >= '(7,0)' AND ctid < '(9,0)') TO STDOUT (FORMAT binary)",
        ),
        (
            PageRange(USERS, 7, None),
            'COPY (SELECT "id", "e""mail" FROM ONLY "public"."users" '
            "WHERE ctid >= '(7,0)') TO STDOUT",
        ),
        (
            PageRange(users(masked=Masked("t", ("1", "NULL"))), 0, 1),
            'COPY (SELECT 1, NULL FROM ONLY "public"."users" AS t '
            "WHERE ctid >= '(0,0)' AND ctid < '(1,0)') TO STDOUT",
        ),
        (
            PageRange(users(masked=Masked("t", ("1", "NULL"), "(id > 5)")), 0, None),
            'COPY (SELECT 1, NULL FROM ONLY "public"."users" AS t '
            "WHERE ctid >= '(0,0)' AND (id > 5)) TO STDOUT",
        ),
    ],
)
def test_a_range_is_read_by_its_pages_masked_and_filtered(pages: PageRange, query: str) -> None:
    assert copy_query(pages) == query


TABLE = toc_entry(
    5,
    "TABLE",
    "users",
    definition="CREATE TABLE public.users (...)",
    drop_statement="DROP TABLE public.users;",
    tablespace="fast",
    table_access_method="heap",
    relation_kind=ord("r"),
)
OTHER = toc_entry(6, "TABLE", "orders")
ORDERS_DATA = toc_entry(8, "TABLE DATA", "orders", 6)
INDEX = toc_entry(9, "INDEX", "users_email", 5)
OTHER_INDEX = toc_entry(10, "INDEX", "orders_at", 6)
TOC = toc_of(TABLE, OTHER, ORDERS_DATA, INDEX, OTHER_INDEX)


def test_the_ranges_follow_the_data_of_pg_dump_in_their_order() -> None:
    toc, ranges = add_ranges(TOC, [USERS], workers=2)
    assert {type(one.size_bytes) for one in ranges} == {int}
    assert [entry.dump_id for entry in toc.entries] == [5, 6, 8, 11, 12, 13, 9, 10]
    assert [one.entry for one in ranges] == list(toc.entries[3:6])
    assert [one.pages for one in ranges] == split(USERS)
    assert {one.size_bytes for one in ranges} == {PART_BYTES}
    assert replace(toc, entries=TOC.entries) == TOC


def test_a_range_is_an_entry_as_pg_dump_writes_it_for_data() -> None:
    _, ranges = add_ranges(TOC, [USERS], workers=2)
    assert ranges[0].entry == toc_entry(
        11,
        "TABLE DATA",
        "users",
        *(1, 5),  # no entry has the id 1
        catalog_oid="0",
        object_oid=TABLE.object_oid,
        section=SECTION_DATA,
        copy_statement='COPY "public"."users" ("id", "e""mail") FROM stdin;\n',
    )


def test_only_a_binary_table_is_read_and_loaded_as_binary() -> None:
    orders = Table("public", "orders", 10, 2 * PART_BYTES, ("at",))
    _, ranges = add_ranges(TOC, [USERS, orders], workers=2, binary={("public", "orders")})
    formats = {
        (one.entry.tag, one.entry.copy_statement.endswith(" FROM stdin (FORMAT binary);\n"))
        for one in ranges
    }
    assert formats == {("users", False), ("orders", True)}
    for one in ranges:
        assert all(part.is_binary == (one.entry.tag == "orders") for part in one.parts())


def test_a_table_without_columns_has_no_list_of_them() -> None:
    _, ranges = add_ranges(TOC, [users(columns=())], workers=2)
    assert ranges[0].entry.copy_statement == 'COPY "public"."users"  FROM stdin;\n'


def test_what_follows_the_data_of_a_table_waits_for_all_its_ranges() -> None:
    toc, _ = add_ranges(TOC, [USERS], workers=2)
    by_id = {entry.dump_id: entry for entry in toc.entries}
    assert by_id[9].dependencies == (5, 11, 12, 13)
    assert by_id[10] == OTHER_INDEX
    assert by_id[8] == ORDERS_DATA


def test_two_tables_have_ids_and_ranges_of_their_own() -> None:
    orders = Table("public", "orders", 10, 2 * PART_BYTES, ("at",))
    toc, ranges = add_ranges(toc_of(TABLE, OTHER, INDEX, OTHER_INDEX), [USERS, orders], workers=2)
    assert [(one.entry.dump_id, one.entry.tag) for one in ranges] == [
        *((11, "users"), (12, "users"), (13, "users")),
        *((14, "orders"), (15, "orders")),
    ]
    by_id = {entry.dump_id: entry for entry in toc.entries}
    assert by_id[10].dependencies == (6, 14, 15)


@pytest.mark.parametrize(
    ("entries", "place"),
    [((TABLE, INDEX), 1), ((TABLE, OTHER), 2), ((TABLE, ORDERS_DATA, OTHER, INDEX), 2)],
)
def test_without_data_the_ranges_come_before_what_follows_data(
    entries: tuple[Any, ...], place: int
) -> None:
    toc, ranges = add_ranges(toc_of(*entries), [users(size_bytes=1)], workers=2)
    assert toc.entries[place] == ranges[0].entry
    assert len(toc.entries) == len(entries) + 1


@pytest.mark.parametrize("toc", [TOC, toc_of(), toc_of(toc_entry(1, "SCHEMA", "s"))])
def test_without_tables_nothing_changes(toc: Toc) -> None:
    assert add_ranges(toc, [], workers=2) == (toc, [])


def test_a_table_that_the_archive_does_not_have_is_named() -> None:
    with pytest.raises(ArchiveError) as caught:
        add_ranges(TOC, [users(schema="audit")], workers=2)
    assert caught.value.message == (
        "pg_dump did not write the table audit.users, which is read in ranges"
    )


@pytest.mark.parametrize(("ids", "spare"), [((1, 2, 4), 3), ((2, 3), 1), ((1, 3, 5), 2)])
def test_the_spare_id_is_the_lowest_that_no_entry_has(ids: tuple[int, ...], spare: int) -> None:
    others = [toc_entry(id_, "SCHEMA", f"s{id_}", section=2) for id_ in ids[1:]]
    toc = toc_of(replace(TABLE, dump_id=ids[0]), *others)
    _, ranges = add_ranges(toc, [USERS], workers=2)
    assert ranges[0].entry.dependencies == (spare, ids[0])
    assert ranges[0].entry.dump_id == max(ids) + 1


def test_where_no_id_is_spare_there_are_no_ranges() -> None:
    others = [toc_entry(id_, "SCHEMA", f"s{id_}", section=2) for id_ in (2, 3)]
    with pytest.raises(ArchiveError) as caught:
        add_ranges(toc_of(replace(TABLE, dump_id=1), *others), [USERS], workers=2)
    assert caught.value.message == "the archive uses all dump ids, so no range can be added"


def test_only_entries_behind_the_data_wait_for_ranges() -> None:
    comment = toc_entry(7, "COMMENT", "TABLE users", 5, section=2)
    toc, _ = add_ranges(toc_of(TABLE, comment, INDEX), [USERS], workers=2)
    assert toc.entries[1] == comment
    assert all(entry.section == SECTION_POST_DATA for entry in toc.entries[-1:])
