"""Measures the work of the entries of an archive, and which must wait for which. Pure."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import (
    SECTION_POST_DATA,
    TableName,
    Toc,
    TocEntry,
    complete_dependencies,
)
from airflow_provider_pgclone.core.scheduling.plain import plain_ids
from airflow_provider_pgclone.core.scheduling.splitting import Split, split_constraints

# Smaller tables are loaded in the order of the archive, where one read fetches many of them.
SMALL_TABLE_BYTES = 4 * 1024 * 1024
# The CPU seconds that it takes to build an index, relative to those of loading as many bytes as it
# has, by its access method; measured on PostgreSQL 17 with numbers, texts, jsonb, tsvector, ranges
# and points. GiST takes from 2 for points to 32 for tsvector.
_INDEX_COST = {"gin": 5.0, "gist": 8.0, "spgist": 2.5, "hash": 2.5}
_OTHER_INDEX_COST = 1.0
# The same relative to loading its table, where the size of the index is not known. As the share of
# a BRIN, which is almost nothing but the reading of the table.
_INDEX_WEIGHT = {"gin": 1.2, "gist": 2.0, "spgist": 0.6, "hash": 0.3, "brin": 0.03}
_OTHER_INDEX_WEIGHT = 0.15
_READING_WEIGHT = 0.03
_CONSTRAINT_WEIGHT = 0.3
_ALTERS_TABLE = "\nALTER TABLE "


@dataclass(frozen=True)
class Schedule:
    """An archive with the work of its entries.

    :param toc: the table of contents, with all dependencies that a parallel restore needs.
    :param own: the work of each entry by id, in bytes of data.
    :param chains: the work of each entry and of the longest chain after it; 0 if that is little.
    :param plain: the ids of the entries that are one statement and nothing else.
    """

    toc: Toc
    own: Mapping[int, float]
    chains: Mapping[int, float]
    plain: frozenset[int] = frozenset()


def schedule(
    toc: Toc,
    raw_bytes: Mapping[int, int],
    index_bytes: Mapping[int, int],
    *,
    sessions: int,
    first: Collection[int] = (),
) -> Schedule:
    """Measure the longest chains of work, which should start first.

    A chain is loading a table, then its slowest index, then the entries that depend on the index.
    A table that comes in ranges counts for nothing: all sessions can share it.

    :param raw_bytes: the uncompressed size of the data of each entry, by id.
    :param index_bytes: the size of each index, by the id of its entry, as far as it is known.
    :param sessions: how many load at once; a single one does all in the order of the archive.
    :param first: the ids of entries that start before all others.
    """
    split = Split(toc, index_bytes)
    if sessions > 1:
        split = split_constraints(toc, raw_bytes, index_bytes, plain_ids(toc))
    toc = split.toc
    toc = replace(toc, entries=tuple(_indexes_after_constraints(toc, split.instant)))
    toc = replace(toc, entries=tuple(_altering_indexes_one_by_one(toc)))
    toc = complete_dependencies(toc)  # older archives, and what a copy loads, do not have them
    toc = replace(toc, entries=tuple(_after_data(toc)))
    toc = replace(toc, entries=tuple(_event_triggers_last(toc)))
    own, chains = _work(replace(split, toc=toc), raw_bytes)
    chains = {**chains, **dict.fromkeys(first, math.inf)}
    return Schedule(toc, own, chains, plain_ids(toc) if sessions > 1 else frozenset())


def _indexes_after_constraints(toc: Toc, instant: Collection[int]) -> Iterator[TocEntry]:
    """Make the indexes of a table depend on constraints that build an index themselves.

    Their locks conflict, so that one of them must be first. pg_dump writes constraints first.
    """
    tables = {entry.dump_id for entry in toc.entries if entry.description == "TABLE"}
    constraints: dict[int, list[int]] = {}
    for entry in toc.entries:
        if entry.description in ("CONSTRAINT", "INDEX"):
            of = [dependency for dependency in entry.dependencies if dependency in tables]
            if entry.description == "CONSTRAINT":
                for table in of if entry.dump_id not in instant else ():
                    constraints.setdefault(table, []).append(entry.dump_id)
            else:
                more = [id_ for table in of for id_ in constraints.get(table, ())]
                entry = entry.depending_on(more)
        yield entry


def _altering_indexes_one_by_one(toc: Toc) -> Iterator[TocEntry]:
    """Make each index that also alters its table depend on the one before of that table.

    dumpIndex() in pg_dump.c adds CLUSTER ON and REPLICA IDENTITY to CREATE INDEX, and pg_restore
    executes an entry as one transaction. Both transactions could hold the lock of CREATE INDEX, and
    each wait for the other to take the next one.
    """
    tables = {entry.dump_id for entry in toc.entries if entry.description == "TABLE"}
    before: dict[int, int] = {}
    for entry in toc.entries:
        if entry.description == "INDEX" and _ALTERS_TABLE in entry.definition:
            of = [dependency for dependency in entry.dependencies if dependency in tables]
            more = dict.fromkeys(before[table] for table in of if table in before)
            before.update(dict.fromkeys(of, entry.dump_id))
            entry = entry.depending_on(more)
        yield entry


def _after_data(toc: Toc) -> Iterator[TocEntry]:
    """Make what comes after the data depend on the data of its tables.

    pg_dump lets it depend on the tables alone, and pg_restore changes that when it restores in
    parallel: ``repoint_table_dependencies()`` in pg_backup_archiver.c.
    """
    data: dict[TableName, list[int]] = {}
    for entry in toc.entries:
        if entry.description == "TABLE DATA":
            data.setdefault(entry.table, []).append(entry.dump_id)
    data_of = {e.dump_id: data.get(e.table, []) for e in toc.entries if e.description == "TABLE"}
    for entry in toc.entries:
        if entry.section == SECTION_POST_DATA:
            known = set(entry.dependencies)
            of_tables = (id_ for table in known for id_ in data_of.get(table, ()))
            more = dict.fromkeys(id_ for id_ in of_tables if id_ not in known)
            entry = entry.depending_on(more)
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
            entry = entry.depending_on(before)
        yield entry


def _work(split: Split, raw_bytes: Mapping[int, int]) -> tuple[dict[int, float], dict[int, float]]:
    """Return the work of each entry, and that of the longest chain that starts with it."""
    toc = split.toc
    of_table: dict[TableName, int] = {}
    ranges: dict[TableName, int] = {}
    for entry in toc.entries:
        name = entry.table
        of_table[name] = of_table.get(name, 0) + raw_bytes.get(entry.dump_id, 0)
        ranges[name] = ranges.get(name, 0) + entry.has_data
    size_of = {
        entry.dump_id: of_table[entry.table]
        for entry in toc.entries
        if entry.description == "TABLE"
    }
    behind: dict[int, float] = {}  # the longest chain that depends on an id
    own: dict[int, float] = {}
    chains: dict[int, float] = {}
    # pg_dump writes an entry after the entries that it depends on.
    for entry in reversed(toc.entries):
        id_ = entry.dump_id
        if entry.section == SECTION_POST_DATA:
            tables = (size_of.get(dependency, 0) for dependency in entry.dependencies)
            table_bytes = 0 if id_ in split.instant else max(tables, default=0)
            own[id_] = _work_after_data(entry, table_bytes, split.index_bytes.get(id_))
            length = own[id_] + behind.get(id_, 0.0)
            for dependency in entry.dependencies:
                behind[dependency] = max(behind.get(dependency, 0.0), length)
        elif entry.has_data:
            own[id_] = float(raw_bytes.get(id_, 0))
            # All sessions can share the ranges of a table, so what is behind them decides alone: if
            # it is short, it does no harm to load a large table later.
            length = own[id_] if ranges[entry.table] == 1 else 0.0
            length += max(behind.get(one, 0.0) for one in (id_, *entry.dependencies))
        else:
            continue
        chains[id_] = length if length >= SMALL_TABLE_BYTES else 0.0
    return own, chains


def _work_after_data(entry: TocEntry, table_bytes: int, index_bytes: int | None) -> float:
    """Return the work of an entry after the data, in bytes of data that take as long to load."""
    if entry.description in ("INDEX", "CONSTRAINT"):  # a constraint has an index
        _, _, using = entry.definition.partition(" USING ")
        method = using.partition(" ")[0]
        if not index_bytes:
            return _INDEX_WEIGHT.get(method, _OTHER_INDEX_WEIGHT) * table_bytes
        building = _INDEX_COST.get(method, _OTHER_INDEX_COST) * index_bytes
        return building + _READING_WEIGHT * table_bytes
    # Nothing else reads the rows.
    return _CONSTRAINT_WEIGHT * table_bytes if "CONSTRAINT" in entry.description else 0.0
