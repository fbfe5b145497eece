"""The data of a live database, as pg_restore asks for it: ranges by psql, the rest by pg_dump."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_pgclone.core.blocks import (
    DATA,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.compression import count_rows
from airflow_provider_pgclone.core.copy_out import CopySession
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.load import DataFile
from airflow_provider_pgclone.core.skeleton import Skeleton

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
        with self._skeleton.telling_why():
            rows = self._write(dump_id, file)
        with self._changed:
            self._done += 1
            self._changed.notify_all()
        return rows

    def finish(self) -> None:
        """Make sure that pg_dump wrote no more than its table of contents says, and succeeded.

        :raises ToolError: when it failed.
        """
        with self._skeleton.telling_why():
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
