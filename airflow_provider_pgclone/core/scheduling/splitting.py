"""Splits constraints into what takes long and locks little, and what locks and takes no time. Pure.

``ADD CONSTRAINT`` locks out whatever else works on its tables while it builds an index, or while it
compares all rows with those of another table. The statements here come to the same catalog.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import Toc, TocEntry

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"().,;]+)'
_NAMES = rf"\({_NAME}(?:, {_NAME})*\)"
_ADDED = rf"ALTER TABLE ONLY (?P<table>{_NAME}\.{_NAME})\n    ADD CONSTRAINT (?P<name>{_NAME}) "
# As dumpConstraint() in pg_dump.c writes them. Others stay whole: deferrable ones, those that treat
# nulls as equal, and those WITHOUT OVERLAPS.
_WITH_INDEX = re.compile(
    rf"{_ADDED}(?P<kind>PRIMARY KEY|UNIQUE) (?P<index>{_NAMES}(?: INCLUDE {_NAMES})?"
    rf"(?: WITH \([^()]*\))?);\n(?P<more>.*)",
    re.DOTALL,
)
_FOREIGN_KEY = re.compile(rf"(?P<added>{_ADDED}FOREIGN KEY .*);\n", re.DOTALL)
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


def split_constraints(toc: Toc, index_bytes: Mapping[int, int], plain: frozenset[int]) -> Split:
    """Split what can be split of the constraints that are one statement.

    An index of a primary key is built beside other indexes of the table: ``USING INDEX`` then makes
    it that of the constraint. A foreign key is added as ``NOT VALID``, and ``VALIDATE CONSTRAINT``
    leaves its tables to index builds of the referenced one, and to other foreign keys to that.
    Neither is possible for partitioned tables.
    """
    tables = {entry.dump_id: entry for entry in toc.entries if entry.description == "TABLE"}
    entries: list[TocEntry] = []
    instant: set[int] = set()
    sizes = dict(index_bytes)
    next_id = toc.unused_id
    for entry in toc.entries:
        of = [tables[id_] for id_ in entry.dependencies if id_ in tables]
        parts = []
        if entry.dump_id in plain and not any(table.is_partitioned for table in of):
            parts = _index_first(entry, next_id) or _checked_later(entry, of, next_id)
        if not parts:
            entries.append(entry)
            continue
        entries += parts
        instant.add(entry.dump_id)
        if entry.dump_id in sizes:
            sizes[next_id] = sizes.pop(entry.dump_id)
        next_id += 1
    return Split(replace(toc, entries=tuple(entries)), sizes, frozenset(instant))


def _index_first(entry: TocEntry, new_id: int) -> list[TocEntry]:
    """Return the index of a constraint, and the constraint that takes it."""
    found = _WITH_INDEX.fullmatch(entry.definition) if entry.description == "CONSTRAINT" else None
    if found is None:
        return []
    table, name, kind = found["table"], found["name"], found["kind"]
    index = f"CREATE UNIQUE INDEX {name} ON {table} USING btree {found['index']};\n"
    constraint = f"ALTER TABLE ONLY {table}\n    ADD CONSTRAINT {name} {kind} USING INDEX {name};\n"
    return [
        replace(entry, dump_id=new_id, description="INDEX", definition=index),
        replace(
            entry,
            definition=constraint + found["more"],
            dependencies=(*entry.dependencies, new_id),
        ),
    ]


def _checked_later(entry: TocEntry, of: list[TocEntry], new_id: int) -> list[TocEntry]:
    """Return a foreign key that is not valid yet, and what makes it so."""
    found = _FOREIGN_KEY.fullmatch(entry.definition)
    referencing = list(_named_first(entry, of))
    if found is None or len(referencing) != 1 or _UNCHECKED.search(entry.definition):
        return []
    table, name = found["table"], found["name"]
    return [
        replace(entry, definition=f"{found['added']} NOT VALID;\n"),
        replace(
            entry,
            dump_id=new_id,
            definition=f"ALTER TABLE ONLY {table}\n    VALIDATE CONSTRAINT {name};\n",
            dependencies=(referencing[0].dump_id, entry.dump_id),
        ),
    ]


def _named_first(entry: TocEntry, tables: list[TocEntry]) -> Iterator[TocEntry]:
    """Yield the tables that the tag of a constraint may begin with; a space follows."""
    for table in tables:
        if entry.namespace == table.namespace and entry.tag.startswith(f"{table.tag} "):
            yield table
