"""When tables are analyzed, beside the entries that are still to restore."""

import pytest

from airflow_provider_pgclone.core.archive.toc import SECTION_DATA, TableName, TocEntry
from airflow_provider_pgclone.core.scheduling.groups import ENTRIES_OF_GROUP
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.units import divide
from tests.core.scheduling.test_units import scheduled
from tests.core.scheduling.test_work import MIB, SECTION_PRE_DATA, data, entry, table

TWO = [table(10, "large"), table(11, "small"), data(20, "large", 10), data(21, "small", 11)]
SIZES = {20: 90 * MIB, 21: MIB}


def units_of(entries: list[TocEntry], *, sessions: int = 2) -> list[Unit]:
    """Return the units of the pass with the data."""
    passes = divide(scheduled(entries, SIZES), sessions=sessions, analyzes=True)
    (found,) = (
        list(units) for units in passes if any(one.has_data for u in units for one in u.entries)
    )
    assert [unit.number for unit in found] == list(range(len(found)))
    return found


def analyzed(entries: list[TocEntry]) -> dict[tuple[TableName, ...], set[int]]:
    """Return the tables of each unit that analyzes, and the ids of the entries before it."""
    units = units_of(entries)
    return {
        unit.tables: {one.dump_id for place in unit.waits_for for one in units[place].entries}
        for unit in units
        if unit.tables
    }


def named(*names: str) -> tuple[TableName, ...]:
    return tuple(("public", name) for name in names)


def test_a_table_is_analyzed_after_its_data_and_its_indexes() -> None:
    of_large = [entry(30, "INDEX", "i", 10), entry(31, "CONSTRAINT", "c", 10)]
    later = [entry(32, "FK CONSTRAINT", "f", 10, 11), entry(33, "TRIGGER", "t", 11)]
    found = analyzed([*TWO, *of_large, entry(34, "STATISTICS", "s", 11), *later])
    assert {tables: ids & {20, 21, 30, 31, 32, 34} for tables, ids in found.items()} == {
        named("large"): {20, 30, 31},
        named("small"): {21, 34},
    }


def test_a_table_that_depends_on_what_is_no_table_is_analyzed() -> None:
    kind = entry(5, "TYPE", "kind", section=SECTION_PRE_DATA)
    of_kind = entry(10, "TABLE", "large", 5, section=SECTION_PRE_DATA)
    assert analyzed([kind, of_kind, data(20, "large", 10)]) == {named("large"): {20}}


def test_a_table_is_analyzed_after_all_of_its_ranges() -> None:
    found = analyzed([*TWO, data(22, "large", 5, 10), data(23, "large", 5, 10)])
    assert {20, 22, 23} <= found[named("large")]


def test_the_analysis_is_the_last_choice_of_a_session_and_alone_with_its_table() -> None:
    units = units_of([*TWO, entry(30, "INDEX", "i", 10), entry(32, "FK CONSTRAINT", "f", 10, 11)])
    *others, large, small = sorted(units, key=lambda unit: unit.rank)
    assert (large.tables, small.tables) == (named("large"), named("small"))
    for unit in others:
        ids = {one.dump_id for one in unit.entries}
        assert large.conflicts_with(unit) == bool(ids & {30, 32})
        assert small.conflicts_with(unit) == (32 in ids)


def test_small_tables_are_analyzed_together() -> None:
    count = 3 * ENTRIES_OF_GROUP
    tables = [table(1000 + n, f"t{n}") for n in range(count)]
    rows = [data(3000 + n, f"t{n}", 1000 + n) for n in range(count)]
    found = analyzed([*tables, *rows])
    assert [len(names) for names in found] == [ENTRIES_OF_GROUP] * 3


@pytest.mark.parametrize(
    ("more", "left"),
    [
        # What ANALYZE reads of a table comes from its children too.
        ([entry(12, "TABLE", "child", 11, section=2), data(22, "child", 12)], {"small"}),
        # Rows come with those of another partition.
        (
            [
                table(12, "child"),
                entry(
                    *(22, "TABLE DATA", "child", 12),
                    section=SECTION_DATA,
                    definition="-- load via partition root public.parent",
                ),
            ],
            {"child"},
        ),
        ([table(12, "größe"), data(22, "größe", 12)], {"größe"}),
        # Nothing to read.
        ([table(12, "empty")], {"empty"}),
        # ANALYZE comes after the statistics of the dump.
        ([entry(30, "STATISTICS DATA", "small", 11, section=SECTION_DATA)], {"large", "small"}),
    ],
)
def test_some_tables_are_left_for_the_end(more: list[TocEntry], left: set[str]) -> None:
    entries = [*TWO, *more]
    names = {name for tables in analyzed(entries) for _, name in tables}
    assert names == {one.tag for one in entries if one.description == "TABLE"} - left


def test_a_single_session_and_one_that_is_not_asked_to_analyze_nothing() -> None:
    assert not any(unit.tables for unit in units_of(TWO, sessions=1))
    for units in divide(scheduled(TWO, SIZES), sessions=2):
        assert not any(unit.tables for unit in units)
