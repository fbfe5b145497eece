"""Where the bounds between units are, what each waits for, and what each locks."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

import pytest

from airflow_provider_pgclone.core.archive.toc import SECTION_DATA, SECTION_NONE, TocEntry
from airflow_provider_pgclone.core.scheduling import divide, entries_of_each_run
from airflow_provider_pgclone.core.scheduling.groups import (
    SERIAL_BYTES,
    SMALL_BYTES,
    Group,
    Grouping,
)
from airflow_provider_pgclone.core.scheduling.locks import Lock, Locks
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.work import schedule
from tests.core.scheduling.test_units import after_which, scheduled
from tests.core.scheduling.test_work import MIB, SECTION_PRE_DATA, data, entry, table

READ, BUILD, CHECK, ALTER = Lock


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        *((READ, READ, READ), (READ, BUILD, BUILD), (READ, CHECK, CHECK), (READ, ALTER, ALTER)),
        *((BUILD, BUILD, BUILD), (BUILD, CHECK, ALTER), (BUILD, ALTER, ALTER)),
        *((CHECK, CHECK, CHECK), (CHECK, ALTER, ALTER), (ALTER, ALTER, ALTER)),
    ],
)
def test_a_joined_lock_goes_with_nothing_that_one_of_the_two_does_not_go_with(
    one: Lock, other: Lock, joined: Lock
) -> None:
    assert one.joined(other) is other.joined(one) is joined


def groups_of(
    entries: Sequence[TocEntry], sizes: dict[int, int]
) -> list[tuple[list[int], set[int]]]:
    """Return the ids of each group of what is not a table, and the groups that it waits for."""
    return [(ids, waits_for) for ids, waits_for, _ in groups_in_order(entries, sizes, ())]


def groups_in_order(
    entries: Sequence[TocEntry], sizes: dict[int, int], serial: Collection[int]
) -> list[tuple[list[int], set[int], int | None]]:
    """Return the same, and the group whose data must be read before."""
    plan = scheduled(entries, sizes)
    grouped = [one for one in plan.toc.entries if one.description != "TABLE"]
    found: list[Group] = Grouping(plan, serial).groups(grouped)
    return [
        ([one.dump_id for one in group.entries], {*group.waits_for}, group.reads_after)
        for group in found
    ]


@pytest.mark.parametrize(
    ("sizes", "shared"),
    [
        ([8 * MIB, 8 * MIB], [[20, 21]]),
        ([8 * MIB, 8 * MIB + 1], [[20], [21]]),
        ([5 * MIB, 5 * MIB, 7 * MIB], [[20, 21], [22]]),
        # What follows a full group begins one that is as large.
        ([10 * MIB, 10 * MIB, 6 * MIB], [[20], [21, 22]]),
        ([10 * MIB, 10 * MIB, 6 * MIB, 1], [[20], [21, 22], [23]]),
        ([SMALL_BYTES - 1, 1], [[20, 21]]),
        ([SMALL_BYTES, 0], [[20], [21]]),
        ([0, SMALL_BYTES, 0], [[20, 22], [21]]),
    ],
)
def test_entries_share_a_group_up_to_its_size(sizes: list[int], shared: list[list[int]]) -> None:
    found = groups_of(rows_of_tables(len(sizes)), dict(enumerate(sizes, 20)))
    assert found == [(group, set()) for group in shared]


def rows_of_tables(count: int) -> list[TocEntry]:
    """Return the entries of tables, and those of their rows, with the ids from 20 on."""
    ids = range(20, 20 + count)
    tables = [table(id_ - 10, f"t{id_}") for id_ in ids]
    return [*tables, *(data(id_, f"t{id_}", id_ - 10) for id_ in ids)]


@pytest.mark.parametrize(
    ("sizes", "shared"),
    [
        ([4 * MIB, 4 * MIB], [[20, 21]]),
        ([4 * MIB, 4 * MIB + 1], [[20], [21]]),
        ([5 * MIB, 9 * MIB, 1, 1], [[20], [21], [22, 23]]),
        ([SERIAL_BYTES, 0, 40 * MIB], [[20, 21], [22]]),
        # Serial data is never out of order.
        ([0, 40 * MIB, 0], [[20], [21], [22]]),
    ],
)
def test_serial_data_shares_a_group_as_far_as_its_reader_keeps_it(
    sizes: list[int], shared: list[list[int]]
) -> None:
    serial = range(20, 20 + len(sizes))
    found = groups_in_order(rows_of_tables(len(sizes)), dict(enumerate(sizes, 20)), serial)
    # Each is read after the one before, and waits for nothing else.
    assert found == [
        (group, set(), place - 1 if place else None) for place, group in enumerate(shared)
    ]


def test_what_is_no_work_has_room_beside_what_is() -> None:
    about = [entry(31 + n, "COMMENT", "INDEX i", 10, 20, section=SECTION_NONE) for n in range(3)]
    entries = [table(10, "t"), data(20, "t", 10), entry(30, "INDEX", "i", 10), *about]
    assert groups_of(entries, {20: 2 * SMALL_BYTES - 2}) == [([20], set()), ([30, 31, 32, 33], {0})]


def test_rows_do_not_share_a_group_with_values_of_sequences() -> None:
    sequence = entry(21, "SEQUENCE SET", "s", section=SECTION_DATA)
    entries = [table(10, "t"), data(20, "t", 10), sequence, table(11, "u"), data(22, "u", 11)]
    assert groups_of(entries, {}) == [([20, 22], set()), ([21], set())]


def test_what_any_session_can_execute_shares_no_group_with_what_is_for_pg_restore() -> None:
    copied, inserted = ("COPY public.t (a) FROM stdin;\n", "")
    rows = [
        replace(data(20 + n, name, 10 + n), copy_statement=statement)
        for n, (name, statement) in enumerate(
            [("a", copied), ("b", inserted), ("c", copied), ("d", inserted)]
        )
    ]
    path = entry(1, "SEARCHPATH", "SEARCHPATH", section=SECTION_PRE_DATA)
    tables = [table(one.dump_id - 10, one.tag) for one in rows]
    plan = scheduled([path, *tables, *rows, entry(30, "INDEX", "i"), entry(31, "TRIGGER", "t")], {})
    assert plan.plain == {20, 22, 30}
    _, main = divide(plan, sessions=2)
    assert [([one.dump_id for one in unit.entries], unit.is_plain) for unit in main] == [
        *(([20, 22], True), ([21, 23], False)),
        *(([30], True), ([31], False)),
    ]
    assert not schedule(plan.toc, {}, {}, sessions=1).plain
    assert schedule(plan.toc, {}, {}, sessions=3).plain == plan.plain


def test_indexes_of_a_table_in_several_groups_wait_for_no_other_table() -> None:
    entries = [
        *(table(10, "ranges"), table(11, "small")),
        *(data(20, "ranges", 5, 10), data(21, "ranges", 5, 10), data(22, "small", 11)),
        *(entry(30, "INDEX", "i", 10), entry(31, "INDEX", "j", 11), entry(32, "INDEX", "k", 10)),
    ]
    assert groups_of(entries, {20: 79 * MIB, 21: MIB, 22: MIB}) == [
        ([20], set()),
        ([21], set()),  # alone, since all sessions share the table
        ([22], set()),
        ([30], {0, 1}),
        ([31], {2}),
        ([32], {0, 1}),
    ]


def test_what_is_after_the_data_of_one_group_shares_groups_of_its_level() -> None:
    entries = [
        *(table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)),
        *(entry(30, "CONSTRAINT", "a", 10), entry(31, "CONSTRAINT", "b", 11)),
        *(entry(32, "INDEX", "a", 10), entry(33, "TRIGGER", "b", 11)),
        *(entry(34, "FK CONSTRAINT", "f", 10, 11, 31), entry(35, "FUNCTION", "lonely")),
    ]
    assert groups_of(entries, {}) == [
        ([20, 21], set()),
        ([30, 31, 33], {0}),
        ([32, 34], {0, 1}),
        ([35], set()),
    ]


def test_a_link_of_a_chain_does_not_hold_back_what_does_not_wait_for_it() -> None:
    entries = [
        *(table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)),
        *(entry(30, "POLICY", "p", 21), entry(31, "POLICY", "q")),
    ]
    sizes = {20: 20 * MIB, 21: 20 * MIB}
    assert groups_in_order(entries, sizes, {20, 21}) == [
        ([20], set(), None),
        ([21], set(), 0),
        ([30], {1}, None),
        ([31], set(), None),
    ]


def test_a_link_of_a_chain_waits_for_one_that_waits_for_something_else() -> None:
    entries = [
        *(table(9, "x"), table(10, "a"), table(11, "b")),
        *(data(19, "x", 9), data(20, "a", 10, 19), data(21, "b", 11)),
    ]
    sizes = dict.fromkeys((19, 20, 21), 20 * MIB)
    assert groups_in_order(entries, sizes, {20, 21}) == [
        ([19], set(), None),
        ([20], {0}, None),
        ([21], set(), 1),
    ]


def test_what_waits_for_a_link_is_not_grouped_with_what_the_link_waits_for() -> None:
    """The link before it may wait for that; then both groups would wait for each other."""
    names = {15: "v", 16: "w", 20: "x", 21: "y", 22: "z"}
    waits = {16: [15], 20: [16], 22: [21]}
    tables = [table(id_ - 10, name) for id_, name in names.items()]
    rows = [data(id_, name, id_ - 10, *waits.get(id_, [])) for id_, name in names.items()]
    found = groups_in_order([*tables, *rows], dict.fromkeys((20, 21), 20 * MIB), {20, 21})
    assert found == [
        *(([15], set(), None), ([16], {0}, None), ([20], {1}, None)),
        *(([21], set(), 2), ([22], {3}, None)),
    ]


def test_groups_with_links_of_a_chain_are_in_no_circle() -> None:
    tables = [table(id_ - 10, f"t{id_}") for id_ in range(20, 27)]
    rows = [
        *(data(20, "t20", 10), data(21, "t21", 11, 20), data(22, "t22", 12, 21)),
        *(data(23, "t23", 13, 22), data(24, "t24", 14), data(25, "t25", 15, 24)),
        data(26, "t26", 16, 25),
    ]
    found = groups_in_order([*tables, *rows], dict.fromkeys((23, 25), 7 * MIB), {23, 25})
    after = {
        place: after_which(waits_for, reads_after)
        for place, (_, waits_for, reads_after) in enumerate(found)
    }
    assert len([*TopologicalSorter(after).static_order()]) == len(found)


def test_views_after_keys_share_a_group_only_if_their_tables_do() -> None:
    entries = [
        *(table(10, "large"), table(11, "small"), data(20, "large", 10), data(21, "small", 11)),
        *(entry(30, "CONSTRAINT", "k", 10), entry(31, "CONSTRAINT", "l", 11)),
        entry(40, "VIEW", "v", 10, 30, section=SECTION_PRE_DATA),
        entry(41, "VIEW", "w", 11, 31, section=SECTION_PRE_DATA),
        entry(42, "VIEW", "x", 11, 31, section=SECTION_PRE_DATA),
    ]
    assert groups_of(entries, {20: 20 * MIB, 21: MIB}) == [
        *(([20], set()), ([21], set())),
        *(([30], {0}), ([31], {1})),
        *(([40], {2}), ([41, 42], {3})),
    ]


def test_the_first_index_that_is_attached_waits_for_none() -> None:
    entries = [table(10, "a"), entry(30, "INDEX ATTACH", "i", 10)]
    assert groups_of(entries, {}) == [([30], set())]


def test_that_entries_wait_for_each_other_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    entries = [entry(30, "INDEX", "a", 31), entry(31, "INDEX", "b", 30), entry(32, "POLICY", "p")]
    assert groups_of(entries, {}) == [([30, 31, 32], set())]
    assert caplog.messages == ["restoring 3 entries one by one: they wait for each other"]


def test_a_unit_costs_what_its_longest_chain_costs() -> None:
    entries = [
        *(table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)),
        *(entry(30, "INDEX", "b", 11), entry(31, "COMMENT", "INDEX b", 30, section=SECTION_NONE)),
    ]
    sizes, index_bytes = {20: 4 * MIB, 21: 10 * MIB}, {30: 4 * MIB}
    before, main = divide(scheduled(entries, sizes, index_bytes=index_bytes), sessions=2)
    index = 4 * MIB + 0.03 * 10 * MIB
    assert [unit.cost for unit in before] == [0]
    assert [([one.dump_id for one in unit.entries], unit.cost) for unit in main] == [
        ([20, 21], 10 * MIB + index),
        ([30], index),
        ([31], 0),
    ]
    assert [unit.rank for unit in main] == [(-10 * MIB - index, 0), (-index, 1), (0, 2)]


def test_entries_of_each_run_are_those_that_set_how_the_others_are_read() -> None:
    kinds = ("ENCODING", "TABLE", "STDSTRINGS", "SEARCHPATH", "COMMENT")
    toc = scheduled([entry(id_, kind, kind) for id_, kind in enumerate(kinds, 1)], {}).toc
    assert [one.dump_id for one in entries_of_each_run(toc)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        ({}, {}, False),
        ({1: ALTER}, {2: ALTER}, False),
        ({1: BUILD}, {1: BUILD}, False),
        ({1: BUILD}, {1: CHECK}, True),
        ({1: BUILD}, {1: ALTER}, True),
        ({1: CHECK}, {1: CHECK}, True),
        ({1: CHECK}, {1: ALTER}, True),
        ({1: ALTER}, {1: ALTER}, True),
        ({1: READ}, {1: READ}, False),
        ({1: READ}, {1: BUILD}, False),
        ({1: READ}, {1: CHECK}, False),
        ({1: READ}, {1: ALTER}, True),
        ({1: BUILD, 2: BUILD, 3: ALTER}, {1: BUILD, 2: CHECK}, True),
    ],
)
def test_units_conflict_if_they_lock_a_table_that_they_do_not_share(
    mine: dict[int, Lock], theirs: dict[int, Lock], conflict: bool
) -> None:
    one, other = Unit(0, (), locks=mine), Unit(1, (), locks=theirs)
    assert one.conflicts_with(other) is other.conflicts_with(one) is conflict


VALIDATE = "ALTER TABLE ONLY public.a\n    VALIDATE CONSTRAINT x;\n"
TREE = [
    table(10, "root"),
    # Older archives attach a partition in the entry of its table.
    entry(11, "TABLE", "old", 10, 90, section=SECTION_PRE_DATA),
    *(table(12, "leaf"), table(13, "other")),
    entry(14, "TABLE ATTACH", "leaf", 11, 12, section=SECTION_PRE_DATA),
    entry(15, "TABLE ATTACH", "unknown", 13, section=SECTION_PRE_DATA),
    *(entry(20, "INDEX", "i", 11, 91), entry(21, "CONSTRAINT", "k", 12, definition="ONLY")),
    entry(22, "INDEX", "o", 13),
    entry(23, "POLICY", "p", 13),
]


@pytest.mark.parametrize(
    ("one", "locks"),
    [
        (entry(30, "INDEX", "x", 10), {10: BUILD}),
        (entry(30, "INDEX", "x", 10, 92, 13), {10: BUILD, 13: BUILD}),
        (entry(30, "INDEX ATTACH", "x", 20, 21), {10: ALTER, 11: ALTER, 12: ALTER}),
        (entry(30, "INDEX ATTACH", "x", 93, 20), {10: ALTER, 11: ALTER}),
        # Only an index is attached, not what else depends on a table.
        (entry(30, "INDEX ATTACH", "x", 23), {}),
        (entry(30, "TRIGGER", "x", 11), {11: ALTER, 12: ALTER}),
        (entry(30, "TRIGGER", "x", 13), {13: ALTER}),
        (entry(30, "CONSTRAINT", "x", 11, definition="ALTER TABLE ONLY a ADD x"), {11: ALTER}),
        (
            entry(30, "FK CONSTRAINT", "x", 10, 13, definition="ALTER TABLE a ADD x"),
            {10: CHECK, 11: CHECK, 12: CHECK, 13: CHECK},
        ),
        (
            entry(30, "FK CONSTRAINT", "x", 11, 13, 29, definition=VALIDATE),
            {11: CHECK, 13: READ},
        ),
        (entry(30, "FK CONSTRAINT", "x", 11, 29, definition=VALIDATE), {11: CHECK}),
        # Before the data there is one session.
        (entry(30, "RULE", "x", 10, section=SECTION_PRE_DATA), {}),
    ],
)
def test_an_entry_locks_its_tables_and_those_above_or_below(
    one: TocEntry, locks: dict[int, Lock]
) -> None:
    found = Locks(scheduled(TREE, {}).toc).of([one])
    assert found == locks


def test_a_unit_shares_a_lock_only_if_all_its_entries_do() -> None:
    locks = Locks(scheduled(TREE, {}).toc)
    index, comment = entry(30, "INDEX", "x", 13), entry(31, "STATISTICS", "y", 13)
    assert locks.of([index, comment]) == locks.of([comment, index]) == {13: ALTER}
    assert locks.of([index, index]) == {13: BUILD}
    (unit,) = divide(scheduled([*TREE[3:4], index], {}), sessions=2)[1]
    assert unit.locks == {13: BUILD}


def test_the_only_unit_of_a_single_session_is_the_first() -> None:
    ((unit,),) = divide(scheduled([table(10, "t"), data(20, "t", 10)], {}), sessions=1)
    assert (unit.number, unit.waits_for) == (0, frozenset())
