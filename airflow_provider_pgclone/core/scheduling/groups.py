"""Groups the entries of an archive that are little work. Pure.

Each run of pg_restore starts a program, connects and reads a table of contents, in about 20 ms. A
session of ours needs less than a millisecond for a group.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from airflow_provider_pgclone.core.archive import SECTION_DATA, TableName, TocEntry
from airflow_provider_pgclone.core.scheduling.work import Schedule
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

SMALL_BYTES = 16 * 1024 * 1024
# Whoever reads data that comes in order keeps that of a group in memory.
SERIAL_BYTES = 8 * 1024 * 1024
ENTRIES_OF_GROUP = 200
# Data that comes one after another, and what is restored one at a time, since two at once fail
# with "deadlock detected" for a table with partitioned partitions.
_SERIAL_DATA, _ATTACHING = "serial data", "INDEX ATTACH"
# How long it takes is not known.
_OF_UNKNOWN_WORK = ("MATERIALIZED VIEW DATA",)


@dataclass(frozen=True)
class Group:
    """Some entries in the order of the archive.

    :param waits_for: the places of the groups that must be restored before.
    :param reads_after: the place of the group whose data must be read before, if there is one.
    """

    entries: tuple[TocEntry, ...]
    waits_for: frozenset[int]
    reads_after: int | None = None


class _Link(NamedTuple):
    """A part of a chain, by its place in it."""

    chain: str
    number: int

    @property
    def before(self) -> "_Link":
        return _Link(self.chain, self.number - 1)


# An entry, by its id, or a part of a chain.
_Node = int | _Link


class Grouping:
    """Groups entries so that no two groups wait for each other.

    Each node is an entry, or a link of a chain: some entries of a kind that has an order. A node
    has a higher level than all that it waits for, and the nodes of a group have one level. Links of
    a chain may have the same level, but each has a group of its own.

    A link waits until the one before it is restored; one with serial data only until that is read.

    :param serial: the ids of entries whose data comes in the order of the archive.
    """

    def __init__(self, plan: Schedule, serial: Collection[int]) -> None:
        self._plan = plan
        self._serial = frozenset(serial)
        self._tables = {e.dump_id: e.table for e in plan.toc.entries if e.description == "TABLE"}
        with_data = (entry.table for entry in plan.toc.entries if entry.has_data)
        self._in_ranges = {table for table, count in Counter(with_data).items() if count > 1}

    def groups(self, entries: Sequence[TocEntry]) -> list[Group]:
        nodes = self._nodes(entries)
        links = {node for node in nodes.values() if isinstance(node, _Link)}
        before: dict[_Node, _Node] = {link: link.before for link in links if link.number}
        waits: dict[_Node, set[_Node]] = {node: set() for node in nodes.values()}
        for entry in entries:
            node = nodes[entry.dump_id]
            waits[node] |= {nodes[id_] for id_ in entry.dependencies if id_ in nodes} - {node}
        levels = _levels(waits, before)
        if levels is None:  # one session needs no dependencies
            log.warning("restoring %d entries one by one: they wait for each other", len(entries))
            return [Group(tuple(entries), frozenset())]
        found: dict[Hashable, list[TocEntry]] = defaultdict(list)
        key_of: dict[_Node, Hashable] = {}
        for key, entry in self._keyed(entries, nodes, levels):
            found[key].append(entry)
            key_of[nodes[entry.dump_id]] = key
        places = {key: place for place, key in enumerate(found)}
        waits_for: list[set[int]] = [set() for _ in places]
        reads_after: dict[int, int] = {}
        for node, key in key_of.items():
            waits_for[places[key]] |= {places[key_of[one]] for one in waits[node]} - {places[key]}
        for link in links & before.keys():
            place, one_before = places[key_of[link]], places[key_of[link.before]]
            if link.chain == _SERIAL_DATA:
                reads_after[place] = one_before
            else:
                waits_for[place].add(one_before)
        return [
            Group(tuple(group), frozenset(waits_for[place]), reads_after.get(place))
            for place, group in enumerate(found.values())
        ]

    def _nodes(self, entries: Sequence[TocEntry]) -> Mapping[int, _Node]:
        """Return the node of each entry."""
        bins = {_SERIAL_DATA: _Bins(SERIAL_BYTES), _ATTACHING: _Bins(SMALL_BYTES)}
        nodes: dict[int, _Node] = {}
        for entry in entries:
            chain = self._chain(entry)
            if chain is None:
                nodes[entry.dump_id] = entry.dump_id
            else:
                nodes[entry.dump_id] = _Link(chain, bins[chain].add(self._work(entry)))
        return nodes

    def _chain(self, entry: TocEntry) -> str | None:
        if entry.dump_id in self._serial:
            return _SERIAL_DATA
        return _ATTACHING if entry.description == _ATTACHING else None

    def _keyed(
        self,
        entries: Sequence[TocEntry],
        nodes: Mapping[int, _Node],
        levels: Mapping[_Node, int],
    ) -> Iterator[tuple[Hashable, TocEntry]]:
        """Yield each entry with what its group has in common."""
        bins: dict[Hashable, _Bins] = defaultdict(lambda: _Bins(SMALL_BYTES))
        group_of_table: dict[TableName, Hashable] = {}
        for entry in entries:
            node, work = nodes[entry.dump_id], self._work(entry)
            key: Hashable = node
            is_alone = work >= SMALL_BYTES or entry.description in _OF_UNKNOWN_WORK
            is_range = entry.has_data and entry.table in self._in_ranges
            is_alone = is_alone or is_range  # all sessions share the table
            if node == entry.dump_id and not is_alone:
                common: Hashable = entry.has_data
                if entry.section != SECTION_DATA:
                    common = self._data_group(entry, group_of_table)
                is_plain = entry.dump_id in self._plan.plain
                kind = levels[node], entry.section == SECTION_DATA, common, is_plain
                key = kind, bins[kind].add(work)
            if entry.has_data:  # that of a table in ranges is the last one's, which is alone
                group_of_table[entry.table] = key
            yield key, entry

    def _data_group(
        self, entry: TocEntry, group_of_table: Mapping[TableName, Hashable]
    ) -> Hashable | None:
        """Return the group of the data of a table on which an entry depends."""
        names = (self._tables[id_] for id_ in entry.dependencies if id_ in self._tables)
        return next((group_of_table[name] for name in names if name in group_of_table), None)

    def _work(self, entry: TocEntry) -> float:
        return self._plan.own.get(entry.dump_id, 0.0)


class _Bins:
    """Numbers things so that those of one number are little work together."""

    def __init__(self, most_work: float) -> None:
        self._most_work = most_work
        self._number, self._work, self._count = 0, 0.0, 0

    def add(self, work: float) -> int:
        is_full = self._work + work > self._most_work or self._count == ENTRIES_OF_GROUP
        if self._count and is_full:
            self._number, self._work, self._count = self._number + 1, 0.0, 0
        self._work, self._count = self._work + work, self._count + 1
        return self._number


def _levels(
    waits: Mapping[_Node, Collection[_Node]], before: Mapping[_Node, _Node]
) -> dict[_Node, int] | None:
    """Return the length of the longest chain before each node, ``None`` if there is a circle."""
    sorter: TopologicalSorter[_Node] = TopologicalSorter(waits)
    for node, one in before.items():
        sorter.add(node, one)
    levels: dict[_Node, int] = {}
    try:
        for node in sorter.static_order():
            least = levels[before[node]] if node in before else 0
            levels[node] = max((levels[one] + 1 for one in waits[node]), default=least)
            levels[node] = max(levels[node], least)
    except CycleError:
        return None
    return levels
