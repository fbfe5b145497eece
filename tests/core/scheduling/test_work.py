"""The work of entries, the longest chains of it, and what must wait for what."""

from airflow_provider_pgclone.core.archive.toc import (
    NO_DATA,
    POSITION_NOT_SET,
    SECTION_DATA,
    SECTION_NONE,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.scheduling.work import Schedule, schedule

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
    assert plan.own == {20: 100 * MIB, 21: 60 * MIB, 30: 180 * MIB}
    assert plan.chains == {20: 100 * MIB, 21: 240 * MIB, 30: 180 * MIB}


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
    assert plan.chains == {20: 50 * MIB, **dict.fromkeys((21, 22, 23), 120 * MIB)}


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
    assert plan.own == {20: 100 * MIB, 30: 50 * MIB, 31: 20 * MIB, 32: 0}


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
