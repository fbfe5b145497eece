"""In which order a restore starts what is ready."""

import pytest

from airflow_provider_pgclone.core.archive.toc import (
    NO_DATA,
    POSITION_NOT_SET,
    SECTION_DATA,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.loading.schedule import (
    SMALL_TABLE_BYTES,
    Schedule,
    is_of_event_trigger,
    schedule,
)

MIB = 1024 * 1024
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


def planned(entries: list[TocEntry], sizes: dict[int, int]) -> Schedule:
    toc = Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", tuple(entries))
    return schedule(toc, sizes)


def started(plan: Schedule) -> list[int]:
    """Return the old ids in the order of the new ones."""
    return [plan.old_ids[new_id] for new_id in sorted(plan.old_ids)]


def test_the_table_with_the_longest_chain_starts_first() -> None:
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
    assert [id_ for id_ in started(plan) if id_ in (20, 21)] == [21, 20]


def test_all_ranges_of_a_table_count_for_each_of_them() -> None:
    plan = planned(
        [
            table(10, "one"),
            table(11, "ranges"),
            data(20, "one", 10),
            *(data(id_, "ranges", 5, 11) for id_ in (21, 22, 23)),
        ],
        {20: 50 * MIB, **dict.fromkeys((21, 22, 23), 40 * MIB)},
    )
    assert [plan.old_ids[id_] for id_ in plan.start_order(sessions=2)] == [21, 22, 23, 20]
    assert [plan.old_ids[id_] for id_ in plan.start_order(sessions=1)] == [20, 21, 22, 23]


def test_small_tables_start_in_the_order_of_the_archive() -> None:
    ids = range(100, 120)
    plan = planned([data(id_, f"t{id_}", 5) for id_ in ids], {id_: 5000 - id_ for id_ in ids})
    assert started(plan) == list(ids)


def test_the_first_dependency_of_a_range_is_still_no_entry() -> None:
    plan = planned([table(10, "t"), data(20, "t", 5, 10), entry(30, "INDEX", "i", 10, 20, 6)], {})
    new_ids = {entry.dump_id for entry in plan.toc.entries}
    by_old_id = {plan.old_ids[entry.dump_id]: entry for entry in plan.toc.entries}
    no_table = by_old_id[20].dependencies[0]
    assert no_table not in new_ids
    assert no_table <= max(new_ids)
    # pg_restore puts the range in the place of that id: it may be nobody else's dependency.
    assert no_table not in by_old_id[30].dependencies


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
    by_old_id = {plan.old_ids[entry.dump_id]: entry for entry in plan.toc.entries}
    assert by_old_id[30].dump_id in by_old_id[31].dependencies
    assert by_old_id[30].dump_id not in by_old_id[32].dependencies


def test_indexes_of_partitions_are_attached_one_by_one() -> None:
    """Two at once lock each other out where partitions are partitioned."""
    attached = [entry(30 + number, "INDEX ATTACH", f"i{number}", 10) for number in range(3)]
    plan = planned([table(10, "a"), *attached], {})
    by_old_id = {plan.old_ids[entry.dump_id]: entry for entry in plan.toc.entries}
    assert by_old_id[30].dump_id in by_old_id[31].dependencies
    assert by_old_id[31].dump_id in by_old_id[32].dependencies


def test_the_order_of_the_archive_and_all_but_the_ids_stays() -> None:
    entries = [table(10, "a"), table(11, "b"), data(20, "a", 10), data(21, "b", 11)]
    plan = planned(entries, {21: 90 * MIB})
    assert [entry.tag for entry in plan.toc.entries] == ["a", "b", "a", "b"]
    assert [plan.old_ids[entry.dump_id] for entry in plan.toc.entries] == [10, 11, 20, 21]


def first_data(entries: list[TocEntry], sizes: dict[int, int]) -> list[int]:
    """Return the old ids of the data in the order in which they start."""
    plan = planned(entries, sizes)
    return [plan.old_ids[id_] for id_ in plan.start_order(sessions=2)]


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
        ([entry(30, "FK CONSTRAINT", "f", 10)], [entry(31, "CONSTRAINT", "c", 11)]),
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
def test_of_tables_of_one_size_that_with_more_work_behind_it_starts_first(
    of_a: list[TocEntry], of_b: list[TocEntry]
) -> None:
    sizes = dict.fromkeys((20, 21), 10 * MIB)
    assert first_data([*TWO, *of_a, *of_b], sizes) == [21, 20]


def test_an_entry_that_depends_on_nothing_known_does_not_matter() -> None:
    others = [entry(30, "FK CONSTRAINT", "f", 99), entry(31, "POLICY", "p")]
    plan = planned([*TWO, *others], {21: 10 * MIB})
    assert started(plan)[0] == 21
    by_old_id = {plan.old_ids[entry.dump_id]: entry for entry in plan.toc.entries}
    (unknown,) = by_old_id[30].dependencies
    assert unknown not in plan.old_ids
    ranges = planned([table(10, "t"), data(20, "t", 5, 10)], {})
    (of_range,) = (entry.dependencies[0] for entry in ranges.toc.entries if entry.has_data)
    assert unknown != of_range


@pytest.mark.parametrize(
    ("size", "order"), [(SMALL_TABLE_BYTES - 1, [20, 21]), (SMALL_TABLE_BYTES, [21, 20])]
)
def test_from_a_certain_size_on_a_table_starts_before_small_ones(
    size: int, order: list[int]
) -> None:
    assert first_data(TWO, {20: 1, 21: size}) == order


def test_the_first_entries_of_an_archive_count_too() -> None:
    plan = planned([data(20, "a", 10), data(21, "b", 11)], {20: 5 * MIB, 21: 10 * MIB})
    assert started(plan) == [21, 20]


def test_what_is_not_data_starts_in_the_order_of_the_archive() -> None:
    assert started(planned([entry(30, "POLICY", "p"), table(10, "a")], {})) == [30, 10]


def test_what_follows_small_tables_does_not_start_before_it_could() -> None:
    indexes = [entry(30, "INDEX", "i", 10), entry(31, "INDEX", "j", 11)]
    assert started(planned([*TWO, *indexes], {20: 1, 21: 2})) == [10, 11, 20, 21, 30, 31]


def test_the_length_of_a_chain_is_measured_behind_other_sections_too() -> None:
    """An entry without data in between, such as a comment, does not end the look for chains."""
    comment = entry(22, "COMMENT", "TABLE b", 11, section=SECTION_PRE_DATA)
    assert first_data([*TWO, comment, index(31, 11, "gin")], {20: 10 * MIB, 21: 9 * MIB}) == [
        *(21, 20),
    ]


def test_the_first_ones_start_before_the_longest_chain() -> None:
    toc = Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", tuple(TWO))
    assert started(schedule(toc, {20: 90 * MIB}, first=[11, 21])) == [11, 21, 20, 10]


def dependencies_of(plan: Schedule, old_id: int) -> list[int]:
    (found,) = (one for one in plan.toc.entries if plan.old_ids[one.dump_id] == old_id)
    return [plan.old_ids[id_] for id_ in found.dependencies]


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
    assert dependencies_of(plan, 32) == [10, 30, 31]
    assert dependencies_of(plan, 33) == [10]
    assert dependencies_of(plan, 30) == [10]


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


def test_the_first_index_that_is_attached_waits_for_none() -> None:
    plan = planned([table(10, "a"), entry(30, "INDEX ATTACH", "i", 10)], {})
    assert dependencies_of(plan, 30) == [10]
