"""Divides the entries of an archive into units, each of which one run of pg_restore restores. Pure.

A run of pg_restore reads a cut-down archive from its standard input, so it needs no file and no
pipe with a name. The units have the order of the passes of a parallel pg_restore:
``restore_toc_entries_prefork()``, ``_parallel()`` and ``_tocEntryRestorePass()`` in
pg_backup_archiver.c.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from airflow_provider_pgclone.core.archive import (
    SECTION_DATA,
    SECTION_NONE,
    SECTION_POST_DATA,
    TableName,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.loading.schedule import Schedule, is_of_event_trigger

# Each run connects anew and reads its table of contents, in about 20 ms.
SMALL_BYTES = 16 * 1024 * 1024
ENTRIES_OF_UNIT = 200
# pg_restore reads these with the table of contents: _tocEntryRequired() in pg_backup_archiver.c.
_OF_EACH_RUN = ("ENCODING", "STDSTRINGS", "SEARCHPATH")
# Its lock lets others of its kind work on the table, but nothing else.
_SHARING = ("INDEX", "STATISTICS")
# Data of which one run at a time can load the next, other data, and entries of data without any.
_SERIAL, _PARALLEL, _OTHER = "serial", "parallel", "other"


@dataclass(frozen=True)
class Unit:
    """Entries that one run of pg_restore restores, in the order of the archive.

    :param number: its place among the units of its pass.
    :param waits_for: the numbers of units of its pass that must be done before.
    :param cost: the work of the longest chain that starts with it, in bytes of data; the costliest
        ready unit starts first.
    :param locks: the tables that it locks, each with whether others of its kind may share the lock.
    """

    number: int
    entries: tuple[TocEntry, ...]
    waits_for: frozenset[int] = frozenset()
    cost: float = 0.0
    locks: Mapping[int, bool] = field(default_factory=dict)

    def conflicts_with(self, other: "Unit") -> bool:
        """Tell whether one of the two would wait for a lock of the other."""
        mine, theirs = self.locks, other.locks
        return any(not (mine[table] and theirs[table]) for table in mine.keys() & theirs.keys())


def divide(plan: Schedule, *, serial: Collection[int] = ()) -> list[list[Unit]]:
    """Return the units of each pass; the passes follow one another.

    :param serial: the ids of entries whose data comes in the order of the archive, so that only one
        unit at a time can have it.
    """
    entries = [entry for entry in plan.toc.entries if entry.description not in _OF_EACH_RUN]
    before, main = _split_main([one for one in entries if _pass_of(one) == 0])
    rights = [one for one in entries if _pass_of(one) == 1]
    last = [one for one in entries if _pass_of(one) == 2]
    grouping = _Grouping(plan, serial)
    passes = [[Unit(0, tuple(before))], grouping.units(main), [Unit(0, tuple(rights))]]
    passes.append(grouping.units(last))
    return [units for units in passes if units and units[0].entries]


def entries_of_each_run(toc: Toc) -> list[TocEntry]:
    """Return the entries that set how pg_restore reads the others."""
    return [entry for entry in toc.entries if entry.description in _OF_EACH_RUN]


def _pass_of(entry: TocEntry) -> int:
    if entry.description in ("ACL", "DEFAULT ACL"):
        return 1
    is_late_statistics = (
        entry.description == "STATISTICS DATA" and entry.section == SECTION_POST_DATA
    )
    if entry.description == "MATERIALIZED VIEW DATA" or is_late_statistics:
        return 2
    return 2 if is_of_event_trigger(entry) else 0


def _split_main(entries: Sequence[TocEntry]) -> tuple[list[TocEntry], list[TocEntry]]:
    """Return what comes before the data, and the rest.

    A comment has no section: it comes before the data unless it is about something that does not.
    """
    later = {one.dump_id for one in entries if one.section in (SECTION_DATA, SECTION_POST_DATA)}
    later |= {
        one.dump_id
        for one in entries
        if one.section == SECTION_NONE and later.intersection(one.dependencies)
    }
    before = [entry for entry in entries if entry.dump_id not in later]
    return before, [entry for entry in entries if entry.dump_id in later]


class _Grouping:
    """Groups entries that are little work, so that there are few units.

    Entries of one group have the same level, so that no two groups wait for each other: each entry
    has a higher level than all entries that it depends on.
    """

    def __init__(self, plan: Schedule, serial: Collection[int]) -> None:
        self._plan = plan
        self._serial = frozenset(serial)
        self._tables = {e.dump_id: e.table for e in plan.toc.entries if e.description == "TABLE"}

    def units(self, entries: Sequence[TocEntry]) -> list[Unit]:
        ids = {entry.dump_id for entry in entries}
        waits = {
            entry.dump_id: {id_ for id_ in entry.dependencies if id_ in ids} - {entry.dump_id}
            for entry in entries
        }
        levels = _levels(waits)
        if levels is None:  # as in a damaged archive; one session needs no dependencies
            return [Unit(0, tuple(entries))]
        groups: dict[Hashable, list[TocEntry]] = {}
        for key, entry in self._keyed(entries, levels):
            groups.setdefault(key, []).append(entry)
        number_of = {
            entry.dump_id: number for number, group in enumerate(groups.values()) for entry in group
        }
        units, before = [], None
        for number, (key, group) in enumerate(groups.items()):
            found = {number_of[id_] for entry in group for id_ in waits[entry.dump_id]}
            if isinstance(key, tuple) and key[0] == _SERIAL:
                found |= set() if before is None else {before}
                before = number
            units.append(self._unit(number, group, frozenset(found - {number})))
        return units

    def _keyed(
        self, entries: Sequence[TocEntry], levels: Mapping[int, int]
    ) -> Iterator[tuple[Hashable, TocEntry]]:
        bins: dict[str, _Bins] = {}
        bin_of_table: dict[TableName, int] = {}
        sizes: Counter[Hashable] = Counter()
        for entry in entries:
            work = self._plan.own.get(entry.dump_id, 0.0)
            if entry.section == SECTION_DATA:
                kind = _SERIAL if entry.dump_id in self._serial else _PARALLEL
                kind = kind if entry.has_data else _OTHER
                number = bins.setdefault(kind, _Bins()).add(work)
                if entry.has_data:
                    bin_of_table[entry.table] = number
                yield (kind, levels[entry.dump_id] if kind != _SERIAL else 0, number), entry
                continue
            if work >= SMALL_BYTES:
                yield entry.dump_id, entry
                continue
            names = (self._tables[id_] for id_ in entry.dependencies if id_ in self._tables)
            group = next((bin_of_table[name] for name in names if name in bin_of_table), -1)
            key = (levels[entry.dump_id], group)
            sizes[key] += 1
            yield (*key, sizes[key] // ENTRIES_OF_UNIT), entry

    def _unit(self, number: int, group: list[TocEntry], waits_for: frozenset[int]) -> Unit:
        locks: dict[int, bool] = {}
        for entry in group:
            if entry.section == SECTION_POST_DATA:
                shares = entry.description in _SHARING
                for id_ in entry.dependencies:
                    if id_ in self._tables:
                        locks[id_] = locks.get(id_, True) and shares
        cost = max(self._plan.chains.get(entry.dump_id, 0.0) for entry in group)
        return Unit(number, tuple(group), waits_for, cost, locks)


class _Bins:
    """Numbers things so that those of one number are little work together."""

    def __init__(self) -> None:
        self._number, self._work, self._count = 0, 0.0, 0

    def add(self, work: float) -> int:
        is_full = self._work + work > SMALL_BYTES or self._count == ENTRIES_OF_UNIT
        if self._count and is_full:
            self._number, self._work, self._count = self._number + 1, 0.0, 0
        self._work, self._count = self._work + work, self._count + 1
        return self._number


def _levels(waits: Mapping[int, Collection[int]]) -> dict[int, int] | None:
    """Return the length of the longest chain before each entry, ``None`` if there is a circle."""
    levels: dict[int, int] = {}
    try:
        for dump_id in TopologicalSorter(waits).static_order():
            levels[dump_id] = max((levels[id_] + 1 for id_ in waits[dump_id]), default=0)
    except CycleError:
        return None
    return levels
