"""Numbers the entries of an archive in the order in which a parallel pg_restore should start them.

pg_restore starts the ready entry with the most data first, and among equals that with the lowest id
(``TocEntrySizeCompareQsort`` in pg_backup_archiver.c). It does not know the size of data in named
pipes, so only the ids decide. Pure.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import (
    SECTION_DATA,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
    complete_dependencies,
)
from airflow_provider_pgclone.core.watching import weight_of

# Ids that no entry gets. pg_restore treats the first dependency of a TABLE DATA entry as its table.
# So the first dependency of a range is not an entry: see add_ranges() in reading/page_ranges.py.
_NO_TABLE, _MISSING = 1, 2
_FIRST_ID = 3

# Smaller tables are loaded in the order of the archive, where one read fetches many of them.
SMALL_TABLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Schedule:
    """An archive with new ids, in the order in which its entries should start.

    :param old_ids: maps the new ids of the entries to the old ones.
    """

    toc: Toc
    old_ids: Mapping[int, int]

    def start_order(self, sessions: int) -> list[int]:
        """Return the new ids of the entries with data, in the order in which they start.

        :param sessions: the number of sessions of pg_restore. A single session uses the order of
            the archive.
        """
        ids = [entry.dump_id for entry in self.toc.entries if entry.has_data]
        return ids if sessions == 1 else sorted(ids)


def schedule(toc: Toc, raw_bytes: Mapping[int, int], *, first: Collection[int] = ()) -> Schedule:
    """Renumber the entries, so that the longest chains of work start first.

    A chain is loading a table, then its slowest index, then the entries that depend on the index.

    :param raw_bytes: the uncompressed size of the data of each entry, by id.
    :param first: the ids of entries that start before all others, in the order of the archive.
    """
    toc = replace(toc, entries=tuple(_indexes_after_constraints(toc)))
    toc = replace(toc, entries=tuple(_attached_one_by_one(toc)))
    toc = complete_dependencies(toc)  # older archives, and what a copy loads, do not have them
    toc = replace(toc, entries=tuple(_event_triggers_last(toc)))
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
    """Make the indexes of a table depend on its primary key and unique constraints.

    Their locks conflict, so one session would wait in the server for the other, instead of working
    on another entry. ``has_lock_conflicts`` in pg_backup_archiver.c does not consider indexes.
    pg_dump writes constraints first.
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
    """Make each INDEX ATTACH depend on the one before.

    If two run at the same time for a table with partitioned partitions, they may lock each other's
    indexes and fail with "deadlock detected". ``has_lock_conflicts`` does not consider them.
    """
    before: int | None = None
    for entry in toc.entries:
        if entry.description == "INDEX ATTACH":
            if before is not None:
                entry = replace(entry, dependencies=(*entry.dependencies, before))
            before = entry.dump_id
        yield entry


def is_of_event_trigger(entry: TocEntry) -> bool:
    """Tell whether an entry is an event trigger, or its comment or security label."""
    return entry.description == "EVENT TRIGGER" or (
        entry.description in ("COMMENT", "SECURITY LABEL")
        and entry.tag.startswith("EVENT TRIGGER ")
    )


def _event_triggers_last(toc: Toc) -> Iterator[TocEntry]:
    """Make event triggers depend on what else pg_restore does in its last pass.

    Otherwise one that notes commands in a table notes REFRESH MATERIALIZED VIEW, and the table has
    other rows than in the dump. ``_tocEntryRestorePass()`` in pg_backup_archiver.c puts both, and
    statistics, into one pass.
    """
    others = ("MATERIALIZED VIEW DATA", "STATISTICS DATA")
    before = [entry.dump_id for entry in toc.entries if entry.description in others]
    for entry in toc.entries:
        if entry.description == "EVENT TRIGGER":
            entry = replace(entry, dependencies=(*entry.dependencies, *before))
        yield entry


def _new_dependencies(entry: TocEntry, new_ids: Mapping[int, int]) -> Iterator[int]:
    for place, dependency in enumerate(entry.dependencies):
        is_table = entry.section == SECTION_DATA and place == 0
        yield new_ids.get(dependency, _NO_TABLE if is_table else _MISSING)


def _chain_lengths(toc: Toc, raw_bytes: Mapping[int, int]) -> list[float]:
    """Return the work of each entry and of the longest chain after it, in bytes of data."""
    of_table: dict[tuple[str, str], int] = {}
    for entry in toc.entries:
        name = entry.table
        of_table[name] = of_table.get(name, 0) + raw_bytes.get(entry.dump_id, 0)
    size_of = {
        entry.dump_id: of_table[entry.table]
        for entry in toc.entries
        if entry.description == "TABLE"
    }
    behind: dict[int, float] = {}  # the longest chain that depends on an id
    lengths = [0.0] * len(toc.entries)
    # pg_dump writes an entry after the entries that it depends on.
    for place in range(len(toc.entries) - 1, -1, -1):
        entry = toc.entries[place]
        if entry.section == SECTION_POST_DATA:
            tables = (size_of.get(dependency, 0) for dependency in entry.dependencies)
            length = weight_of(entry) * max(tables, default=0) + behind.get(entry.dump_id, 0.0)
        elif entry.has_data:
            # The size of the whole table, because an index waits for the last range.
            length = float(of_table[entry.table])
            length += max(behind.get(id_, 0.0) for id_ in (entry.dump_id, *entry.dependencies))
        else:
            continue
        lengths[place] = length if length >= SMALL_TABLE_BYTES else 0.0
        if entry.section == SECTION_POST_DATA:
            for dependency in entry.dependencies:
                behind[dependency] = max(behind.get(dependency, 0.0), length)
    return lengths
