"""The work of entries, the longest chains of it, and what must wait for what."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from airflow_provider_pgclone.core.archive.toc import (
    NO_DATA,
    POSITION_NOT_SET,
    SECTION_DATA,
    SECTION_NONE,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.scheduling.work import (
    SMALL_TABLE_BYTES,
    Schedule,
    is_of_event_trigger,
    schedule,
)

MIB = 1024 * 1024
NOTHING: Mapping[int, int] = MappingProxyType({})
SECTION_PRE_DATA = 2


def entry(
    dump_id: int,
    description: str,
    tag: str,
    *dependencies: int,
    section: int = SECTION_POST_DATA,
    definition: str = "",
) -> TocEntry:
    has_data = description == "TABLE DATA"
    return TocEntry(
        dump_id=dump_id,
        has_dumper=int(has_data),
        catalog_oid="0",
        object_oid="0",
        tag=tag,
        description=description,
        section=section,
        definition=definition,
        drop_statement="",
        copy_statement="",
        namespace="public",
        tablespace=None,
        table_access_method=None,
        relation_kind=0,
        owner="",
        with_oids="false",
        dependencies=dependencies,
        data_state=POSITION_NOT_SET if has_data else NO_DATA,
    )


def table(dump_id: int, name: str) -> TocEntry:
    return entry(dump_id, "TABLE", name, section=SECTION_PRE_DATA)


def data(dump_id: int, name: str, *dependencies: int) -> TocEntry:
    return entry(dump_id, "TABLE DATA", name, *dependencies, section=SECTION_DATA)


def planned(
    entries: list[TocEntry],
    sizes: dict[int, int],
    index_bytes: Mapping[int, int] = NOTHING,
) -> Schedule:
    toc = Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", tuple(entries))
    return schedule(toc, sizes, index_bytes, sessions=2)


def by_id(plan: Schedule) -> dict[int, TocEntry]:
    return {entry.dump_id: entry for entry in plan.toc.entries}


def test_a_chain_is_a_table_and_its_slowest_index() -> None:
    plan = planned(
        [
            table(10, "large"),
            table(11, "costly"),
            data(20, "large", 10),
            data(21, "costly", 11),
            entry(30, "INDEX", "i", 11, definition="CREATE INDEX i ON costly USING gin (a)"),
        ],
        {20: 100 * MIB, 21: 60 * MIB},
    )
    assert plan.own == {20: 100 * MIB, 21: 60 * MIB, 30: 72 * MIB}
    assert plan.chains == {20: 100 * MIB, 21: 132 * MIB, 30: 72 * MIB}


def test_the_size_of_an_index_tells_its_work() -> None:
    """A costly index of a small table comes before the loading of a large one."""
    definitions = {
        30: "CREATE INDEX a ON t USING gin (a)",
        31: "CREATE INDEX b ON t USING btree (b)",
        32: "CREATE INDEX c ON t USING gist (c)",
        33: "CREATE INDEX d ON t USING spgist (d)",
        34: "CREATE INDEX e ON t USING hash (e)",
        35: "CREATE INDEX f ON t USING brin (f)",
        36: "ALTER TABLE ONLY t ADD CONSTRAINT g UNIQUE (g)",
        37: "ALTER TABLE ONLY t ADD CONSTRAINT h EXCLUDE USING gist (h WITH &&)",
    }
    kinds = {36: "CONSTRAINT", 37: "CONSTRAINT"}
    entries = [
        entry(id_, kinds.get(id_, "INDEX"), "i", 10, definition=definition)
        for id_, definition in definitions.items()
    ]
    plan = planned(
        [table(10, "t"), data(20, "t", 10), *entries],
        {20: 100 * MIB},
        dict.fromkeys(definitions, 10 * MIB),
    )
    work = {id_: round(plan.own[id_] / MIB) for id_ in definitions}
    assert work == {30: 53, 31: 13, 32: 83, 33: 28, 34: 28, 35: 13, 36: 13, 37: 83}
    plan = planned([table(10, "t"), data(20, "t", 10), *entries], {20: 100 * MIB}, {31: 0})
    work = {id_: round(plan.own[id_] / MIB) for id_ in definitions}
    assert work == {30: 120, 31: 15, 32: 200, 33: 60, 34: 30, 35: 3, 36: 15, 37: 200}


def test_what_is_behind_the_ranges_of_a_table_decides_alone() -> None:
    """All sessions share the ranges, and a small table with a costly index comes first."""
    plan = planned(
        [
            table(10, "whole"),
            table(11, "ranges"),
            *(data(20, "whole", 10), data(21, "ranges", 5, 11), data(22, "ranges", 5, 11)),
            entry(30, "CONSTRAINT", "whole_pkey", 10),
            entry(31, "CONSTRAINT", "ranges_pkey", 11),
        ],
        {20: 10 * MIB, 21: 40 * MIB, 22: 40 * MIB},
        {30: 40 * MIB, 31: 20 * MIB},
    )
    of_whole, of_ranges = 40 * MIB + 0.03 * 10 * MIB, 20 * MIB + 0.03 * 80 * MIB
    assert plan.chains == pytest.approx(
        {20: 10 * MIB + of_whole, 21: of_ranges, 22: of_ranges, 30: of_whole, 31: of_ranges}
    )


def test_chains_of_small_tables_do_not_differ() -> None:
    ids = range(100, 120)
    plan = planned([data(id_, f"t{id_}", 5) for id_ in ids], {id_: 5000 - id_ for id_ in ids})
    assert set(plan.chains.values()) == {0.0}


def test_what_comes_after_the_data_waits_for_all_data_of_its_tables() -> None:
    """pg_dump writes the tables alone; otherwise a trigger would change rows as they are loaded."""
    plan = planned(
        [
            table(10, "whole"),
            table(11, "ranges"),
            data(20, "whole", 10),
            data(21, "ranges", 5, 11),
            data(22, "ranges", 5, 11),
            entry(30, "TRIGGER", "whole t", 10),
            entry(31, "FK CONSTRAINT", "whole fk", 10, 11),
            entry(32, "COMMENT", "TABLE whole", 10, section=SECTION_NONE),
        ],
        {},
    )
    assert by_id(plan)[30].dependencies == (10, 20)
    assert set(by_id(plan)[31].dependencies) == {10, 11, 20, 21, 22}
    assert by_id(plan)[32].dependencies == (10,)


def test_only_what_reads_rows_is_work() -> None:
    plan = planned(
        [
            table(10, "t"),
            data(20, "t", 10),
            entry(30, "CONSTRAINT", "t_pkey", 10),
            entry(31, "FK CONSTRAINT", "t_fk", 10),
            entry(32, "TRIGGER", "t t", 10),
        ],
        {20: 100 * MIB},
    )
    assert plan.own == {20: 100 * MIB, 30: 15 * MIB, 31: 30 * MIB, 32: 0}


def test_indexes_wait_for_the_constraints_of_their_table() -> None:
    plan = planned(
        [
            table(10, "a"),
            table(11, "b"),
            entry(30, "CONSTRAINT", "a_pkey", 10),
            entry(31, "INDEX", "a_i", 10),
            entry(32, "INDEX", "b_i", 11),
        ],
        {},
    )
    assert 30 in by_id(plan)[31].dependencies
    assert 30 not in by_id(plan)[32].dependencies


def test_indexes_that_alter_their_table_wait_for_each_other() -> None:
    create = "CREATE INDEX i ON public.a USING btree (x);\n"
    clustered = f"{create}\nALTER TABLE public.a CLUSTER ON i;\n"
    identity = f"{create}\nALTER TABLE ONLY public.a REPLICA IDENTITY USING INDEX i;\n"
    plan = planned(
        [
            table(10, "a"),
            table(11, "b"),
            entry(30, "INDEX", "a_1", 10, definition=clustered),
            entry(31, "INDEX", "a_2", 10, definition=create),
            entry(32, "INDEX", "a_3", 10, definition=identity),
            entry(33, "INDEX", "b_1", 11, definition=identity),
        ],
        {},
    )
    assert by_id(plan)[31].dependencies == (10,)
    assert by_id(plan)[32].dependencies == (10, 30)
    assert by_id(plan)[33].dependencies == (11,)


def test_event_triggers_wait_for_refreshes_and_statistics() -> None:
    plan = planned(
        [
            entry(30, "EVENT TRIGGER", "noting"),
            entry(31, "MATERIALIZED VIEW DATA", "v"),
            entry(32, "STATISTICS DATA", "v"),
        ],
        {},
    )
    assert by_id(plan)[30].dependencies == (31, 32)


def test_the_order_and_the_ids_of_the_archive_stay() -> None:
    entries = [table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)]
    plan = planned(entries, {21: 90 * MIB})
    assert list(plan.toc.entries) == entries


def index(dump_id: int, table: int, method: str) -> TocEntry:
    definition = f"CREATE INDEX i ON t USING {method} (a, b) WHERE b = ' USING gin '"
    return entry(dump_id, "INDEX", f"i{dump_id}", table, definition=definition)


TWO = [table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)]


@pytest.mark.parametrize(
    ("of_a", "of_b"),
    [
        ([], [index(31, 11, "btree")]),
        ([index(30, 10, "brin")], [index(31, 11, "btree")]),
        ([index(30, 10, "btree")], [index(31, 11, "spgist")]),
        ([index(30, 10, "spgist")], [index(31, 11, "gist")]),
        ([index(30, 10, "btree")], [index(31, 11, "gin")]),
        ([], [entry(31, "FK CONSTRAINT", "f", 11)]),
        ([entry(30, "CONSTRAINT", "c", 10)], [entry(31, "FK CONSTRAINT", "f", 11)]),
        # The costliest counts, and what waits for it. Two that may run at once do not add up.
        ([index(30, 10, "btree"), index(32, 10, "hash")], [index(31, 11, "spgist")]),
        (
            [index(30, 10, "spgist")],
            [
                entry(31, "CONSTRAINT", "c", 11),
                entry(33, "FK CONSTRAINT", "f", 11, 31),
                index(34, 11, "spgist"),
            ],
        ),
    ],
)
def test_of_tables_of_one_size_that_with_more_work_behind_it_has_the_longer_chain(
    of_a: list[TocEntry], of_b: list[TocEntry]
) -> None:
    plan = planned([*TWO, *of_a, *of_b], dict.fromkeys((20, 21), 10 * MIB))
    assert plan.chains[21] > plan.chains[20]


def test_an_entry_that_depends_on_nothing_known_is_no_work() -> None:
    others = [
        entry(30, "FK CONSTRAINT", "f", 99),
        entry(31, "POLICY", "p"),
        entry(32, "INDEX", "i"),
    ]
    plan = planned([*TWO, *others], {21: 10 * MIB})
    assert plan.own == {20: 0, 21: 10 * MIB, 30: 0, 31: 0, 32: 0}
    assert plan.chains == {20: 0, 21: 10 * MIB, 30: 0, 31: 0, 32: 0}
    assert by_id(plan)[30].dependencies == (99,)


@pytest.mark.parametrize(
    ("size", "length"), [(SMALL_TABLE_BYTES - 1, 0), (SMALL_TABLE_BYTES, SMALL_TABLE_BYTES)]
)
def test_from_a_certain_size_on_a_table_starts_before_small_ones(size: int, length: int) -> None:
    assert planned(TWO, {20: 1, 21: size}).chains == {20: 0, 21: length}


def test_the_first_entries_of_an_archive_count_too() -> None:
    plan = planned([data(20, "a", 10), data(21, "b", 11)], {20: 5 * MIB, 21: 10 * MIB})
    assert plan.chains == {20: 5 * MIB, 21: 10 * MIB}


def test_what_comes_before_the_data_is_not_measured() -> None:
    plan = planned([entry(30, "POLICY", "p"), table(10, "a")], {})
    assert plan.own == plan.chains == {30: 0}


def test_what_follows_small_tables_does_not_start_before_it_could() -> None:
    indexes = [entry(30, "INDEX", "i", 10), entry(31, "INDEX", "j", 11)]
    plan = planned([*TWO, *indexes], {20: 1, 21: 2})
    assert plan.own == {20: 1, 21: 2, 30: 0.15, 31: 0.3}
    assert plan.chains == dict.fromkeys((20, 21, 30, 31), 0)


def test_the_length_of_a_chain_is_measured_behind_other_sections_too() -> None:
    """An entry without data in between, such as a comment, does not end the look for chains."""
    comment = entry(22, "COMMENT", "TABLE b", 11, section=SECTION_PRE_DATA)
    plan = planned([*TWO, comment, index(31, 11, "gin")], {20: 10 * MIB, 21: 9 * MIB})
    expected = {20: 10 * MIB, 21: 19.8 * MIB, 31: 10.8 * MIB}
    assert plan.chains == pytest.approx(expected)


def test_the_first_ones_start_before_the_longest_chain() -> None:
    toc = Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", tuple(TWO))
    plan = schedule(toc, {20: 90 * MIB}, {}, sessions=2, first=[11, 21])
    assert plan.chains == {11: math.inf, 20: 90 * MIB, 21: math.inf}


def test_event_triggers_wait_for_what_is_refreshed_last() -> None:
    plan = planned(
        [
            table(10, "a"),
            entry(30, "MATERIALIZED VIEW DATA", "m", 10),
            entry(31, "STATISTICS DATA", "a", 10),
            entry(32, "EVENT TRIGGER", "e", 10),
            entry(33, "INDEX", "i", 10),
        ],
        {},
    )
    assert by_id(plan)[32].dependencies == (10, 30, 31)
    assert by_id(plan)[33].dependencies == (10,)
    assert by_id(plan)[30].dependencies == (10,)


@pytest.mark.parametrize(
    ("description", "tag", "is_one"),
    [
        ("EVENT TRIGGER", "watch", True),
        ("COMMENT", "EVENT TRIGGER watch", True),
        ("SECURITY LABEL", "EVENT TRIGGER watch", True),
        ("COMMENT", "TABLE watch", False),
        ("SECURITY LABEL", "TABLE watch", False),
        ("TRIGGER", "EVENT TRIGGER watch", False),
        ("TRIGGER", "watch", False),
    ],
)
def test_comments_and_labels_belong_to_their_event_trigger(
    description: str, tag: str, is_one: bool
) -> None:
    assert is_of_event_trigger(entry(30, description, tag)) is is_one
