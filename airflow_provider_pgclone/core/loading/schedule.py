"""In which order a parallel pg_restore starts what is ready: it goes by the ids of its archive.

It takes the entry with the most data first, then the one with the lowest id
(``TocEntrySizeCompareQsort`` in pg_backup_archiver.c), and of a named pipe it knows no size. Pure.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import SECTION_DATA, SECTION_POST_DATA, Toc, TocEntry

# Ids that no entry gets. pg_restore would take the first dependency of a TABLE DATA entry for its
# table, so a range has one that is none: see plan.add_ranges().
_NO_TABLE, _MISSING = 1, 2
_FIRST_ID = 3

# Tables below it are loaded in the order of the archive, where one read fetches many of them.
SMALL_TABLE_BYTES = 4 * 1024 * 1024
# What an index costs beside the load of its table: measured on text and jsonb.
_INDEX_WEIGHT = {"gin": 3.0, "gist": 3.0, "spgist": 2.0, "brin": 0.1}
_OTHER_INDEX_WEIGHT = 0.5
_CONSTRAINT_WEIGHT = 0.2


@dataclass(frozen=True)
class Schedule:
    """An archive whose ids are the order in which its entries are to start.

    :param old_ids: the ids that its entries had, by their new ones.
    """

    toc: Toc
    old_ids: Mapping[int, int]

    def start_order(self, sessions: int) -> list[int]:
        """Return the new ids of the entries that have data, in the order of their start.

        :param sessions: of pg_restore; one alone goes by the order of the archive.
        """
        ids = [entry.dump_id for entry in self.toc.entries if entry.has_data]
        return ids if sessions == 1 else sorted(ids)


def schedule(toc: Toc, raw_bytes: Mapping[int, int], *, first: Collection[int] = ()) -> Schedule:
    """Number the entries anew, so that the longest chains of work start first.

    A chain is the load of a table, then its slowest index, then what needs that.

    :param raw_bytes: how much data each entry has, by its id.
    :param first: ids that start before all others, in the order of the archive.
    """
    toc = replace(toc, entries=tuple(_indexes_after_constraints(toc)))
    toc = replace(toc, entries=tuple(_attached_one_by_one(toc)))
    lengths = _chain_lengths(toc, raw_bytes)
    for place, entry in enumerate(toc.entries):
        if entry.dump_id in first:
            lengths[place] = math.inf
    order = sorted(range(len(toc.entries)), key=lambda place: (-lengths[place], place))
    new_ids = {toc.entries[place].dump_id: _FIRST_ID + rank for rank, place in enumerate(order)}
    entries = tuple(
        replace(
            entry,
            dump_id=new_ids[entry.dump_id],
            dependencies=tuple(_new_dependencies(entry, new_ids)),
        )
        for entry in toc.entries
    )
    return Schedule(replace(toc, entries=entries), {new: old for old, new in new_ids.items()})


def _indexes_after_constraints(toc: Toc) -> Iterator[TocEntry]:
    """Let the indexes of a table wait for its primary key and unique constraints.

    Their locks conflict, so that one session would wait for the other in the server, and pg_restore
    start nothing else in its place. What it runs at once holds ``has_lock_conflicts`` in
    pg_backup_archiver.c, which leaves indexes out. pg_dump writes constraints first.
    """
    tables = {entry.dump_id for entry in toc.entries if entry.description == "TABLE"}
    constraints: dict[int, list[int]] = {}
    for entry in toc.entries:
        if entry.description in ("CONSTRAINT", "INDEX"):
            of = [dependency for dependency in entry.dependencies if dependency in tables]
            if entry.description == "CONSTRAINT":
                for table in of:
                    constraints.setdefault(table, []).append(entry.dump_id)
            else:
                more = [id_ for table in of for id_ in constraints.get(table, ())]
                entry = replace(entry, dependencies=(*entry.dependencies, *more))
        yield entry


def _attached_one_by_one(toc: Toc) -> Iterator[TocEntry]:
    """Let each index that is attached to that of a partitioned table wait for the one before.

    Two at once, of a table whose partitions are partitioned, lock each other's indexes: "deadlock
    detected", for which pg_restore has no ``has_lock_conflicts`` either.
    """
    before: int | None = None
    for entry in toc.entries:
        if entry.description == "INDEX ATTACH":
            if before is not None:
                entry = replace(entry, dependencies=(*entry.dependencies, before))
            before = entry.dump_id
        yield entry


def _new_dependencies(entry: TocEntry, new_ids: Mapping[int, int]) -> Iterator[int]:
    for place, dependency in enumerate(entry.dependencies):
        is_table = entry.section == SECTION_DATA and place == 0
        yield new_ids.get(dependency, _NO_TABLE if is_table else _MISSING)


def _chain_lengths(toc: Toc, raw_bytes: Mapping[int, int]) -> list[float]:
    """Return how much work each entry and what waits for it are, in bytes of data."""
    of_table: dict[tuple[str, str], int] = {}
    for entry in toc.entries:
        name = (entry.namespace, entry.tag)
        of_table[name] = of_table.get(name, 0) + raw_bytes.get(entry.dump_id, 0)
    size_of = {
        entry.dump_id: of_table[entry.namespace, entry.tag]
        for entry in toc.entries
        if entry.description == "TABLE"
    }
    behind: dict[int, float] = {}  # the longest chain that waits for an id
    lengths = [0.0] * len(toc.entries)
    # pg_dump writes what depends on something behind it.
    for place in range(len(toc.entries) - 1, -1, -1):
        entry = toc.entries[place]
        if entry.section == SECTION_POST_DATA:
            tables = (size_of.get(dependency, 0) for dependency in entry.dependencies)
            length = _weight(entry) * max(tables, default=0) + behind.get(entry.dump_id, 0.0)
        elif entry.has_data:
            # All of its table: the index waits for the last of the ranges.
            length = float(of_table[entry.namespace, entry.tag])
            length += max(behind.get(id_, 0.0) for id_ in (entry.dump_id, *entry.dependencies))
        else:
            continue
        lengths[place] = length if length >= SMALL_TABLE_BYTES else 0.0
        if entry.section == SECTION_POST_DATA:
            for dependency in entry.dependencies:
                behind[dependency] = max(behind.get(dependency, 0.0), length)
    return lengths


def _weight(entry: TocEntry) -> float:
    if entry.description == "INDEX":
        _, _, method = entry.definition.partition(" USING ")
        return _INDEX_WEIGHT.get(method.partition(" ")[0], _OTHER_INDEX_WEIGHT)
    is_unique = entry.description == "CONSTRAINT"  # which has an index
    return _OTHER_INDEX_WEIGHT if is_unique else _CONSTRAINT_WEIGHT
