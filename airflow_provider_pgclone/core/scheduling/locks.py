"""Tells which tables an entry locks, so that runs do not wait for each other in the server. Pure.

``identify_locking_dependencies()`` in pg_backup_archiver.c does it for the tables that an entry
names. But some statements lock the tables above or below as well, and two of them may end with
"deadlock detected".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_provider_pgclone.core.archive import SECTION_POST_DATA, TableName, Toc, TocEntry

_ONLY_ITSELF = "ALTER TABLE ONLY "
_WITH_INDEX = ("INDEX", "CONSTRAINT")


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

    def of(self, entries: Sequence[TocEntry]) -> Mapping[int, bool]:
        """Return the tables that entries lock, each with whether others may share the lock.

        CREATE INDEX lets others of its kind work on the table, but nothing else.
        """
        locks: dict[int, bool] = {}
        for entry in entries:
            for table in self._tables_of(entry) if entry.section == SECTION_POST_DATA else ():
                locks[table] = locks.get(table, True) and entry.description == "INDEX"
        return locks

    def _tables_of(self, entry: TocEntry) -> Iterator[int]:
        named = [id_ for id_ in entry.dependencies if id_ in self._tables]
        yield from named
        if entry.description == "INDEX ATTACH":
            # The last index of a table makes those above valid: validatePartitionedIndex() in
            # tablecmds.c.
            of_indexes = (self._of_index.get(id_, ()) for id_ in entry.dependencies)
            yield from _reached((table for found in of_indexes for table in found), self._above)
        elif entry.description != "INDEX" and _ONLY_ITSELF not in entry.definition:
            # A trigger or a foreign key of a partitioned table comes to all of its partitions.
            yield from _reached(named, self._below)


def _is_table(entry: TocEntry) -> bool:
    return entry.description == "TABLE"


def _reached(tables: Iterable[int], edges: Mapping[int, Iterable[int]]) -> set[int]:
    """Return the tables, and all that edges lead to from them."""
    found: set[int] = set()
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            waiting.extend(edges[table])
    return found
