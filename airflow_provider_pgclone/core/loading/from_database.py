"""Loads a database directly from a live one, without storage.

psql reads the rows of the source's snapshot, range by range. Those of small tables and the large
objects come from pg_dump, one block after another.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack

from airflow_provider_pgclone.core.archive import RowCount, TableName, Toc
from airflow_provider_pgclone.core.executing import BlockSink, Loading
from airflow_provider_pgclone.core.loading.parallel import load_parallel
from airflow_provider_pgclone.core.loading.skeleton_blocks import SkeletonBlocks
from airflow_provider_pgclone.core.loading.statistics import Analysis
from airflow_provider_pgclone.core.meter import ProgressMeter, Task
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.reading import (
    RangeEntry,
    RangeReader,
    Skeleton,
    Snapshot,
    add_ranges,
    binary_tables,
    index_sizes,
    open_range_reader,
    part_size,
)
from airflow_provider_pgclone.core.scheduling import Unit, divide, schedule
from airflow_provider_pgclone.core.watching import LoadWork, expect_check


class SnapshotFeed:
    """Feeds a load with the rows of a snapshot: ranges by psql, other data from pg_dump.

    :param reader: has as many sessions as ranges are fed at once.
    :param ranges: the ranges, by the dump id of their entries.
    :param sizes: the size in bytes of each entry with data, ranges and others, by dump id.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        reader: RangeReader,
        ranges: Mapping[int, RangeEntry],
        blocks: SkeletonBlocks,
        sizes: Mapping[int, int],
        meter: ProgressMeter,
    ) -> None:
        self._snapshot = snapshot
        self._reader = reader
        self._ranges = ranges
        self._blocks = blocks
        self._sizes = sizes
        self._meter = meter
        # The number of rows of each entry that was fed.
        self.rows: dict[int, int] = {}

    def read_ahead(self, unit: Unit) -> bool:
        """Read what pg_dump writes for a unit as far as it may be kept; tell whether it is all."""
        first = self._blocks.first_of(unit)
        if first is None:
            return True
        what = "large objects" if first.description == "BLOBS" else first.display_name
        started = time.monotonic()
        with self._meter.task(("ahead", unit.number), Task("load", f"reading {what}", 0.0, "")):
            is_all = self._blocks.read_ahead(unit)
        self._meter.time_spent.add("source", time.monotonic() - started)
        return is_all

    def __call__(self, dump_id: int, sink: BlockSink) -> None:
        range_entry = self._ranges.get(dump_id)
        if range_entry is None:
            self.rows[dump_id] = self._blocks.write(dump_id, sink)
        else:
            count = RowCount()
            sink.write_rows(self._reader.pieces(range_entry.pages, count))
            self.rows[dump_id] = count.rows
        self._meter.add(rows=self.rows[dump_id], work=self._sizes[dump_id])
        if len(self.rows) == len(self._sizes):
            # All rows are read. Building indexes may take hours, and the snapshot would keep VACUUM
            # from removing dead rows on the source.
            self._reader.end()
            with self._snapshot.session.explaining_failure():  # not an error of the entry
                self._snapshot.release()


def load_database(
    snapshot: Snapshot,
    skeleton: Skeleton,
    temp: Database,
    loading: Loading,
    *,
    analysis: Analysis | None,
    meter: ProgressMeter,
) -> dict[TableName, int]:
    """Load a snapshot into an empty database, and return the number of rows of each table.

    :param skeleton: the running pg_dump of the snapshot.
    :param temp: the empty database.
    :param analysis: analyzes tables meanwhile; what is left of it comes later.
    :raises RestoreError: when an entry cannot be restored.
    :raises ToolError: when pg_dump or psql failed.
    :raises ArchiveError: when pg_dump wrote blocks that do not fit its table of contents.
    """
    toc, range_entries = add_ranges(
        *(skeleton.toc, snapshot.ranged),
        workers=loading.jobs,
        range_bytes=part_size(snapshot.ranged_bytes, loading.jobs),
        binary=binary_tables(snapshot, loading.server_major),
    )
    ranges = {range_entry.entry.dump_id: range_entry for range_entry in range_entries}
    small = snapshot.small_sizes(skeleton.toc)
    sizes = small | {id_: range_entry.size_bytes for id_, range_entry in ranges.items()}
    index_bytes = index_sizes(snapshot, toc)
    plan = schedule(
        *(loading.restored(toc), sizes, index_bytes),
        sessions=loading.jobs,
        first=small,
    )
    work = LoadWork(plan, meter)
    expect_check(meter, sum(sizes.values()), checksums=False)
    meter.enter("load", "creating the schema")
    analyzes = analysis is not None
    passes = divide(plan, sessions=loading.jobs, serial=small, analyzes=analyzes)
    blocks = SkeletonBlocks(skeleton, small)
    at_once = min(loading.jobs, len(ranges))
    with snapshot.cancellation.own() as own, ExitStack() as stack:
        stack.enter_context(own.ending(skeleton.pg_dump.kill))
        reader = stack.enter_context(open_range_reader(snapshot, own, sessions=at_once))
        feed = SnapshotFeed(snapshot, reader, ranges, blocks, sizes, meter)
        load_parallel(
            *(plan.toc, passes, feed, temp, loading),
            read_ahead=feed.read_ahead,
            work=work,
            analysis=analysis,
            cancellation=own,
        )
    blocks.finish()
    rows_of_tables = _rows_of_tables(toc, feed.rows)
    meter.tables = len(rows_of_tables)
    return rows_of_tables


def _rows_of_tables(toc: Toc, rows_of: Mapping[int, int]) -> dict[TableName, int]:
    """Return the number of rows of each table, from the number of rows of each entry."""
    tables: dict[TableName, int] = {}
    for entry in toc.entries:
        if entry.description == "TABLE DATA":
            name = entry.table
            tables[name] = tables.get(name, 0) + rows_of[entry.dump_id]
    return tables
