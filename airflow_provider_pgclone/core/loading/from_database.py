"""Loads a database directly from a live one, without storage.

psql writes the rows of the source's snapshot into the named pipes from which pg_restore reads. The
other data comes from pg_dump, one block after another.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from airflow_provider_pgclone.core.archive import (
    DATA,
    TableName,
    Toc,
    count_rows,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.loading.data_file import DataFile
from airflow_provider_pgclone.core.loading.pg_restore import load_pipes
from airflow_provider_pgclone.core.loading.schedule import schedule
from airflow_provider_pgclone.core.loading.settings import Loading
from airflow_provider_pgclone.core.meter import ProgressMeter
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.reading import (
    CopySession,
    RangeEntry,
    Skeleton,
    Snapshot,
    add_ranges,
    open_copy_session,
)
from airflow_provider_pgclone.core.watching import LoadWork, expect_check

POLL_SECONDS = 0.2


class SessionPool:
    """A pool of sessions on the source, each of which reads one range at a time."""

    def __init__(self, sessions: Sequence[CopySession]) -> None:
        self._sessions = sessions
        self._free: queue.SimpleQueue[CopySession] = queue.SimpleQueue()
        for session in sessions:
            self._free.put(session)

    def end(self) -> None:
        """End the sessions, when none of them is in use."""
        for session in self._sessions:
            session.end()

    @contextmanager
    def session(self, check: Callable[[], None]) -> Iterator[CopySession]:
        """Yield a free session; wait for one if necessary.

        :param check: raises an error if the session is not needed any more.
        """
        while True:
            check()
            try:
                session = self._free.get(timeout=POLL_SECONDS)
                break
            except queue.Empty:
                continue
        yield session
        self._free.put(session)  # not after an error, when it may still be at work


class SkeletonBlocks:
    """The blocks of pg_dump, which must be read in the order in which pg_dump writes them.

    :param order: the dump ids of the blocks in this order.
    """

    def __init__(self, skeleton: Skeleton, order: Sequence[int]) -> None:
        self._skeleton = skeleton
        self._blocks = read_blocks(skeleton.reader)
        self._order = order
        self._done = 0
        self._changed = threading.Condition()

    def write(self, dump_id: int, file: DataFile) -> int:
        """Write a block to its file after those before it, and return its number of rows."""
        with self._changed:
            while self._order[self._done] != dump_id:
                file.check()
                self._changed.wait(POLL_SECONDS)
        with self._skeleton.explaining_failure():
            rows = self._write(dump_id, file)
        with self._changed:
            self._done += 1
            self._changed.notify_all()
        return rows

    def finish(self) -> None:
        """Check that pg_dump succeeded, and did not write blocks that are not announced.

        :raises ArchiveError: when it wrote another block.
        :raises ToolError: when it failed.
        """
        with self._skeleton.explaining_failure():
            for _, dump_id in self._blocks:
                raise ArchiveError(
                    f"pg_dump wrote block {dump_id}, which is not in its table of contents"
                )
        self._skeleton.pg_dump.wait_for_success()

    def _write(self, dump_id: int, file: DataFile) -> int:
        kind, found = next(self._blocks, (0, 0))
        if found != dump_id:
            raise ArchiveError(f"pg_dump wrote block {found} instead of block {dump_id}")
        reader, rows = self._skeleton.reader, 0
        if kind != DATA:
            file.write_large_objects(read_large_objects(reader))
            return 0

        def counted() -> Iterator[bytes]:
            nonlocal rows
            for piece in read_pieces(reader):
                rows += count_rows(piece)
                yield piece

        file.write_rows(counted())
        return rows


class SnapshotFeed:
    """Feeds pg_restore with the rows of a snapshot: ranges by psql, other data from pg_dump.

    :param ranges: the ranges, by the dump id of their entries.
    :param entries: the number of entries with data, ranges and others.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        ranges: Mapping[int, RangeEntry],
        blocks: SkeletonBlocks,
        pool: SessionPool,
        meter: ProgressMeter,
        *,
        entries: int,
    ) -> None:
        self._snapshot = snapshot
        self._ranges = ranges
        self._blocks = blocks
        self._pool = pool
        self._meter = meter
        self._entries = entries
        # The number of rows of each entry that was fed.
        self.rows: dict[int, int] = {}

    def __call__(self, dump_id: int, file: DataFile) -> None:
        range_entry = self._ranges.get(dump_id)
        if range_entry is None:
            self.rows[dump_id] = self._blocks.write(dump_id, file)
            self._meter.add(rows=self.rows[dump_id])
        else:
            with file.in_use() as path, self._pool.session(file.check) as session:
                self.rows[dump_id] = session.copy(range_entry.pages, path)
            self._meter.add(rows=self.rows[dump_id], work=range_entry.size_bytes)
        if len(self.rows) == self._entries:
            # All rows are read. Building indexes may take hours, and the snapshot would keep VACUUM
            # from removing dead rows on the source.
            self._pool.end()
            self._snapshot.release()


def load_database(
    snapshot: Snapshot,
    skeleton: Skeleton,
    temp: Database,
    loading: Loading,
    *,
    meter: ProgressMeter,
) -> dict[TableName, int]:
    """Load a snapshot into an empty database, and return the number of rows of each table.

    :param skeleton: the running pg_dump of the snapshot.
    :param temp: the empty database.
    :raises RestoreError: when pg_restore reports an error that is not harmless.
    :raises ToolError: when pg_dump or psql failed.
    :raises ArchiveError: when pg_dump wrote blocks that do not fit its table of contents.
    """
    toc, range_entries = add_ranges(skeleton.toc, snapshot.ranged)
    ranges = {range_entry.entry.dump_id: range_entry for range_entry in range_entries}
    in_skeleton = [entry.dump_id for entry in skeleton.toc.entries if entry.has_data]
    blocks = SkeletonBlocks(skeleton, in_skeleton)
    sizes = {id_: range_entry.size_bytes for id_, range_entry in ranges.items()}
    plan = schedule(loading.restored(toc), sizes, first=set(in_skeleton))
    new_sizes = {new: sizes[old] for new, old in plan.old_ids.items() if old in sizes}
    work = LoadWork(plan.toc, new_sizes, meter, is_parallel=loading.sessions > 1)
    expect_check(meter, sum(sizes.values()), checksums=False)
    meter.enter("load", "creating the schema")
    with ExitStack() as stack:
        # Started in this thread, because a child process ends with the thread that started it.
        pool = SessionPool(
            [stack.enter_context(open_copy_session(snapshot)) for _ in range(loading.sessions)]
        )
        feed = SnapshotFeed(
            snapshot, ranges, blocks, pool, meter, entries=len(in_skeleton) + len(ranges)
        )
        load_pipes(plan, feed, temp, loading, work=work, cancellation=snapshot.cancellation)
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
