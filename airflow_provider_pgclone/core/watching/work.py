"""Tells which entry of an archive is worked on, and how much work each entry is.

The work of an entry is the size of its data in bytes, before compression. That of an index is as
many bytes as would take as long to load.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable

from airflow_provider_pgclone.core.archive import (
    SECTION_POST_DATA,
    Manifest,
    TableName,
    TocEntry,
)
from airflow_provider_pgclone.core.meter import ProgressMeter, Task
from airflow_provider_pgclone.core.scheduling import Schedule
from airflow_provider_pgclone.core.time_spent import limit_of, spread

# It does not tell when an entry is finished.
_CREATING = re.compile(r"(?:creating ([A-Z ]+?)|processing data for table) \"(.*)\"")
# The other work, relative to loading the rows; measured on text, numbers and timestamps.
COUNTING, SUMMING, ANALYZING = 0.03, 0.4, 0.1
# ANALYZE reads 300 pages for each unit of the statistics target, whatever the size of the table.
_MOST_ANALYZED_BYTES = 30_000 * 8192

# In which order they are told when several run at once.
_ORDER = ("load", "indexes", "constraints", "views")


class LoadWork:
    """The work of all sessions and runs of pg_restore that load an archive.

    :param plan: the archive, with the work of its entries as far as it is known.
    """

    def __init__(self, plan: Schedule, meter: ProgressMeter) -> None:
        self._meter = meter
        toc = plan.toc
        self._tables = {e.dump_id: e for e in toc.entries if e.description == "TABLE"}
        self._tasks: dict[int, Task] = {}
        for entry in toc.entries:
            task = self._task(entry, plan.own.get(entry.dump_id, 0.0))
            if task is not None:
                self._tasks[entry.dump_id] = task
        self._data_left = {entry.dump_id for entry in toc.entries if entry.has_data}
        for task in self._tasks.values():
            meter.expect(task.phase, task.work)
        meter.expect("load", sum(plan.own.get(dump_id, 0.0) for dump_id in self._data_left))
        if any(task.phase == "views" for task in self._tasks.values()):
            meter.is_planned = False  # what their queries cost is not known

    def run(self, entries: Iterable[TocEntry]) -> "RunWork":
        """Return the work of one run of pg_restore.

        :param entries: what it restores, in this order.
        """
        return RunWork(self, entries)

    def finish(self) -> None:
        """Note that all is done."""
        self._meter.complete(*_ORDER)

    def begin(self, dump_id: int) -> None:
        """Note that a run has started an entry."""
        if dump_id in self._tasks:
            self._meter.begin(dump_id, self._tasks[dump_id])
            self._tell_phase()

    def end(self, dump_id: int) -> None:
        """Note that a run has ended an entry."""
        self._data_left.discard(dump_id)
        if dump_id in self._tasks:
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

    def _task(self, entry: TocEntry, work: float) -> Task | None:
        """Return what an entry is to the user, ``None`` for one that takes no time."""
        name, table = entry.tag, self._table_of(entry)
        if table is not None:
            name = f"{name.removeprefix(f'{table.tag} ')} on {table.display_name}"
        if entry.has_data:  # its work is counted as its bytes come
            what = entry.display_name if entry.description == "TABLE DATA" else "large objects"
            return Task("load", f"loading {what}", 0.0, entry.copy_statement)
        if entry.description == "MATERIALIZED VIEW DATA":
            text = f"refreshing the materialized view {entry.display_name}"
            return Task("views", text, 0.0, entry.definition)
        if entry.description in ("INDEX", "CONSTRAINT"):
            return Task("indexes", f"building index {name}", work, entry.definition)
        if entry.section == SECTION_POST_DATA and "CONSTRAINT" in entry.description:
            return Task("constraints", f"checking constraint {name}", work, entry.definition)
        return None


class RunWork:
    """The work of one run of pg_restore, which tells what it starts."""

    def __init__(self, work: LoadWork, entries: Iterable[TocEntry]) -> None:
        self._work = work
        self._left: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._present: int | None = None
        for entry in entries:
            named = f"{entry.namespace}.{entry.tag}" if entry.namespace else entry.tag
            self._left[entry.description, named].append(entry.dump_id)

    def feed(self, text: str) -> None:
        """Note what a text of pg_restore tells."""
        if creating := _CREATING.fullmatch(text):
            same = self._left.get((creating.group(1) or "TABLE DATA", creating.group(2)))
            self._go_on(same.popleft() if same else None)

    def finish(self) -> None:
        """Note that the run has ended, and all of its entries are done."""
        self._go_on(None)
        for same in self._left.values():
            for dump_id in same:
                self._work.end(dump_id)

    def _go_on(self, dump_id: int | None) -> None:
        """Note that an entry was started, and so the one before has ended."""
        if self._present is not None:
            self._work.end(self._present)
        self._present = dump_id
        if dump_id is not None:
            self._work.begin(dump_id)


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


def expect_analyze(meter: ProgressMeter, sizes: Iterable[float]) -> None:
    """Announce the ANALYZE of all tables.

    :param sizes: the size of the data of each table, in bytes.
    """
    meter.expect("analyze", sum(map(analyze_work, sizes)))


def analyze_work(size: float) -> float:
    """Return the work of the ANALYZE of a table."""
    return ANALYZING * min(size, _MOST_ANALYZED_BYTES)


def limit_of_load(meter: ProgressMeter) -> str | None:
    """Return what most of the time of a restore or a copy went to.

    :return: ``source``, ``storage``, ``compression`` or ``target``, which means pg_restore and the
        server; ``None`` if nothing took most of it, or if it is not known.
    """
    seconds = meter.seconds()
    loading = seconds.pop("load", 0.0)
    parts = {"source": seconds.pop("snapshot", 0.0), "target": sum(seconds.values())}
    for name, value in (spread(loading, meter.time_spent.seconds()) or {"": loading}).items():
        parts[name] = parts.get(name, 0.0) + value
    return limit_of(parts) or None
