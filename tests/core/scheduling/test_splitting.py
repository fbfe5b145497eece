"""How constraints are split, and which stay whole."""

from dataclasses import replace

import pytest

from airflow_provider_pgclone.core.archive.toc import Toc, TocEntry
from airflow_provider_pgclone.core.scheduling import divide
from airflow_provider_pgclone.core.scheduling.plain import plain_ids
from airflow_provider_pgclone.core.scheduling.splitting import (
    SMALL_BYTES,
    Split,
    split_constraints,
    validates,
)
from airflow_provider_pgclone.core.scheduling.work import Schedule, schedule
from tests.core.scheduling.test_units import behind
from tests.core.scheduling.test_work import MIB, SECTION_PRE_DATA, data, entry, table

PATH = entry(1, "SEARCHPATH", "SEARCHPATH", section=SECTION_PRE_DATA)
ADDED = "ALTER TABLE ONLY public.large\n    ADD CONSTRAINT "
PRIMARY_KEY = f"{ADDED}large_pkey PRIMARY KEY (id);\n"
FOREIGN_KEY = f"{ADDED}small_id FOREIGN KEY (small_id) REFERENCES public.small(id);\n"


def toc_of(*entries: TocEntry) -> Toc:
    return Toc((1, 16), "zstd", (0,) * 7, "db", "17", "17", (PATH, *entries))


def split(
    *entries: TocEntry,
    raw_bytes: dict[int, int] | None = None,
    index_bytes: dict[int, int] | None = None,
) -> Split:
    toc = toc_of(*entries)
    return split_constraints(toc, raw_bytes or {}, index_bytes or {}, plain_ids(toc))


def constraint(definition: str) -> TocEntry:
    return entry(30, "CONSTRAINT", "large large_pkey", 10, definition=definition)


def foreign_key(definition: str = FOREIGN_KEY) -> TocEntry:
    return entry(40, "FK CONSTRAINT", "large small_id", 10, 11, 31, definition=definition)


@pytest.mark.parametrize(
    ("definition", "index", "added"),
    [
        (
            PRIMARY_KEY,
            "CREATE UNIQUE INDEX large_pkey ON public.large USING btree (id);\n",
            f"{ADDED}large_pkey PRIMARY KEY USING INDEX large_pkey;\n",
        ),
        (
            'ALTER TABLE ONLY "s (x".large\n    ADD CONSTRAINT "a ""k(" UNIQUE ("a, b)", b);\n',
            'CREATE UNIQUE INDEX "a ""k(" ON "s (x".large USING btree ("a, b)", b);\n',
            'ALTER TABLE ONLY "s (x".large\n    ADD CONSTRAINT "a ""k(" UNIQUE'
            ' USING INDEX "a ""k(";\n',
        ),
        (
            f"{ADDED}k UNIQUE (a) INCLUDE (b, c) WITH (fillfactor='70');\n\n"
            "ALTER TABLE public.large CLUSTER ON k;\n",
            "CREATE UNIQUE INDEX k ON public.large USING btree (a) INCLUDE (b, c)"
            " WITH (fillfactor='70');\n",
            f"{ADDED}k UNIQUE USING INDEX k;\n\nALTER TABLE public.large CLUSTER ON k;\n",
        ),
    ],
)
def test_the_index_of_a_constraint_is_built_before(definition: str, index: str, added: str) -> None:
    found = split(table(10, "large"), constraint(definition), index_bytes={30: 5, 9: 1})
    _, _, building, adding = found.toc.entries
    assert (building.description, building.definition) == ("INDEX", index)
    assert (adding.dump_id, adding.description, adding.definition) == (30, "CONSTRAINT", added)
    assert building.dependencies == (10,)
    assert adding.dependencies == (10, building.dump_id)
    assert building.tag == adding.tag
    assert found.index_bytes == {building.dump_id: 5, 9: 1}
    assert found.instant == {30}


@pytest.mark.parametrize(
    "definition",
    [
        f"{ADDED}k PRIMARY KEY (id) DEFERRABLE;\n",
        f"{ADDED}k UNIQUE (id) DEFERRABLE INITIALLY DEFERRED;\n",
        f"{ADDED}k UNIQUE NULLS NOT DISTINCT (id);\n",
        f"{ADDED}k PRIMARY KEY (id, span WITHOUT OVERLAPS);\n",
        f"{ADDED}k EXCLUDE USING gist (span WITH &&);\n",
        f"{ADDED}k UNIQUE (id) WITH (fillfactor='(');\n",
        "ALTER TABLE public.large\n    ADD CONSTRAINT k PRIMARY KEY (id);\n",
        "ALTER TABLE ONLY large\n    ADD CONSTRAINT k PRIMARY KEY (id);\n",
        f"DROP TABLE x;\n{PRIMARY_KEY}",
    ],
)
def test_other_constraints_stay_whole(definition: str) -> None:
    entries = (table(10, "large"), constraint(definition))
    assert split(*entries).toc == toc_of(*entries)


def test_a_foreign_key_is_checked_after_it_was_added() -> None:
    found = split(table(10, "large"), table(11, "small"), foreign_key())
    *_, adding, checking = found.toc.entries
    assert adding == foreign_key(FOREIGN_KEY.replace(";", " NOT VALID;"))
    assert (
        checking.definition == "ALTER TABLE ONLY public.large\n    VALIDATE CONSTRAINT small_id;\n"
    )
    assert (checking.description, checking.tag) == (adding.description, adding.tag)
    # First the table of the key: the other one is left to others.
    assert checking.dependencies == (10, 11, 40)
    assert validates(checking)
    assert not validates(adding)
    assert found.instant == {40}
    assert checking.dump_id == toc_of(foreign_key()).unused_id


@pytest.mark.parametrize(
    "definition",
    [
        FOREIGN_KEY.replace(";", " NOT VALID;"),
        FOREIGN_KEY.replace(";", " NOT ENFORCED;"),
        # Of a partitioned table.
        FOREIGN_KEY.replace("ONLY ", ""),
    ],
)
def test_other_foreign_keys_stay_whole(definition: str) -> None:
    entries = (table(10, "large"), table(11, "small"), foreign_key(definition))
    assert split(*entries).toc == toc_of(*entries)


@pytest.mark.parametrize(
    "above",
    [
        [table(9, "root"), entry(12, "TABLE ATTACH", "large", 9, 10, section=SECTION_PRE_DATA)],
        # It inherits.
        [table(9, "root"), entry(10, "TABLE", "large", 9, section=SECTION_PRE_DATA)],
    ],
)
def test_the_primary_key_of_a_table_below_another_stays_whole(above: list[TocEntry]) -> None:
    """PostgreSQL 18 would make its NOT NULL one of its own."""
    entries = [table(10, "large"), *above] if above[-1].dump_id == 12 else above
    assert not split(*entries, constraint(PRIMARY_KEY)).instant
    unique = PRIMARY_KEY.replace("PRIMARY KEY", "UNIQUE")
    assert split(*entries, constraint(unique)).instant == {30}


@pytest.mark.parametrize("partitioned", ["large", "small"])
def test_nothing_of_a_partitioned_table_is_split(partitioned: str) -> None:
    tables = [
        replace(one, definition="CREATE TABLE t (a int)\nPARTITION BY RANGE (a);\n")
        if one.tag == partitioned
        else one
        for one in (table(10, "large"), table(11, "small"))
    ]
    found = split(*tables, foreign_key(), constraint(PRIMARY_KEY))
    assert found.instant == ({30} if partitioned == "small" else set())


def test_a_foreign_key_of_which_the_table_is_not_certain_stays_whole() -> None:
    """The tag of a key is the names of its table and its own, with a space between."""
    both = (table(10, "large"), table(11, "large small_id"))
    key = replace(foreign_key(), tag="large small_id key")
    assert not split(*both, key).instant


def test_what_is_not_plain_is_not_split() -> None:
    entries = (table(10, "large"), replace(constraint(PRIMARY_KEY), tablespace="fast"))
    assert split(*entries).toc == toc_of(*entries)
    # An encoding that psycopg does not know.
    taiwan = entry(2, "ENCODING", "ENCODING", definition="SET client_encoding = 'EUC_TW';\n")
    assert plain_ids(toc_of(table(10, "large"), constraint(PRIMARY_KEY))) == {30}
    assert plain_ids(toc_of(taiwan, table(10, "large"), constraint(PRIMARY_KEY))) == frozenset()
    # An archive of an old pg_dump, in which statements do not name schemas.
    toc = Toc(
        (1, 12), "gzip", (0,) * 7, "db", "9.6", "9.6", (*entries[:1], constraint(PRIMARY_KEY))
    )
    assert plain_ids(toc) == frozenset()


def plan_of(*, sessions: int = 2) -> Schedule:
    """Return the plan of two tables, one with indexes, and a foreign key between them."""
    small_key = PRIMARY_KEY.replace("large", "small")
    toc = toc_of(
        *(table(10, "large"), table(11, "small"), data(20, "large", 10), data(21, "small", 11)),
        constraint(PRIMARY_KEY),
        entry(31, "CONSTRAINT", "small small_pkey", 11, definition=small_key),
        entry(32, "INDEX", "other", 10, definition="CREATE INDEX other ON public.large ..."),
        foreign_key(),
    )
    sizes, index_bytes = {20: 90 * MIB, 21: 80 * MIB}, {30: 40 * MIB, 31: 30 * MIB, 32: 50 * MIB}
    return schedule(toc, sizes, index_bytes, sessions=sessions)


def test_the_index_of_a_key_is_built_beside_another_one() -> None:
    units = divide(plan_of(), sessions=2)[-1]
    key, other = (
        next(unit for unit in units for one in unit.entries if one.tag == tag)
        for tag in ("large large_pkey", "other")
    )
    assert key.entries[0].definition.startswith("CREATE UNIQUE INDEX large_pkey")
    assert not key.conflicts_with(other)
    waits = behind(units)
    assert key.number not in waits[other.number]
    assert other.number not in waits[key.number]


def test_what_takes_no_time_is_no_work() -> None:
    plan = plan_of()
    for dump_id in (30, 31, 40):
        assert plan.own[dump_id] == 0
    ids = [one.dump_id for one in plan.toc.entries]
    assert len(ids) == len(set(ids)) == 12


def test_a_single_session_restores_what_pg_dump_has_written() -> None:
    plan = plan_of(sessions=1)
    assert not plan.plain
    assert {one.dump_id for one in plan.toc.entries} == {1, 10, 11, 20, 21, 30, 31, 32, 40}


@pytest.mark.parametrize(
    ("raw_bytes", "kept"),
    [
        ({20: SMALL_BYTES - 1, 21: 0}, [30, 40]),
        ({20: SMALL_BYTES // 2, 21: SMALL_BYTES // 2}, []),  # two ranges of one table
        ({20: 0}, []),  # the size of the other range is not known
        ({20: 0, 21: 0, 22: SMALL_BYTES}, [30]),  # the foreign key is compared with a large table
    ],
)
def test_constraints_of_small_tables_stay_whole(raw_bytes: dict[int, int], kept: list[int]) -> None:
    entries = (
        *(table(10, "large"), table(11, "small")),
        *(data(20, "large"), data(21, "large"), data(22, "small")),
        *(constraint(PRIMARY_KEY), foreign_key()),
    )
    found = split(*entries, raw_bytes={22: 0, **raw_bytes})
    assert [e.dump_id for e in found.toc.entries if e in entries[5:]] == kept
