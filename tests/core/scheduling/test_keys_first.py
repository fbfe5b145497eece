"""Whether foreign keys are added before or after the indexes of their tables are built."""

from collections.abc import Mapping
from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.toc import SECTION_NONE, TocEntry
from airflow_provider_pgclone.core.scheduling.locks import Lock
from airflow_provider_pgclone.core.scheduling.splitting import validates
from airflow_provider_pgclone.core.scheduling.turns import Turns, work_until_end
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.units import divide
from airflow_provider_pgclone.core.scheduling.work import schedule
from tests.core.scheduling.test_splitting import toc_of
from tests.core.scheduling.test_work import MIB, data, entry, table


def index(dump_id: int, name: str, *dependencies: int, using: str = "btree") -> TocEntry:
    definition = f"CREATE INDEX {name} ON t USING {using} (a);\n"
    return entry(dump_id, "INDEX", name, *dependencies, definition=definition)


def primary_key(dump_id: int, name: str, of: int) -> TocEntry:
    definition = f"ALTER TABLE ONLY public.{name}\n    ADD CONSTRAINT k PRIMARY KEY (id);\n"
    return entry(dump_id, "CONSTRAINT", f"{name} k", of, definition=definition)


def foreign_key(dump_id: int, name: str, to: str, *dependencies: int) -> TocEntry:
    definition = (
        f"ALTER TABLE ONLY public.{name}\n    ADD CONSTRAINT f{dump_id} FOREIGN KEY (b) "
        f"REFERENCES public.{to}(id);\n"
    )
    return entry(dump_id, "FK CONSTRAINT", f"{name} f", *dependencies, definition=definition)


def main_pass(
    entries: list[TocEntry], sizes: Mapping[int, int], index_bytes: Mapping[int, int]
) -> list[Unit]:
    plan = schedule(toc_of(*entries), sizes, index_bytes, sessions=2)
    return [*divide(plan, sessions=2)[1]]


# A large table with three indexes, which refers to one with a costly index.
ORDERS = [
    *(table(10, "customers"), table(11, "orders")),
    *(data(20, "customers", 10), data(21, "customers", 10)),
    *(data(id_, "orders", 11) for id_ in range(22, 28)),  # in ranges
    *(primary_key(30, "customers", 10), primary_key(31, "orders", 11)),
    *(index(32, "placed", 11), index(33, "customer", 11)),
    index(34, "profile", 10, using="gin"),
    foreign_key(40, "orders", "customers", 11, 10, 30),
    entry(41, "COMMENT", "INDEX placed", 32, section=SECTION_NONE),
]


@pytest.mark.parametrize(("gin_mib", "keys_are_first"), [(33, True), (65, False), (400, False)])
def test_a_key_is_added_before_a_build_locks_it_out_unless_that_takes_longest(
    *, gin_mib: int, keys_are_first: bool
) -> None:
    index_bytes = {30: 10 * MIB, 31: 70 * MIB, 32: 70 * MIB, 33: 40 * MIB, 34: gin_mib * MIB}
    sizes = {20: 28 * MIB, 21: 28 * MIB, **dict.fromkeys(range(22, 28), 42 * MIB)}
    units = main_pass(ORDERS, sizes, index_bytes)
    (gin,) = (unit for unit in units if unit.entries[0].dump_id == 34)
    (key,) = (unit for unit in units if unit.entries[0].dump_id == 40)
    (check,) = (unit for unit in units if validates(unit.entries[0]))
    assert key.conflicts_with(gin)
    assert (key.number in gin.waits_for) is keys_are_first
    others = [unit for unit in units if unit.entries[0].dump_id in (31, 32, 33)]
    assert all(check.rank < unit.rank for unit in others) is keys_are_first


@st.composite
def schemas(draw: st.DrawFn) -> tuple[list[TocEntry], dict[int, int], dict[int, int]]:
    """Draw tables with keys, indexes, and foreign keys that may go in circles."""
    count = draw(st.integers(1, 5))
    of = range(count)
    sizes = {20 + n: draw(st.sampled_from([2, 30, 300])) * MIB for n in of}
    entries = [
        *(table(10 + n, f"t{n}") for n in of),
        *(data(20 + n, f"t{n}", 10 + n) for n in of),
        *(primary_key(30 + n, f"t{n}", 10 + n) for n in of),
    ]
    for id_ in range(50, 50 + draw(st.integers(0, 8))):
        using = draw(st.sampled_from(["btree", "gin"]))
        entries.append(index(id_, f"i{id_}", 10 + draw(st.sampled_from(of)), using=using))
    index_bytes = {
        e.dump_id: draw(st.sampled_from([1, 20, 200])) * MIB for e in entries[2 * count :]
    }
    for id_ in range(80, 80 + draw(st.integers(0, 6))):
        one, to = draw(st.sampled_from(of)), draw(st.sampled_from(of))
        tables = (10 + one, 10 + to) if one != to else (10 + one,)
        entries.append(foreign_key(id_, f"t{one}", f"t{to}", *tables, 30 + to))
    return entries, sizes, index_bytes


@given(schemas())
def test_all_units_come_to_their_end(
    drawn: tuple[list[TocEntry], dict[int, int], dict[int, int]],
) -> None:
    units = main_pass(*drawn)
    number_of = {entry.dump_id: unit.number for unit in units for entry in unit.entries}
    order = TopologicalSorter({unit.number: unit.waits_for for unit in units}).static_order()
    assert sorted(order) == [unit.number for unit in units]
    for unit in units:
        for one in unit.entries:
            needed = {number_of[id_] for id_ in one.dependencies if id_ in number_of}
            assert needed - {unit.number} <= unit.waits_for
    assert work_until_end(units, lambda _: 1.0, sessions=1) == len(units)


def unit(number: int, *waits_for: int, cost: float = 0, lock: Lock | None = None) -> Unit:
    locks = {} if lock is None else {1: lock}
    return Unit(number, (), frozenset(waits_for), cost=cost, locks=locks)


def test_what_is_left_has_not_started() -> None:
    turns = Turns([unit(0), unit(1), unit(2), unit(3, 0)])
    assert (turns.left, turns.running) == (4, 0)
    first, _ = turns.take(), turns.take()
    assert first is not None
    assert (turns.left, turns.running) == (2, 2)
    turns.finish(first)
    assert (turns.left, turns.running) == (2, 1)


def test_a_unit_waits_until_the_data_before_its_own_is_read() -> None:
    units = [unit(0), Unit(1, (), reads_after=0), unit(2, 1)]
    turns = Turns(units)
    assert (turns.take(), turns.take()) == (units[0], None)
    assert (turns.left, turns.running) == (2, 1)
    assert turns.note_read(units[0])
    assert turns.take() == units[1]
    assert not turns.note_read(units[1])  # nothing waits for it
    assert turns.take() is None
    turns.finish(units[1])
    assert turns.take() == units[2]
    # What is done is read.
    turns = Turns(units)
    turns.take()
    turns.finish(units[0])
    assert turns.take() == units[1]


@pytest.mark.parametrize(
    ("units", "sessions", "work"),
    [
        ([unit(0), unit(1), unit(2)], 1, 3 + 2 + 1),
        ([unit(0), unit(1), unit(2)], 2, 3),
        ([unit(0), unit(1, cost=1), unit(2, cost=9)], 2, 1 + 3),
        ([unit(0), unit(1), unit(2, 1)], 2, 3),
        ([unit(0), unit(1), unit(2, 0)], 2, 3 + 1),
        ([unit(0), Unit(1, (), reads_after=0), unit(2)], 2, 3),
        ([unit(0, lock=Lock.BUILD), unit(1, lock=Lock.CHECK), unit(2)], 3, 3 + 2),
        ([unit(0, lock=Lock.BUILD), unit(1, lock=Lock.BUILD), unit(2)], 3, 3),
    ],
)
def test_the_work_until_the_end_is_that_of_sessions_side_by_side(
    units: list[Unit], sessions: int, work: float
) -> None:
    """The units have 3, 2 and 1 of work."""
    assert work_until_end(units, lambda one: 3.0 - one.number, sessions=sessions) == work
