"""Tells when each table can be analyzed, while other entries are still to restore. Pure.

ANALYZE locks out what builds an index, and needs the indexes on expressions and the extended
statistics of its table. So it comes after the data and the indexes of its table, and fills sessions
that have nothing else to do.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_pgclone.core.archive import SECTION_DATA, Toc, TocEntry
from airflow_provider_pgclone.core.scheduling.groups import ENTRIES_OF_GROUP, Group

_BEFORE = ("INDEX", "CONSTRAINT", "STATISTICS")


def groups_to_analyze(
    toc: Toc, groups: Sequence[Group]
) -> Iterator[tuple[Sequence[TocEntry], frozenset[int]]]:
    """Yield tables, and the places of the groups after which they can be analyzed.

    Other tables are left for the end: those below which others inherit, whose rows count too; those
    whose rows may come with those of another partition; and those with a name that is not ASCII,
    since it is in the encoding of the dump. If the archive has statistics, all tables are left, so
    that ANALYZE comes after them.
    """
    if any(entry.description == "STATISTICS DATA" for entry in toc.entries):
        return
    tables = _tables(toc)
    places: dict[int, set[int]] = defaultdict(set)
    with_data: set[int] = set()
    by_name = {entry.table: id_ for id_, entry in tables.items()}
    for place, group in enumerate(groups):
        for entry in group.entries:
            if entry.section == SECTION_DATA:
                of = [by_name[entry.table]] if entry.has_data and entry.table in by_name else []
                with_data.update(of)
            elif entry.description in _BEFORE:
                of = [id_ for id_ in entry.dependencies if id_ in tables]
            else:
                of = []
            for table in of:
                places[table].add(place)
    same: dict[frozenset[int], list[TocEntry]] = defaultdict(list)
    for id_, entry in tables.items():
        if id_ in with_data:
            same[frozenset(places[id_])].append(entry)
    for waits_for, found in same.items():
        for start in range(0, len(found), ENTRIES_OF_GROUP):
            yield found[start : start + ENTRIES_OF_GROUP], waits_for


def _tables(toc: Toc) -> Mapping[int, TocEntry]:
    """Return the tables whose own data and indexes are all that ANALYZE reads, by id."""
    found = {
        entry.dump_id: entry
        for entry in toc.entries
        if entry.description == "TABLE" and "".join(entry.table).isascii()
    }
    for entry in toc.entries:
        if entry.description == "TABLE":
            for parent in entry.dependencies:
                found.pop(parent, None)
    by_root = {entry.table for entry in toc.entries if entry.is_loaded_by_root}
    return {id_: table for id_, table in found.items() if table.table not in by_root}
