"""Entries of an archive depend on all data that a parallel restore must load before them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_provider_pgclone.core.archive import Toc, complete_dependencies, read_toc
from airflow_provider_pgclone.core.archive.toc import TocEntry, statement_entry
from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.reading import add_ranges
from airflow_provider_pgclone.core.scheduling.work import schedule
from tests.core.conftest import RunTool
from tests.support.fixtures.databases import MakeDatabase
from tests.support.fixtures.waiting import ROOT_DATA, WAITING_SQL

MANY_PARTITIONS = 600
EXTENSION_SQL = """
CREATE EXTENSION hstore;
CREATE TABLE topologies (id int PRIMARY KEY);
CREATE TABLE "a ""layer" (id int UNIQUE REFERENCES topologies);
CREATE TABLE own (id int UNIQUE REFERENCES topologies, other int REFERENCES "a ""layer" (id));
CREATE TABLE other (id int REFERENCES own (id));
ALTER EXTENSION hstore ADD TABLE topologies;
ALTER EXTENSION hstore ADD TABLE "a ""layer";
UPDATE pg_extension SET extcondition = '{"",""}',
    extconfig = ARRAY['"a ""layer"'::regclass::oid, 'topologies'::regclass::oid]
    WHERE extname = 'hstore';
"""


@pytest.fixture
def dumped(run_tool: RunTool, make_database: MakeDatabase) -> Callable[..., Toc]:
    def dump(statements: str, *arguments: str) -> Toc:
        name = make_database(statements)
        result = run_tool("pg_dump", name, "--format=custom", *arguments)
        assert result.returncode == 0, result.stderr
        return read_toc(iter([result.stdout]))

    return dump


def of(toc: Toc, description: str, tag: str) -> TocEntry:
    (found,) = (e for e in toc.entries if (e.description, e.tag) == (description, tag))
    return found


def all_before(toc: Toc, entry: TocEntry) -> list[TocEntry]:
    """Return the entries that a parallel pg_restore restores before another, with repetitions.

    A dependency on a table means its data: repoint_table_dependencies() in pg_backup_archiver.c.
    """
    by_id = {e.dump_id: e for e in toc.entries}
    data = {e.dependencies[0]: e for e in toc.entries if e.description == "TABLE DATA"}
    found: dict[int, TocEntry] = {}
    waiting = [*entry.dependencies]
    while waiting:
        before = data.get(id_ := waiting.pop(), by_id.get(id_))
        if before is not None and before.dump_id not in found:
            found[before.dump_id] = before
            waiting += before.dependencies
    return list(found.values())


def data_before(toc: Toc, entry: TocEntry) -> list[str]:
    return sorted(e.tag for e in all_before(toc, entry) if e.description == "TABLE DATA")


IN_ROOT = [
    ("TRIGGER", "root rewriting"),
    ("TRIGGER", "leaf_1 rewriting"),
    ("FK CONSTRAINT", "root root_kind_fkey"),
    ("FK CONSTRAINT", "reader reader_id_kind_fkey"),
    ("INDEX", "root_note"),
    ("CONSTRAINT", "root root_pkey"),
    ("INDEX ATTACH", "leaf_7_note_idx"),
]


@pytest.mark.parametrize(("description", "tag"), IN_ROOT)
def test_entries_of_a_partitioned_table_wait_for_all_data_below(
    description: str, tag: str, dumped: Callable[..., Toc]
) -> None:
    toc = complete_dependencies(dumped(WAITING_SQL))
    assert set(data_before(toc, of(toc, description, tag))) >= ROOT_DATA


def test_entries_of_a_lower_root_wait_for_the_data_below_it(dumped: Callable[..., Toc]) -> None:
    toc = complete_dependencies(dumped(WAITING_SQL))
    entry = of(toc, "TRIGGER", "below also rewriting")
    assert data_before(toc, entry) == ["leaf_0", "leaf_1", "leaf_2", "leaf_3"]


@pytest.mark.parametrize("scheduled", [False, True])
def test_they_wait_for_every_range(scheduled: bool, dumped: Callable[..., Toc]) -> None:
    excluded = ("--exclude-table-data=leaf_3", "--exclude-table-data=leaf_8")
    toc, _ = add_ranges(
        dumped(WAITING_SQL, *excluded),
        [Table("public", name, 30, 30 << 30, ("id",)) for name in ("leaf_3", "leaf_8")],
        workers=2,
    )
    ranges = sum(e.tag in ("leaf_3", "leaf_8") for e in toc.entries if e.has_data)
    assert ranges == 60
    toc = schedule(toc, {}, {}, sessions=2).toc if scheduled else complete_dependencies(toc)
    for description, tag in IN_ROOT:
        before = data_before(toc, of(toc, description, tag))
        assert [name for name in before if name in ROOT_DATA] == sorted(
            [*(ROOT_DATA - {"leaf_3", "leaf_8"}), *["leaf_3"] * 30, *["leaf_8"] * 30]
        )


@pytest.mark.parametrize("arguments", [[], ["--load-via-partition-root"]])
def test_a_trigger_of_a_partition_waits_for_rows_that_come_by_the_root(
    arguments: list[str], dumped: Callable[..., Toc]
) -> None:
    kind = "int" if arguments else "shade"
    toc = complete_dependencies(
        dumped(
            f"""
            CREATE TYPE shade AS ENUM ('red', 'green', 'blue', 'grey');
            CREATE TABLE shades (shade {kind}, n int) PARTITION BY HASH (shade);
            CREATE TABLE shades_0 PARTITION OF shades FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE shades_1 PARTITION OF shades FOR VALUES WITH (MODULUS 2, REMAINDER 1);
            CREATE TRIGGER suppressing BEFORE INSERT ON shades_0 FOR EACH ROW
                EXECUTE FUNCTION suppress_redundant_updates_trigger();
            """,
            *arguments,
        )
    )
    before = data_before(toc, of(toc, "TRIGGER", "shades_0 suppressing"))
    assert before == ["shades_0", "shades_1"]


def test_the_state_of_a_trigger_waits_for_the_trigger(dumped: Callable[..., Toc]) -> None:
    toc = complete_dependencies(dumped(WAITING_SQL))
    state = of(toc, "TRIGGER", "leaf_1 rewriting")
    assert of(toc, "TRIGGER", "root rewriting").dump_id in state.dependencies
    state = of(toc, "TRIGGER", "leaf_2 also rewriting")
    assert of(toc, "TRIGGER", "below also rewriting").dump_id in state.dependencies
    assert of(toc, "TRIGGER", "root rewriting").dump_id not in state.dependencies


def test_constraints_that_rows_violate_wait_for_these_rows(dumped: Callable[..., Toc]) -> None:
    toc = complete_dependencies(dumped(WAITING_SQL))
    data = {entry.tag for entry in toc.entries if entry.description == "TABLE DATA"}
    assert set(data_before(toc, of(toc, "CHECK CONSTRAINT", "small positive"))) == data
    inherited = of(toc, "CHECK CONSTRAINT", "parent positive")
    assert data_before(toc, inherited) == ["heir", "parent"]


def test_rows_of_extensions_are_loaded_in_the_order_of_the_archive(
    dumped: Callable[..., Toc],
) -> None:
    toc = complete_dependencies(dumped(EXTENSION_SQL))
    first, second = of(toc, "TABLE DATA", "topologies"), of(toc, "TABLE DATA", 'a "layer')
    assert second.dependencies[-1] == first.dump_id
    assert first.dump_id in of(toc, "FK CONSTRAINT", "own own_id_fkey").dependencies
    assert second.dump_id in of(toc, "FK CONSTRAINT", "own own_other_fkey").dependencies
    assert second.dump_id not in of(toc, "FK CONSTRAINT", "other other_id_fkey").dependencies


def test_it_is_done_once(dumped: Callable[..., Toc]) -> None:
    toc = complete_dependencies(dumped(WAITING_SQL))
    assert complete_dependencies(toc) == toc


def test_other_entries_stay_as_they_are(dumped: Callable[..., Toc]) -> None:
    toc = dumped(WAITING_SQL)
    added = complete_dependencies(toc)
    assert replace(added, entries=()) == replace(toc, entries=())
    changed = {
        (new.description, new.tag.partition(" ")[0])
        for old, new in zip(toc.entries, added.entries, strict=True)
        if old != new
    }
    assert {tag for _, tag in changed} <= {
        *("root", "below", "reader", "leaf_1", "leaf_2", "parent", "small"),
        *("root_note", "below_note_idx"),
    }


def test_dependencies_grow_with_the_number_of_partitions(dumped: Callable[..., Toc]) -> None:
    def dependencies(partitions: int) -> int:
        toc = dumped(
            "CREATE TABLE root (a int PRIMARY KEY, b int) PARTITION BY LIST (a);"
            "CREATE INDEX ON root (b);"
            f"DO $$ BEGIN FOR n IN 1..{partitions} LOOP EXECUTE format("
            "'CREATE TABLE p%s PARTITION OF root FOR VALUES IN (%s)', n, n); END LOOP; END $$;"
        )
        return sum(len(entry.dependencies) for entry in complete_dependencies(toc).entries)

    few, many = dependencies(MANY_PARTITIONS // 10), dependencies(MANY_PARTITIONS)
    assert many < 11 * few


def test_partitions_of_each_other_end_no_search() -> None:
    """Of an archive that somebody made."""
    blank = statement_entry(0, "TABLE", "", "")
    entries = (
        replace(blank, dump_id=1, tag="a"),
        replace(blank, dump_id=2, tag="b"),
        replace(blank, dump_id=3, tag="a", description="TABLE ATTACH", dependencies=(1, 2)),
        replace(blank, dump_id=4, tag="b", description="TABLE ATTACH", dependencies=(1, 2)),
        replace(
            blank,
            dump_id=5,
            tag="a",
            description="TABLE DATA",
            definition="-- load via partition root b",
            dependencies=(1,),
        ),
    )
    toc = Toc((1, 14), "none", (0,) * 7, "shop", "17", "17", entries)
    assert len(complete_dependencies(toc).entries) == len(entries)
