"""Tells from the texts of pg_restore what it works on, and how much work each entry is.

The work of an entry is the size of its data in bytes, before compression. That of an index is a
share of its table's.
"""

import re
from collections.abc import Mapping

from airflow_provider_pgclone.core.archive import (
    SECTION_POST_DATA,
    Manifest,
    TableName,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.meter import ProgressMeter, Task
from airflow_provider_pgclone.core.time_spent import limit_of, spread

_LAUNCHING = re.compile(r"launching item (\d+) .*")
_FINISHED = re.compile(r"finished item (\d+) .*")
# Of a single session, which does not tell when an entry is finished.
_CREATING = re.compile(r"(?:creating ([A-Z ]+?)|processing data for table) \"(.*)\"")
# The cost of building an index, relative to loading its table; measured on text and jsonb.
_INDEX_WEIGHT = {"gin": 3.0, "gist": 3.0, "spgist": 2.0, "brin": 0.1}
_OTHER_INDEX_WEIGHT = 0.5
_CONSTRAINT_WEIGHT = 0.2
# The other work, relative to loading the rows; measured on text, numbers and timestamps.
COUNTING, SUMMING, ANALYZING = 0.03, 0.4, 0.1
# ANALYZE reads 300 pages for each unit of the statistics target, whatever the size of the table.
_MOST_ANALYZED_BYTES = 30_000 * 8192

# In which order they are told when several run at once.
_ORDER = ("load", "indexes", "constraints", "views")


class LoadWork:
    """The work of one run of pg_restore.

    :param toc: the table of contents that pg_restore gets.
    :param raw_bytes: the size of the data of each entry, by id.
    :param is_parallel: whether pg_restore tells when an entry starts and ends.
    """

    def __init__(
        self, toc: Toc, raw_bytes: Mapping[int, int], meter: ProgressMeter, *, is_parallel: bool
    ) -> None:
        self._meter = meter
        self._is_parallel = is_parallel
        self._tables = {e.dump_id: e for e in toc.entries if e.description == "TABLE"}
        sizes: dict[tuple[str, str], int] = {}
        for entry in toc.entries:
            sizes[entry.table] = sizes.get(entry.table, 0) + raw_bytes.get(entry.dump_id, 0)
        self._tasks: dict[int, Task] = {}
        self._by_name: dict[tuple[str, str], int] = {}
        for entry in toc.entries:
            size = 0 if (table := self._table_of(entry)) is None else sizes[table.table]
            task = self._task(entry, table, size)
            if task is not None:
                self._tasks[entry.dump_id] = task
                named = f"{entry.namespace}.{entry.tag}" if entry.namespace else entry.tag
                self._by_name.setdefault((entry.description, named), entry.dump_id)
        self._data_left = {entry.dump_id for entry in toc.entries if entry.has_data}
        self._present: int | None = None
        for task in self._tasks.values():
            meter.expect(task.phase, task.work)
        meter.expect("load", sum(raw_bytes.values()))
        if any(task.phase == "views" for task in self._tasks.values()):
            meter.is_planned = False  # what their queries cost is not known

    def feed(self, text: str) -> None:
        """Note what a text of pg_restore tells."""
        if not self._is_parallel:
            if creating := _CREATING.fullmatch(text):
                kind = creating.group(1) or "TABLE DATA"
                self._go_on(self._by_name.get((kind, creating.group(2))))
        elif launching := _LAUNCHING.fullmatch(text):
            self._begin(int(launching.group(1)))
        elif finished := _FINISHED.fullmatch(text):
            self._end(int(finished.group(1)))

    def finish(self) -> None:
        """Note that pg_restore has ended, and all is done."""
        self._meter.complete(*_ORDER)

    def _go_on(self, dump_id: int | None) -> None:
        """Note that a single session has started an entry, and so has ended the one before."""
        if self._present is not None:
            self._end(self._present)
        self._present = dump_id
        if dump_id is not None:
            if self._tasks[dump_id].phase != "load":
                self._data_left.clear()
            self._begin(dump_id)

    def _begin(self, dump_id: int) -> None:
        if dump_id in self._tasks:
            self._meter.begin(dump_id, self._tasks[dump_id])
            self._tell_phase()

    def _end(self, dump_id: int) -> None:
        self._data_left.discard(dump_id)
        self._meter.end(dump_id)
        self._tell_phase()

    def _tell_phase(self) -> None:
        running = {task.phase for task in self._meter.running().values()}
        if self._data_left:
            running.add("load")
        for phase in _ORDER:
            if phase in running:
                self._meter.move_to(phase)
                return

    def _table_of(self, entry: TocEntry) -> TocEntry | None:
        """Return the table of an entry; a foreign key depends on two."""
        of = [self._tables[one] for one in entry.dependencies if one in self._tables]
        named = [table for table in of if entry.tag.startswith(f"{table.tag} ")]
        return next(iter(named or of), None)

    def _task(self, entry: TocEntry, table: TocEntry | None, size: int) -> Task | None:
        """Return what an entry is to the user, ``None`` for one that takes no time."""
        name = entry.tag
        if table is not None:
            name = f"{name.removeprefix(f'{table.tag} ')} on {table.display_name}"
        if entry.has_data:  # its work is counted as its bytes come
            what = entry.display_name if entry.description == "TABLE DATA" else "large objects"
            return Task("load", f"loading {what}", 0.0, entry.copy_statement)
        if entry.description == "MATERIALIZED VIEW DATA":
            text = f"refreshing the materialized view {entry.display_name}"
            return Task("views", text, 0.0, entry.definition)
        if entry.description in ("INDEX", "CONSTRAINT"):
            text, work = f"building index {name}", weight_of(entry) * size
            return Task("indexes", text, work, entry.definition)
        if entry.section == SECTION_POST_DATA and "CONSTRAINT" in entry.description:
            text, work = f"checking constraint {name}", weight_of(entry) * size
            return Task("constraints", text, work, entry.definition)
        return None


def weight_of(entry: TocEntry) -> float:
    """Return the work of an entry after the data, relative to that of loading its table."""
    if entry.description == "INDEX":
        _, _, method = entry.definition.partition(" USING ")
        return _INDEX_WEIGHT.get(method.partition(" ")[0], _OTHER_INDEX_WEIGHT)
    is_unique = entry.description == "CONSTRAINT"  # it has an index
    return _OTHER_INDEX_WEIGHT if is_unique else _CONSTRAINT_WEIGHT


def expect_check(meter: ProgressMeter, raw_bytes: float, *, checksums: bool) -> None:
    """Announce the comparison of the rows."""
    meter.expect("check", (SUMMING if checksums else COUNTING) * raw_bytes)


def table_sizes(manifest: Manifest) -> dict[TableName, int]:
    """Return the bytes of the rows of each table before compression, by schema and name."""
    sizes: dict[TableName, int] = {}
    for entry in manifest.entries:
        if entry.table:  # not large objects
            name = (entry.schema, entry.table)
            sizes[name] = sizes.get(name, 0) + entry.block.raw_bytes
    return sizes


def expect_analyze(meter: ProgressMeter, sizes: Mapping[tuple[str, str], int]) -> None:
    """Announce the ANALYZE of all tables.

    :param sizes: the size of the data of each table, in bytes.
    """
    meter.expect("analyze", sum(map(analyze_work, sizes.values())))


def analyze_work(size: float) -> float:
    """Return the work of the ANALYZE of a table."""
    return ANALYZING * min(size, _MOST_ANALYZED_BYTES)


def limit_of_load(meter: ProgressMeter) -> str | None:
    """Return what most of the time of a restore or a copy went to.

    :return: ``source``, ``storage``, ``compression`` or ``target``, which means pg_restore and its
        server; ``None`` if nothing took most of it, or if it is not known.
    """
    seconds = meter.seconds()
    loading = seconds.pop("load", 0.0)
    parts = {"source": seconds.pop("snapshot", 0.0), "target": sum(seconds.values())}
    for name, value in (spread(loading, meter.time_spent.seconds()) or {"": loading}).items():
        parts[name] = parts.get(name, 0.0) + value
    return limit_of(parts) or None
