"""Loads a database from a live one, with no storage between.

psql writes the rows of the source's snapshot straight into the named pipes that pg_restore reads.
What psql cannot read comes from pg_dump, one block after another.
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
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.reading import (
    CopySession,
    Skeleton,
    Snapshot,
    add_ranges,
    open_copy_session,
)

POLL_SECONDS = 0.2


class SessionPool:
    """Sessions on the source, each for one range at a time."""

    def __init__(self, sessions: Sequence[CopySession]) -> None:
        self._sessions = sessions
        self._free: queue.SimpleQueue[CopySession] = queue.SimpleQueue()
        for session in sessions:
            self._free.put(session)

    def end(self) -> None:
        """End the sessions, none of which is at work."""
        for session in self._sessions:
            session.end()

    @contextmanager
    def session(self, check: Callable[[], None]) -> Iterator[CopySession]:
        """Yield a session that is free.

        :param check: raises where it is not wanted any more.
        """
        while True:
            check()
            try:
                session = self._free.get(timeout=POLL_SECONDS)
                break
            except queue.Empty:
                continue
        yield session
        self._free.put(session)  # not after an error: it is in the middle of something


class SkeletonBlocks:
    """The blocks of pg_dump, which come one after another, whoever asks for which.

    :param order: their dump ids as they come.
    """

    def __init__(self, skeleton: Skeleton, order: Sequence[int]) -> None:
        self._skeleton = skeleton
        self._blocks = read_blocks(skeleton.reader)
        self._order = order
        self._done = 0
        self._changed = threading.Condition()

    def write(self, dump_id: int, file: DataFile) -> int:
        """Write a block to its file once those before it are done, and return its rows."""
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
        """Make sure that pg_dump wrote no more than its table of contents says, and succeeded.

        :raises ToolError: when it failed.
        """
        with self._skeleton.explaining_failure():
            for _, dump_id in self._blocks:
                raise ArchiveError(f"pg_dump wrote a block {dump_id} that it did not announce")
        self._skeleton.pg_dump.wait_for_success()

    def _write(self, dump_id: int, file: DataFile) -> int:
        kind, found = next(self._blocks, (0, 0))
        if found != dump_id:
            raise ArchiveError(f"pg_dump wrote block {found} where block {dump_id} was to come")
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


def load_database(
    snapshot: Snapshot,
    skeleton: Skeleton,
    temp: Database,
    loading: Loading,
    *,
    on_progress: ProgressCallback,
) -> dict[TableName, int]:
    """Load all rows of a snapshot into an empty database, and return the number of each table.

    :param skeleton: what pg_dump writes of the snapshot.
    :raises RestoreError: at an error of pg_restore that is not harmless.
    :raises ToolError: when pg_dump or psql failed.
    """
    toc, planned = add_ranges(skeleton.toc, snapshot.planned)
    ranges = {planned_range.entry.dump_id: planned_range for planned_range in planned}
    in_skeleton = [entry.dump_id for entry in skeleton.toc.entries if entry.has_data]
    blocks = SkeletonBlocks(skeleton, in_skeleton)
    meter = ProgressMeter(
        on_progress, work_total=sum(planned_range.size_bytes for planned_range in planned)
    )
    rows_of: dict[int, int] = {}
    plan = schedule(
        toc.without(loading.left_out),
        {id_: planned_range.size_bytes for id_, planned_range in ranges.items()},
        first=set(in_skeleton),
    )
    with ExitStack() as stack:
        # Started here, since each lives no longer than the thread that started it.
        pool = SessionPool(
            [stack.enter_context(open_copy_session(snapshot)) for _ in range(loading.sessions)]
        )

        def feed(dump_id: int, file: DataFile) -> None:
            planned_range = ranges.get(dump_id)
            if planned_range is None:
                rows_of[dump_id] = blocks.write(dump_id, file)
                meter.add(rows=rows_of[dump_id])
            else:
                with file.in_use() as path, pool.session(file.check) as session:
                    rows_of[dump_id] = session.copy(planned_range.pages, path)
                meter.add(rows=rows_of[dump_id], work=planned_range.size_bytes)
            if len(rows_of) == len(in_skeleton) + len(ranges):
                # Indexes may take hours, for which the source is not to keep dead rows.
                pool.end()
                snapshot.release()

        load_pipes(plan, feed, temp, loading, cancellation=snapshot.cancellation)
    blocks.finish()
    meter.finish()
    return _rows_of_tables(toc, rows_of)


def _rows_of_tables(toc: Toc, rows_of: Mapping[int, int]) -> dict[TableName, int]:
    """Return how many rows each table has, of the rows of each entry."""
    tables: dict[TableName, int] = {}
    for entry in toc.entries:
        if entry.description == "TABLE DATA":
            name = (entry.namespace, entry.tag)
            tables[name] = tables.get(name, 0) + rows_of[entry.dump_id]
    return tables
