"""Tells which tables an entry locks, so that no session waits for another in the server. Pure.

``identify_locking_dependencies()`` in pg_backup_archiver.c does it for the tables that an entry
names. But some statements lock the tables above or below as well, and two of them may end with
"deadlock detected".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from airflow_provider_pgclone.core.archive import SECTION_POST_DATA, TableName, Toc, TocEntry
from airflow_provider_pgclone.core.scheduling.splitting import validates

_ONLY_ITSELF = "ALTER TABLE ONLY "
_WITH_INDEX = ("INDEX", "CONSTRAINT")


class Lock(Enum):
    """The locks on a table as far as they differ here, by what takes them.

    "Conflicting Lock Modes" in the PostgreSQL manual.
    """

    #: ROW SHARE, by the check of a foreign key to the table.
    READ = "read"
    #: SHARE, by CREATE INDEX.
    BUILD = "build"
    #: SHARE UPDATE EXCLUSIVE, by ANALYZE and by the check of a foreign key of the table; and SHARE
    #: ROW EXCLUSIVE, when a foreign key is added to it or to another one.
    CHECK = "check"
    #: ACCESS EXCLUSIVE, by most forms of ALTER TABLE.
    ALTER = "alter"

    def goes_with(self, other: "Lock") -> bool:
        """Tell whether two sessions may have the two locks at once."""
        return frozenset({self, other}) in _SIDE_BY_SIDE

    def joined(self, other: "Lock") -> "Lock":
        """Return a lock that goes with nothing that one of the two does not go with."""
        if self is other or other is Lock.READ:
            return self
        return other if self is Lock.READ else Lock.ALTER


_SIDE_BY_SIDE = (
    frozenset({Lock.READ}),
    frozenset({Lock.READ, Lock.BUILD}),
    frozenset({Lock.READ, Lock.CHECK}),
    frozenset({Lock.BUILD}),
)


class Locks:
    """The locks of the entries of an archive that come after the data."""

    def __init__(self, toc: Toc) -> None:
        ids: dict[TableName, int] = {e.table: e.dump_id for e in toc.entries if _is_table(e)}
        self._tables = frozenset(ids.values())
        self._above: dict[int, set[int]] = {table: set() for table in self._tables}
        self._below: dict[int, set[int]] = {table: set() for table in self._tables}
        self._of_index: dict[int, list[int]] = {}
        for entry in toc.entries:
            tables = [id_ for id_ in entry.dependencies if id_ in self._tables]
            if _is_table(entry) or entry.description == "TABLE ATTACH":
                # Older archives attach a partition in the entry of its table.
                below = ids.get(entry.table, entry.dump_id)
                for above in set(tables) - {below} if below in self._tables else ():
                    self._above[below].add(above)
                    self._below[above].add(below)
            elif entry.description in _WITH_INDEX:
                self._of_index[entry.dump_id] = tables

    def of(self, entries: Sequence[TocEntry]) -> Mapping[int, Lock]:
        """Return the tables that entries lock, each with its lock."""
        locks: dict[int, Lock] = {}
        for entry in entries:
            for table, lock in self._of(entry) if entry.section == SECTION_POST_DATA else ():
                locks[table] = locks.get(table, lock).joined(lock)
        return locks

    def _of(self, entry: TocEntry) -> Iterator[tuple[int, Lock]]:
        named = [id_ for id_ in entry.dependencies if id_ in self._tables]
        if validates(entry):
            referencing, *referenced = named
            yield referencing, Lock.CHECK
            yield from ((table, Lock.READ) for table in referenced)
        elif entry.description == "INDEX":  # others of its kind may work on the table
            yield from ((table, Lock.BUILD) for table in named)
        else:
            lock = Lock.CHECK if entry.description == "FK CONSTRAINT" else Lock.ALTER
            yield from ((table, lock) for table in (*named, *self._also_locked(entry, named)))

    def _also_locked(self, entry: TocEntry, named: Sequence[int]) -> Iterable[int]:
        if entry.description == "INDEX ATTACH":
            # The last index of a table makes those above valid: validatePartitionedIndex() in
            # tablecmds.c.
            of_indexes = (self._of_index.get(id_, ()) for id_ in entry.dependencies)
            return reached((table for found in of_indexes for table in found), self._above)
        if _ONLY_ITSELF not in entry.definition or entry.description == "FK CONSTRAINT":
            # A trigger or a foreign key of a partitioned table comes to all of its partitions. So
            # does a foreign key to it: addFkRecurseReferenced() in tablecmds.c.
            return reached(named, self._below)
        return ()


def _is_table(entry: TocEntry) -> bool:
    return entry.description == "TABLE"


def reached(starts: Iterable[int], edges: Mapping[int, Iterable[int]]) -> set[int]:
    """Return the starts, and all that edges lead to from them."""
    found: set[int] = set()
    waiting = list(starts)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(edges[one])
    return found
