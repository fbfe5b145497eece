"""Divides a restore into units, which one session or one run of pg_restore restores. Pure.

The units have the order of the passes of a parallel pg_restore:
``restore_toc_entries_prefork()``, ``_parallel()`` and ``_tocEntryRestorePass()`` in
pg_backup_archiver.c.
"""

from collections.abc import Collection, Sequence

from airflow_provider_pgclone.core.archive import (
    SECTION_DATA,
    SECTION_POST_DATA,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.scheduling.analyses import groups_to_analyze
from airflow_provider_pgclone.core.scheduling.groups import Grouping
from airflow_provider_pgclone.core.scheduling.keys_first import order
from airflow_provider_pgclone.core.scheduling.locks import Lock, Locks
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.work import Schedule, is_of_event_trigger

# pg_restore reads these with the table of contents: _tocEntryRequired() in pg_backup_archiver.c.
_OF_EACH_RUN = ("ENCODING", "STDSTRINGS", "SEARCHPATH")


# The units of each pass. The passes follow one another.
Passes = Sequence[Sequence[Unit]]


def divide(
    plan: Schedule, *, sessions: int, serial: Collection[int] = (), analyzes: bool = False
) -> Passes:
    """Divide the entries into units.

    A single session restores everything by one run, which connects once.

    :param serial: the ids of entries whose data comes in the order of the archive.
    :param analyzes: whether to analyze tables meanwhile, as far as that can be done.
    """
    entries = [entry for entry in plan.toc.entries if entry.description not in _OF_EACH_RUN]
    if sessions == 1:
        return [[Unit(0, tuple(entries))]]
    before, main = _split_main([entry for entry in entries if _pass_of(entry) == 0])
    rights = [entry for entry in entries if _pass_of(entry) == 1]
    last = [entry for entry in entries if _pass_of(entry) == 2]
    grouping = Grouping(plan, serial)
    passes = [
        [Unit(0, tuple(before))],
        order(plan, _units(plan, main, grouping, analyzes=analyzes), sessions=sessions),
        [Unit(0, tuple(rights))],
        _units(plan, last, grouping, analyzes=False),
    ]
    return [units for units in passes if units and units[0].entries]


def entries_of_each_run(toc: Toc) -> list[TocEntry]:
    """Return the entries that set how the others are read."""
    return [entry for entry in toc.entries if entry.description in _OF_EACH_RUN]


def data_order(passes: Passes) -> list[int]:
    """Return the ids of the entries with data, approximately in the order of their use."""
    return [
        entry.dump_id
        for units in passes
        for unit in sorted(units, key=lambda unit: unit.rank)
        for entry in unit.entries
        if entry.has_data
    ]


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
    A view that needs a primary key comes after the data, with the views that read it.
    """
    before: list[TocEntry] = []
    later: dict[int, TocEntry] = {}
    for entry in entries:
        is_later = entry.section in (SECTION_DATA, SECTION_POST_DATA)
        if is_later or any(id_ in later for id_ in entry.dependencies):
            later[entry.dump_id] = entry
        else:
            before.append(entry)
    return before, list(later.values())


def _units(
    plan: Schedule, entries: Sequence[TocEntry], grouping: Grouping, *, analyzes: bool
) -> list[Unit]:
    if not entries:
        return []
    locks, groups = Locks(plan.toc), grouping.groups(entries)
    units = [
        Unit(
            number,
            group.entries,
            waits_for=group.waits_for,
            reads_after=group.reads_after,
            cost=max(plan.chains.get(entry.dump_id, 0.0) for entry in group.entries),
            locks=locks.of(group.entries),
            is_plain=all(entry.dump_id in plan.plain for entry in group.entries),
        )
        for number, group in enumerate(groups)
    ]
    for tables, waits_for in groups_to_analyze(plan.toc, groups) if analyzes else ():
        analyzing = {table.dump_id: Lock.CHECK for table in tables}
        names = tuple(table.table for table in tables)
        units.append(Unit(len(units), (), waits_for, locks=analyzing, tables=names))
    return units
