"""Splits constraints into what takes long and locks little, and what locks and takes no time. Pure.

``ADD CONSTRAINT`` locks out whatever else works on its tables while it builds an index, or while it
compares all rows with those of another table. The statements here come to the same catalog.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import TableName, Toc, TocEntry

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"().,;]+)'
_NAMES = rf"\({_NAME}(?:, {_NAME})*\)"
_ADDED = rf"ALTER TABLE ONLY (?P<table>{_NAME}\.{_NAME})\n    ADD CONSTRAINT (?P<name>{_NAME}) "
# Of data: with so much, an index is built in some milliseconds.
SMALL_BYTES = 1024 * 1024
# As dumpConstraint() in pg_dump.c writes them. Others stay whole: deferrable ones, those that treat
# nulls as equal, and those WITHOUT OVERLAPS.
_WITH_INDEX = re.compile(
    rf"{_ADDED}(?P<kind>PRIMARY KEY|UNIQUE) (?P<index>{_NAMES}(?: INCLUDE {_NAMES})?"
    rf"(?: WITH \([^()]*\))?);\n(?P<more>.*)",
    re.DOTALL,
)
_FOREIGN_KEY = re.compile(rf"(?P<added>{_ADDED}FOREIGN KEY .*);\n", re.DOTALL)
_VALIDATE = "\n    VALIDATE CONSTRAINT "
# It is not compared with the rows at all.
_UNCHECKED = re.compile(r" NOT (?:VALID|ENFORCED)\b")


@dataclass(frozen=True)
class Split:
    """An archive with split constraints.

    :param index_bytes: the size of each index, by the id of the entry that builds it.
    :param instant: the ids of the entries that take no time.
    """

    toc: Toc
    index_bytes: Mapping[int, int]
    instant: frozenset[int] = frozenset()


def split_constraints(
    toc: Toc,
    raw_bytes: Mapping[int, int],
    index_bytes: Mapping[int, int],
    plain: frozenset[int],
) -> Split:
    """Split what can be split of the constraints that are one statement.

    An index of a primary key is built beside other indexes of the table: ``USING INDEX`` then makes
    it that of the constraint. A foreign key is added as ``NOT VALID``; ``VALIDATE CONSTRAINT`` then
    leaves the referenced table to index builds and to the check of other foreign keys. Those of
    small tables stay whole: a second statement would take longer than it saves.

    :param raw_bytes: the uncompressed size of the data of each entry, by id, as far as it is known.
    :param index_bytes: the size of each index, by the id of its entry, as far as it is known.
    :param plain: the ids of the entries that are one statement.
    """
    tables = {entry.dump_id: entry for entry in toc.entries if entry.description == "TABLE"}
    below, small = frozenset(_tables_below(toc, tables)), _small_tables(toc, raw_bytes)
    entries: list[TocEntry] = []
    instant: set[int] = set()
    sizes = dict(index_bytes)
    next_id = toc.unused_id
    for entry in toc.entries:
        parts = _parts(entry, next_id, tables, below, small) if entry.dump_id in plain else []
        entries += parts or [entry]
        if parts:
            instant.add(entry.dump_id)
            if entry.dump_id in sizes:
                sizes[next_id] = sizes.pop(entry.dump_id)
            next_id += 1
    return Split(replace(toc, entries=tuple(entries)), sizes, frozenset(instant))


def validates(entry: TocEntry) -> bool:
    """Tell whether an entry is the check of a foreign key that was split.

    Its first dependency is the table whose key it is; the referenced one follows, if it is another.
    """
    return entry.description == "FK CONSTRAINT" and _VALIDATE in entry.definition


def _tables_below(toc: Toc, tables: Mapping[int, TocEntry]) -> Iterator[TableName]:
    """Yield the tables that inherit from others, and partitions."""
    for entry in toc.entries:
        depends = any(id_ in tables for id_ in entry.dependencies)
        if entry.description == "TABLE ATTACH" or (entry.dump_id in tables and depends):
            yield entry.table


def _small_tables(toc: Toc, raw_bytes: Mapping[int, int]) -> frozenset[TableName]:
    """Return the tables of which it is known that they have little data."""
    size_of: dict[TableName, float] = {}
    for entry in toc.entries:
        if entry.description == "TABLE DATA":
            own = raw_bytes.get(entry.dump_id, math.inf)
            size_of[entry.table] = size_of.get(entry.table, 0.0) + own
    return frozenset(name for name, size in size_of.items() if size < SMALL_BYTES)


def _parts(
    entry: TocEntry,
    new_id: int,
    tables: Mapping[int, TocEntry],
    below: frozenset[TableName],
    small: frozenset[TableName],
) -> list[TocEntry]:
    """Return the two parts of an entry; none if it stays whole.

    Neither way is possible for partitioned tables. Since PostgreSQL 18, ``USING INDEX`` makes a
    NOT NULL that a primary key has from above a constraint of the table's own.
    """
    of = [tables[id_] for id_ in entry.dependencies if id_ in tables]
    is_small = small.issuperset(table.table for table in of)
    if is_small or any(table.is_partitioned for table in of):
        return []
    if entry.description == "CONSTRAINT" and (found := _WITH_INDEX.fullmatch(entry.definition)):
        inherits = any(table.table in below for table in of)
        return (
            []
            if inherits and found["kind"] == "PRIMARY KEY"
            else _index_first(entry, found, new_id)
        )
    if entry.description == "FK CONSTRAINT" and (found := _FOREIGN_KEY.fullmatch(entry.definition)):
        return _checked_later(entry, found, of, new_id)
    return []


def _index_first(entry: TocEntry, found: re.Match[str], new_id: int) -> list[TocEntry]:
    """Return the index of a constraint, and the constraint that takes it."""
    table, name, kind = found["table"], found["name"], found["kind"]
    index = f"CREATE UNIQUE INDEX {name} ON {table} USING btree {found['index']};\n"
    added = f"ALTER TABLE ONLY {table}\n    ADD CONSTRAINT {name} {kind} USING INDEX {name};\n"
    dependencies = (*entry.dependencies, new_id)
    return [
        replace(entry, dump_id=new_id, description="INDEX", definition=index),
        replace(entry, definition=added + found["more"], dependencies=dependencies),
    ]


def _checked_later(
    entry: TocEntry, found: re.Match[str], of: Sequence[TocEntry], new_id: int
) -> list[TocEntry]:
    """Return a foreign key that is not valid yet, and what makes it so.

    The tag of a key begins with the name of its table; a space follows.
    """
    own = [
        table.dump_id
        for table in of
        if entry.namespace == table.namespace and entry.tag.startswith(f"{table.tag} ")
    ]
    if len(own) != 1 or _UNCHECKED.search(entry.definition):
        return []
    others = [table.dump_id for table in of if table.dump_id not in own]
    check = f"ALTER TABLE ONLY {found['table']}{_VALIDATE}{found['name']};\n"
    return [
        replace(entry, definition=f"{found['added']} NOT VALID;\n"),
        replace(
            entry,
            dump_id=new_id,
            definition=check,
            dependencies=(*own, *others, entry.dump_id),
        ),
    ]
