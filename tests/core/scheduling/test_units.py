"""How the entries of an archive become units, each of which one run of pg_restore restores."""

from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.toc import (
    SECTION_DATA,
    SECTION_NONE,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.scheduling import groups
from airflow_provider_pgclone.core.scheduling.locks import Lock, Locks
from airflow_provider_pgclone.core.scheduling.turns import Turns
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.units import Passes, data_order, divide
from airflow_provider_pgclone.core.scheduling.work import Schedule, schedule
from tests.core.scheduling.test_work import (
    MIB,
    NOTHING,
    SECTION_PRE_DATA,
    data,
    entry,
    table,
)

OF_EACH_RUN = ("ENCODING", "STDSTRINGS", "SEARCHPATH")
# Each kind of entry with its section, as pg_dump writes them.
KINDS = [
    *((kind, SECTION_PRE_DATA) for kind in (*OF_EACH_RUN, "TABLE", "VIEW", "FUNCTION")),
    *((kind, SECTION_DATA) for kind in ("TABLE DATA", "SEQUENCE SET", "BLOB METADATA")),
    *(
        (kind, SECTION_POST_DATA)
        for kind in (
            *("INDEX", "CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "INDEX ATTACH", "STATISTICS"),
            *("MATERIALIZED VIEW", "MATERIALIZED VIEW DATA", "STATISTICS DATA", "EVENT TRIGGER"),
        )
    ),
    *((kind, SECTION_NONE) for kind in ("COMMENT", "SECURITY LABEL", "ACL", "DEFAULT ACL")),
]
NAMES = ("a", "b", "c", "d")


@st.composite
def archives(draw: st.DrawFn) -> tuple[Schedule, set[int]]:
    """Draw an archive, in which entries come after those that they depend on, and serial data."""
    entries: list[TocEntry] = []
    for dump_id in range(10, 10 + draw(st.integers(0, 40))):
        kind, section = draw(st.sampled_from(KINDS))
        before = [one.dump_id for one in entries]
        depends = draw(st.lists(st.sampled_from(before), max_size=3)) if before else []
        name = f"EVENT TRIGGER {dump_id}" if draw(st.booleans()) else draw(st.sampled_from(NAMES))
        entries.append(entry(dump_id, kind, name, *depends, section=section))
    with_data = [one.dump_id for one in entries if one.has_data]
    sizes = {id_: draw(st.sampled_from([0, 1, MIB, 9 * MIB, 40 * MIB])) for id_ in with_data}
    serial = draw(st.sets(st.sampled_from(with_data))) if with_data else set()
    return scheduled(entries, sizes, serial), serial


def scheduled(
    entries: Sequence[TocEntry],
    sizes: dict[int, int],
    first: Collection[int] = (),
    index_bytes: Mapping[int, int] = NOTHING,
) -> Schedule:
    toc = Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", tuple(entries))
    return schedule(toc, sizes, index_bytes, sessions=2, first=first)


def after_which(waits_for: Collection[int], reads_after: int | None) -> set[int]:
    """Return what a unit or a group comes after."""
    return {*waits_for} if reads_after is None else {*waits_for, reads_after}


def behind(units: Sequence[Unit]) -> dict[int, set[int]]:
    """Return the units that each unit waits for, also by way of others; fails at a circle."""
    found: dict[int, set[int]] = {}
    after = {unit.number: after_which(unit.waits_for, unit.reads_after) for unit in units}
    order = TopologicalSorter(after).static_order()
    waits = {unit.number: unit.waits_for for unit in units}
    for number in order:
        found[number] = {*waits[number]}.union(*(found[one] for one in waits[number]))
    return found


def is_cheap(one: TocEntry, plan: Schedule) -> bool:
    return plan.own.get(one.dump_id, 0) < groups.SMALL_BYTES


@given(archives())
def test_every_entry_is_restored_once_and_after_what_it_depends_on(
    drawn: tuple[Schedule, set[int]],
) -> None:
    plan, serial = drawn
    passes = divide(plan, sessions=2, serial=serial)
    place = {one.dump_id: number for number, one in enumerate(plan.toc.entries)}
    where: dict[int, tuple[int, int]] = {}
    for number, units in enumerate(passes):
        assert [unit.number for unit in units] == list(range(len(units)))
        for unit in units:
            ids = [one.dump_id for one in unit.entries]
            assert ids == sorted(ids, key=place.__getitem__)
            assert where.keys().isdisjoint(ids)
            where.update(dict.fromkeys(ids, (number, unit.number)))
    restored = {one.dump_id for one in plan.toc.entries if one.description not in OF_EACH_RUN}
    assert where.keys() == restored
    before = [behind(units) for units in passes]
    for one in plan.toc.entries:
        # What has to wait for a later pass has lost its dependency in the real pg_restore too.
        for dependency in restored.intersection(one.dependencies) if one.dump_id in where else ():
            mine, theirs = where[one.dump_id], where[dependency]
            if theirs[0] == mine[0] and theirs != mine:
                assert theirs[1] in before[mine[0]][mine[1]]


@given(archives())
def test_a_pass_has_what_pg_restore_restores_in_it(drawn: tuple[Schedule, set[int]]) -> None:
    """``_tocEntryRestorePass()`` in pg_backup_archiver.c."""
    plan, serial = drawn
    found = [
        (number, one)
        for number, units in enumerate(named(divide(plan, sessions=2, serial=serial)))
        for unit in units
        for one in unit.entries
    ]
    for number, one in found:
        about_trigger = one.description in ("COMMENT", "SECURITY LABEL") and one.tag.startswith(
            "EVENT TRIGGER "
        )
        if one.description in ("ACL", "DEFAULT ACL"):
            assert number == 2
        elif about_trigger or one.description in (
            *("EVENT TRIGGER", "MATERIALIZED VIEW DATA", "STATISTICS DATA"),
        ):
            assert number == 3
        else:
            assert number == (1 if one.section in (SECTION_DATA, SECTION_POST_DATA) else number)
            assert number < 2


def named(passes: Passes) -> list[Sequence[Unit]]:
    """Return the units of all four passes, where empty ones are left out."""
    found: list[Sequence[Unit]] = [[], [], [], []]
    for units in passes:
        entries = [one for unit in units for one in unit.entries]
        if any(one.description in ("ACL", "DEFAULT ACL") for one in entries):
            number = 2
        elif any(is_of_last_pass(one) for one in entries):
            number = 3
        else:
            has_data = any(one.section in (SECTION_DATA, SECTION_POST_DATA) for one in entries)
            number = 1 if has_data else 0
        assert not found[number]
        found[number] = units
    return found


def is_of_last_pass(one: TocEntry) -> bool:
    kinds = ("EVENT TRIGGER", "MATERIALIZED VIEW DATA", "STATISTICS DATA")
    return one.description in kinds or (
        one.tag.startswith("EVENT TRIGGER ") and (one.description in ("COMMENT", "SECURITY LABEL"))
    )


@given(archives(), st.integers(2, 4))
def test_serial_data_comes_in_the_order_of_the_archive(
    drawn: tuple[Schedule, set[int]], sessions: int
) -> None:
    plan, serial = drawn
    for units in divide(plan, sessions=sessions, serial=serial):
        order = [one.dump_id for one in plan.toc.entries if one.dump_id in serial]
        read = [id_ for ids in serial_of_each(units, serial).values() for id_ in ids]
        assert read == [id_ for id_ in order if id_ in read]


def serial_of_each(units: Sequence[Unit], serial: Collection[int]) -> dict[int, list[int]]:
    """Return the ids of the serial data of each unit that has some, by its number."""
    ids = {unit.number: [one.dump_id for one in unit.entries] for unit in units}
    found = {number: [id_ for id_ in of if id_ in serial] for number, of in ids.items()}
    return {number: of for number, of in found.items() if of}


@given(archives(), st.integers(2, 4), st.data())
def test_data_is_read_in_its_order_whatever_ends_first(
    drawn: tuple[Schedule, set[int]], sessions: int, drawing: st.DataObject
) -> None:
    plan, serial = drawn
    for units in divide(plan, sessions=sessions, serial=serial):
        turns, running, read = Turns(units), list[Unit](), list[int]()
        to_read = [*serial_of_each(units, serial)]
        while turns.left or running:
            while len(running) < sessions and (unit := turns.take()) is not None:
                running.append(unit)
                # None before it is unread.
                place = to_read.index(unit.number) if unit.number in to_read else 0
                assert read[:place] == to_read[:place]
            one = drawing.draw(st.sampled_from(running))
            if one.number in to_read and one.number not in read:
                read.append(one.number)
                if drawing.draw(st.booleans()):
                    turns.note_read(one)
                    continue
            running.remove(one)
            turns.finish(one)
        assert read == to_read


def test_a_unit_with_serial_data_waits_for_the_one_before_and_for_nothing_else() -> None:
    sizes = dict.fromkeys(range(20, 24), 15 * MIB)  # no two in one unit
    tables = [table(id_ - 10, f"t{id_}") for id_ in sizes]
    rows = [data(20, "t20", 10), data(21, "t21", 11, 20), data(22, "t22", 12), data(23, "t23", 13)]
    serial = {21, 22, 23}
    _, main = divide(scheduled([*tables, *rows], sizes, serial), sessions=2, serial=serial)
    assert [({*unit.waits_for}, unit.reads_after) for unit in main] == [
        (set(), None),
        ({0}, None),
        (set(), 1),
        (set(), 2),
    ]


@given(archives())
def test_no_unit_of_cheap_entries_is_large(drawn: tuple[Schedule, set[int]]) -> None:
    plan, serial = drawn
    parallel = [units for units in divide(plan, sessions=2, serial=serial) if len(units) > 1]
    for unit in (unit for units in parallel for unit in units if len(unit.entries) > 1):
        work = [plan.own.get(one.dump_id, 0) for one in unit.entries]
        assert sum(work) <= groups.SMALL_BYTES
        assert len(work) <= groups.ENTRIES_OF_GROUP


@given(archives())
def test_one_session_restores_all_by_one_run(drawn: tuple[Schedule, set[int]]) -> None:
    """It connects once: a password may be valid for some minutes only."""
    plan, serial = drawn
    ((unit,),) = divide(plan, sessions=1, serial=serial)
    assert unit.entries == tuple(
        one for one in plan.toc.entries if one.description not in OF_EACH_RUN
    )


def divided(
    entries: Sequence[TocEntry], sizes: dict[int, int] | None = None, serial: Collection[int] = ()
) -> list[list[list[int]]]:
    plan = scheduled(entries, sizes or {}, serial)
    return [
        [[one.dump_id for one in unit.entries] for unit in units]
        for units in divide(plan, sessions=2, serial=serial)
    ]


def test_small_tables_share_units_and_so_do_their_indexes() -> None:
    count = 1000
    tables = [table(1000 + n, f"t{n}") for n in range(count)]
    rows = [data(3000 + n, f"t{n}", 1000 + n) for n in range(count)]
    keys = [entry(5000 + n, "CONSTRAINT", f"t{n}_pkey", 1000 + n) for n in range(count)]
    before, main = divided([*tables, *rows, *keys], {3000 + n: 8192 for n in range(count)})
    assert before == [[one.dump_id for one in tables]]
    assert len(main) == 2 * count / groups.ENTRIES_OF_GROUP
    assert main[0] == list(range(3000, 3000 + groups.ENTRIES_OF_GROUP))
    assert [5000 + id_ - 3000 for id_ in main[0]] in main


def test_indexes_of_small_tables_wait_for_their_own_data_alone() -> None:
    plan = scheduled(
        [
            table(10, "small"),
            table(11, "large"),
            data(20, "small", 10),
            data(21, "large", 11),
            entry(30, "CONSTRAINT", "small_pkey", 10),
            entry(31, "CONSTRAINT", "large_pkey", 11),
        ],
        {21: 900 * MIB},
    )
    _, main = divide(plan, sessions=2)
    unit_of = {one.dump_id: unit for unit in main for one in unit.entries}
    assert unit_of[30].waits_for == {unit_of[20].number}
    assert unit_of[31].waits_for == {unit_of[21].number}


def test_serial_data_that_waits_for_other_data_does_not_wait_for_ever() -> None:
    """Both would be in one unit, for which the other data waits."""
    entries = [data(20, "a"), data(21, "b", 20), data(22, "c", 21)]
    assert divided(entries, serial={20, 22}) == [[[20, 21, 22]]]


def test_indexes_of_partitions_are_attached_by_one_run_at_a_time() -> None:
    """Two at once lock each other out where partitions are partitioned."""
    count = groups.ENTRIES_OF_GROUP + 3
    indexes = [entry(1000 + n, "INDEX", f"i{n}") for n in range(count)]
    attached = [entry(3000 + n, "INDEX ATTACH", f"i{n}", 1000 + n) for n in range(count)]
    (main,) = divide(scheduled([*indexes, *attached], {}), sessions=2)
    first, second = (unit for unit in main if unit.entries[0].description == "INDEX ATTACH")
    assert [len(first.entries), len(second.entries)] == [count - 3, 3]
    assert first.number in second.waits_for


def test_each_refresh_of_a_view_is_a_unit() -> None:
    views = [entry(10 + n, "MATERIALIZED VIEW DATA", f"v{n}") for n in range(3)]
    (last,) = divided(views)
    assert last == [[10], [11], [12]]


def test_views_that_need_a_key_come_after_it_with_the_views_that_read_them() -> None:
    entries = [
        table(10, "t"),
        entry(30, "CONSTRAINT", "t_pkey", 10),
        entry(31, "VIEW", "of_key", 10, 30),
        entry(32, "VIEW", "of_view", 31, section=SECTION_PRE_DATA),
        entry(33, "COMMENT", "VIEW of_view", 32, section=SECTION_NONE),
        entry(34, "COMMENT", "TABLE t", 10, section=SECTION_NONE),
    ]
    assert divided(entries) == [[[10, 34]], [[30], [31], [32], [33]]]


def test_what_waits_for_itself_is_restored_by_one_session() -> None:
    entries = [entry(30, "INDEX", "a", 31), entry(31, "INDEX", "b", 30)]
    assert divided(entries) == [[[30, 31]]]


@pytest.mark.parametrize(
    ("kinds", "are_beside"),
    [
        (("INDEX", "INDEX"), True),
        (("INDEX", "TRIGGER"), False),
        (("FK CONSTRAINT", "FK CONSTRAINT"), False),
        (("STATISTICS", "STATISTICS"), False),
    ],
)
def test_what_locks_a_table_does_not_run_beside_others(
    kinds: tuple[str, str], are_beside: bool
) -> None:
    one, other = (
        divide(scheduled([table(10, "t"), entry(30, kind, "x", 10)], {}), sessions=2)[1][0]
        for kind in kinds
    )
    assert one.conflicts_with(other) is not are_beside


def test_statements_on_a_tree_of_partitions_do_not_run_side_by_side() -> None:
    """The last INDEX ATTACH of a table locks all tables above, and a trigger locks all below.

    So does a foreign key to the table.
    """
    plan = scheduled(
        [
            *(table(10, "root"), table(11, "below"), table(12, "leaf"), table(13, "other")),
            entry(14, "TABLE ATTACH", "below", 10, 11, section=SECTION_PRE_DATA),
            entry(15, "TABLE ATTACH", "leaf", 11, 12, section=SECTION_PRE_DATA),
            *(entry(20, "INDEX", "below_i", 11), entry(21, "INDEX", "leaf_i", 12)),
            entry(30, "INDEX ATTACH", "leaf_i", 20, 21),
            entry(31, "TRIGGER", "root t", 10),
            entry(32, "CONSTRAINT", "root_key", 10, definition="ALTER TABLE ONLY root ADD x"),
            entry(33, "TRIGGER", "other t", 13),
            entry(
                34, "FK CONSTRAINT", "other f", 13, 10, definition="ALTER TABLE ONLY other ADD f"
            ),
        ],
        {},
    )
    locks = Locks(plan.toc)
    of = {one.dump_id: dict(locks.of([one])) for one in plan.toc.entries}
    assert of[20] == {11: Lock.BUILD}
    assert of[30] == dict.fromkeys((10, 11, 12), Lock.ALTER)
    assert of[31] == dict.fromkeys((10, 11, 12), Lock.ALTER)
    assert of[32] == {10: Lock.ALTER}
    assert of[33] == {13: Lock.ALTER}
    assert of[34] == dict.fromkeys((10, 11, 12, 13), Lock.CHECK)


def test_data_is_fetched_in_the_order_of_the_units() -> None:
    sizes = {20: MIB, 21: 5 * MIB, 22: MIB, 23: 90 * MIB}
    tables = [table(id_ - 10, f"t{id_}") for id_ in sizes]
    entries = [*tables, *(data(id_, f"t{id_}", id_ - 10) for id_ in sizes)]
    plan = scheduled(entries, sizes)
    assert data_order(divide(plan, sessions=2)) == [23, 20, 21, 22]
    assert data_order(divide(plan, sessions=1)) == [20, 21, 22, 23]
