"""Adds the dependencies that pg_dump leaves out of a table of contents. Pure.

pg_dump writes entries in an order that is safe for one session. A parallel pg_restore considers
dependencies alone: restore_toc_entries_parallel() in pg_backup_archiver.c. Where pg_dump relies on
the order, sessions that work at the same time fail, or load other rows than were dumped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from airflow_provider_pgclone.core.archive.toc import SECTION_POST_DATA, TableName, Toc, TocEntry

# Without ONLY, tables that inherit get the constraint too: dumpConstraint() in pg_dump.c.
_FOR_CHILDREN_TOO = re.compile(r"\s*ALTER (?:FOREIGN )?TABLE (?!ONLY )")
_OF_DOMAIN = re.compile(r"\s*ALTER DOMAIN ")
# On a partition these come from the partitioned table, or do not change what is loaded.
_OF_INDEX = ("INDEX", "INDEX ATTACH", "CONSTRAINT")
_IDENTIFIER = r'"(?:[^"]|"")+"|[^".\s(]+'
_REFERENCED = re.compile(rf" REFERENCES ({_IDENTIFIER})\.({_IDENTIFIER})\(")

# An entry, and ids that it must wait for.
_Wait = tuple[int, Iterable[int]]


def complete_dependencies(toc: Toc) -> Toc:
    """Return the table of contents with all dependencies that a parallel restore needs.

    What has them already stays as it is.
    """
    tables = _Tables(toc)
    more: dict[int, dict[int, None]] = {}
    for waits in (
        _for_data_below(toc, tables),
        _for_data_beside(toc, tables),
        _for_triggers_above(toc, tables),
        _of_domain_constraints(toc, tables),
        _for_data_of_extensions(toc, tables),
    ):
        for dump_id, ids in waits:
            more.setdefault(dump_id, {}).update(dict.fromkeys(ids))
    return replace(
        toc, entries=tuple(_with(entry, more.get(entry.dump_id, ())) for entry in toc.entries)
    )


class _Tables:
    """The tables of a table of contents, by the ids of their entries.

    :ivar data: the ids of the data of each table.
    :ivar by_root: the tables whose data is loaded into the root of their partition tree.
    :ivar partition_parents: the partitioned table above each partition.
    :ivar all_parents: the tables above each table, by partitioning or inheritance.
    :ivar members: the data of tables that have no entry, because an extension creates them.
    """

    def __init__(self, toc: Toc) -> None:
        entries = [e for e in toc.entries if e.description in ("TABLE", "FOREIGN TABLE")]
        self.names: dict[int, TableName] = {entry.dump_id: entry.table for entry in entries}
        self._ids: dict[TableName, int] = {entry.table: entry.dump_id for entry in entries}
        self.data: dict[int, list[int]] = {}
        self.by_root: set[int] = set()
        self.members: list[TocEntry] = []
        self.partition_parents: dict[int, list[int]] = {}
        # A table also depends on another whose row type it uses. Then waits are longer than needed.
        self.all_parents = {entry.dump_id: self.among(entry.dependencies) for entry in entries}
        for entry in toc.entries:
            if entry.description == "TABLE DATA":
                self._add_data(entry)
            elif entry.description == "TABLE ATTACH":
                self._attach(entry)

    def among(self, ids: Iterable[int]) -> list[int]:
        """Return those of the ids that are tables."""
        return [id_ for id_ in ids if id_ in self.names]

    def _add_data(self, entry: TocEntry) -> None:
        table = self._ids.get(entry.table)
        if table is None:
            self.members.append(entry)
        else:
            self.data.setdefault(table, []).append(entry.dump_id)
            if entry.is_loaded_by_root:
                self.by_root.add(table)

    def _attach(self, entry: TocEntry) -> None:
        """Note the parent of a partition: the entry depends on the two, and has its name."""
        partition = self._ids.get(entry.table)
        if partition is not None:
            parents = [id_ for id_ in self.among(entry.dependencies) if id_ != partition]
            self.partition_parents[partition] = parents
            self.all_parents[partition] += parents


def _for_data_below(toc: Toc, tables: _Tables) -> Iterator[_Wait]:
    """Let post-data entries of partitioned tables wait for the data of all tables below.

    CREATE TRIGGER on a partitioned table creates the trigger on all partitions, where it changes
    rows that are loaded later. A foreign key takes locks on them, and a constraint of an index may.
    The same goes for a constraint that inherits, and is NOT VALID for the rows that are there.
    """
    below = _data_below(tables, tables.partition_parents)
    below_inheriting = _data_below(tables, tables.all_parents)
    for entry in toc.entries:
        # An INDEX ATTACH depends on an index of the partitioned table, which waits. There may be
        # one for each partition, so with all data in each they would be too many dependencies.
        if entry.section == SECTION_POST_DATA and entry.description != "INDEX ATTACH":
            for_children = "CONSTRAINT" in entry.description and _FOR_CHILDREN_TOO.match(
                entry.definition
            )
            data = below_inheriting if for_children else below
            for table in tables.among(entry.dependencies):
                yield entry.dump_id, data.get(table, ())


def _for_data_beside(toc: Toc, tables: _Tables) -> Iterator[_Wait]:
    """Let entries of a partition wait for all data that is loaded into the root of its tree.

    PostgreSQL decides which rows come to which partition, so they are in the data of any of them.
    """
    beside: dict[int, list[int]] = {}
    for table in tables.by_root:
        beside.setdefault(_root(table, tables), []).extend(tables.data[table])
    for entry in toc.entries if beside else ():
        if entry.section == SECTION_POST_DATA and entry.description not in _OF_INDEX:
            for table in tables.among(entry.dependencies):
                yield entry.dump_id, beside.get(_root(table, tables), ())


def _root(table: int, tables: _Tables) -> int:
    passed = set[int]()  # an archive that somebody made may have a circle
    while (parents := tables.partition_parents.get(table)) and table not in passed:
        passed.add(table)
        table = parents[0]
    return table


def _data_below(tables: _Tables, parents: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    """Return the ids of the data of all tables below each table."""
    below: dict[int, list[int]] = {}
    for table, ids in tables.data.items():
        for ancestor in _above(table, parents):
            below.setdefault(ancestor, []).extend(ids)
    return below


def _above(table: int, parents: Mapping[int, Sequence[int]]) -> set[int]:
    found: set[int] = set()
    waiting = [table]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _for_triggers_above(toc: Toc, tables: _Tables) -> Iterator[_Wait]:
    """Let the state of a partition's trigger wait for the trigger of the partitioned table.

    pg_dump writes only ALTER TABLE ... DISABLE TRIGGER for a partition: dumpTrigger() in pg_dump.c.
    """
    triggers: dict[tuple[int, str], int] = {}
    for entry in toc.entries:
        if entry.description == "TRIGGER":
            for table in tables.among(entry.dependencies):
                triggers[table, _trigger_name(entry, tables.names[table])] = entry.dump_id
    for (table, name), dump_id in triggers.items():
        above = _above(table, tables.partition_parents) if name else ()
        yield dump_id, [triggers[t, name] for t in above if (t, name) in triggers]


def _trigger_name(entry: TocEntry, table: TableName) -> str:
    """Return the name of the trigger, or an empty text if it is the trigger of another table.

    The tag is the names of the table and the trigger, with a space between.
    """
    schema, name = table
    is_its_own = entry.namespace == schema and entry.tag.startswith(f"{name} ")
    return entry.tag[len(name) + 1 :] if is_its_own else ""


def _of_domain_constraints(toc: Toc, tables: _Tables) -> Iterator[_Wait]:
    """Let constraints of domains that are NOT VALID wait for all data, which may violate them.

    Any table may use a domain, also by a function that a default or a generated column calls.
    """
    data = [id_ for ids in tables.data.values() for id_ in ids]
    for entry in toc.entries:
        if entry.section == SECTION_POST_DATA and _OF_DOMAIN.match(entry.definition):
            yield entry.dump_id, data


def _for_data_of_extensions(toc: Toc, tables: _Tables) -> Iterator[_Wait]:
    """Load the tables of extensions one by one, and foreign keys that refer to them afterwards.

    CREATE EXTENSION creates their foreign keys, and pg_dump writes their rows in an order that
    these accept: processExtensionTables() in pg_dump.c.
    """
    for before, entry in pairwise(tables.members):
        yield entry.dump_id, [before.dump_id]
    data = {member.table: member.dump_id for member in tables.members}
    for entry in toc.entries if data else ():
        if entry.description == "FK CONSTRAINT":
            for schema, name in _REFERENCED.findall(entry.definition):
                table = _unquoted(schema), _unquoted(name)
                yield entry.dump_id, [data[table]] if table in data else []


def _unquoted(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def _with(entry: TocEntry, ids: Iterable[int]) -> TocEntry:
    known = {entry.dump_id, *entry.dependencies}
    more = [id_ for id_ in ids if id_ not in known]
    return entry.depending_on(more)
