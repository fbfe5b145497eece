"""Runs pg_restore, in parallel from named pipes or from one stream."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

from airflow_provider_pgclone.core.archive import (
    ArchiveReader,
    Toc,
    read_start,
    write_directory_toc,
    write_toc,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.loading.data_file import DataFile
from airflow_provider_pgclone.core.loading.messages import RestoreMonitor
from airflow_provider_pgclone.core.loading.schedule import Schedule
from airflow_provider_pgclone.core.loading.settings import Loading
from airflow_provider_pgclone.core.postgres import (
    Child,
    Database,
    Pipes,
    ReaderGoneError,
    run_child,
)
from airflow_provider_pgclone.core.progress import ProgressMeter

TOC_NAME = "toc.dat"
# Writes the data of an entry to its file. It is called in threads, with the id of the entry in the
# archive.
Feed = Callable[[int, DataFile], None]


def load_stream(
    chunks: Iterator[bytes],
    toc: Toc,
    database: Database,
    loading: Loading,
    *,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    """Restore an archive from a stream.

    :param chunks: the bytes of the archive.
    :param toc: the table of contents of the archive.
    :param database: an empty database.
    :raises RestoreError: at the first error that is not harmless. The restore ends there.
    """
    monitor = RestoreMonitor(loading.server_major, guarded=loading.guarded)
    restored = loading.restored(toc)
    with run_child(
        loading.argv(database, "--format=custom"),
        environment={**loading.environment(database), **monitor.environment},
        cancellation=cancellation,
        on_stderr=monitor.feed,
        stdin=True,
    ) as pg_restore:
        monitor.attach(pg_restore)
        try:
            for chunk in chunks if restored == toc else _with_toc(restored, chunks):
                cancellation.check()
                pg_restore.stdin.write(chunk)
                meter.add(len(chunk))
            pg_restore.stdin.close()
        except BrokenPipeError:
            pass  # pg_restore has ended; its exit code and messages say why
        monitor.raise_for_result(pg_restore.wait(), pg_restore)


def load_pipes(
    schedule: Schedule,
    feed: Feed,
    database: Database,
    loading: Loading,
    *,
    cancellation: Cancellation,
) -> None:
    """Restore an archive in parallel, with the data of each entry from a named pipe.

    :param feed: called when pg_restore starts an entry, with the old id of the entry.
    :param database: an empty database.
    :raises RestoreError: at the first error that is not harmless.
    :raises PgCloneError: the error of ``feed``.
    """
    with tempfile.TemporaryDirectory(prefix="pgclone-") as folder:
        pipes = Pipes(Path(folder))
        files = {
            entry.dump_id: DataFile(pipes, entry, schedule.toc)
            for entry in schedule.toc.entries
            if entry.has_data
        }
        sessions = loading.sessions
        feeders = _Feeders(schedule, feed, files, sessions)
        feeders.write_toc(pipes)
        monitor = RestoreMonitor(
            loading.server_major,
            feeders.launch if sessions > 1 else None,
            guarded=loading.guarded,
        )
        try:
            with run_child(
                loading.argv(database, "--format=directory", f"--jobs={sessions}", folder),
                environment={**loading.environment(database), **monitor.environment},
                cancellation=cancellation,
                on_stderr=monitor.feed,
                # At this signal it ends its workers and their statements on the server.
                end_signal=SIGTERM,
            ) as pg_restore:
                monitor.attach(pg_restore)
                feeders.attach(pg_restore)
                if sessions == 1:
                    feeders.launch_all()
                try:
                    pg_restore.wait_exit()
                finally:
                    pg_restore.stop()
                    pipes.end(lambda: feeders.are_running() or pg_restore.is_talking())
                code = pg_restore.wait()
        finally:
            pipes.end(feeders.are_running)
            feeders.close()
        feeders.raise_failure()
        monitor.raise_for_result(code, pg_restore)
        feeders.check_complete()


def _with_toc(toc: Toc, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks of an archive with another table of contents of the same data.

    pg_restore cannot seek in a pipe, so it ignores the positions of the data, and reads one block
    after another: ``_PrintTocData()`` in pg_backup_custom.c.
    """
    reader = ArchiveReader(chunks)
    read_start(reader)
    yield write_toc(toc)
    yield from reader.rest()


class _Feeders:
    """The threads that feed pg_restore, one for each entry that it is working on."""

    def __init__(
        self, schedule: Schedule, feed: Feed, files: Mapping[int, DataFile], sessions: int
    ) -> None:
        self._schedule = schedule
        self._feed = feed
        self._files = files
        # One for each session of pg_restore works. Others may not have ended yet.
        self._pool = ThreadPoolExecutor(4 * sessions, thread_name_prefix="feed")
        self._futures: dict[int, Future[None]] = {}
        self._fed: set[int] = set()
        self._failure: BaseException | None = None
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Set the program to end when a feeder fails."""
        self._child = child
        if self._failure is not None:
            child.kill()

    def launch(self, dump_id: int) -> None:
        """Feed an entry that pg_restore has started, if the entry has data."""
        if self._child is not None:
            self._child.note_workers()
        if dump_id in self._files and dump_id not in self._futures:
            self._futures[dump_id] = self._pool.submit(self._run, [dump_id])

    def write_toc(self, pipes: Pipes) -> None:
        """Feed the table of contents by a pipe too, because it may contain secrets."""
        names = {dump_id: file.name for dump_id, file in self._files.items()}
        toc = write_directory_toc(self._schedule.toc, names)
        pipes.make(TOC_NAME)

        def write() -> None:
            with suppress(ReaderGoneError), pipes.writing(TOC_NAME) as put:
                put(toc)

        self._futures[-1] = self._pool.submit(write)

    def launch_all(self) -> None:
        """Feed all entries one after another, in the order of the archive."""
        ids = self._schedule.start_order(sessions=1)
        self._futures[0] = self._pool.submit(self._run, ids)

    def are_running(self) -> bool:
        """Tell whether a feeder has not ended."""
        return not all(future.done() for future in self._futures.values())

    def close(self) -> None:
        """Wait for the feeders to end."""
        self._pool.shutdown()

    def raise_failure(self) -> None:
        """Raise the first error of a feeder, if any."""
        if self._failure is not None:
            raise self._failure

    def check_complete(self) -> None:
        """Check that pg_restore has read all data.

        :raises RestoreError: names a table that it has not read.
        """
        missing = [
            f"{entry.display_name}"
            for entry in self._schedule.toc.entries
            if entry.has_data and entry.dump_id not in self._fed
        ]
        if missing:
            raise RestoreError(f"pg_restore has not read the data of {missing[0]}")

    def _run(self, dump_ids: list[int]) -> None:
        try:
            for dump_id in dump_ids:
                self._feed(self._schedule.old_ids[dump_id], self._files[dump_id])
                self._fed.add(dump_id)
        except ReaderGoneError:
            return  # pg_restore has ended, and reports why
        except BaseException as error:  # noqa: BLE001  # load_pipes raises it
            self._failure = self._failure or error
            if self._child is not None:
                self._child.kill()
