"""Runs pg_restore: in parallel from named pipes, or on one stream."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

from airflow_provider_pgclone.core.archive import Toc, write_directory_toc
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


# Writes the data of an entry into the pipes of its file; called in a thread for each.
Feed = Callable[[int, "DataFile"], None]


def load_stream(
    chunks: Iterator[bytes],
    toc: Toc,
    database: Database,
    loading: Loading,
    *,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    """Stream an archive of pg_dump into pg_restore.

    :param chunks: the bytes of the archive.
    :param toc: its table of contents.
    :param database: an empty one.
    :raises RestoreError: at the first error that is not harmless; nothing more is restored then.
    """
    monitor = RestoreMonitor(loading.server_major)
    with (
        tempfile.TemporaryDirectory(prefix="pgclone-") as folder,
        run_child(
            loading.argv(database, "--format=custom", *_use_list(toc, loading, Path(folder))),
            environment=loading.environment(database),
            cancellation=cancellation,
            on_stderr=monitor.feed,
            stdin=True,
        ) as pg_restore,
    ):
        monitor.attach(pg_restore)
        try:
            for chunk in chunks:
                cancellation.check()
                pg_restore.stdin.write(chunk)
                meter.add(len(chunk))
            pg_restore.stdin.close()
        except BrokenPipeError:
            pass  # it has ended, or was ended for an error: its exit code and messages tell
        monitor.raise_for_result(pg_restore.wait(), pg_restore)


def _use_list(toc: Toc, loading: Loading, folder: Path) -> list[str]:
    """Return the arguments by which pg_restore leaves out what it is to leave out."""
    if not loading.left_out:
        return []
    path = folder / "list"
    entries = toc.without(loading.left_out).entries
    path.write_text("".join(f"{entry.dump_id};\n" for entry in entries))
    return [f"--use-list={path}"]


def load_pipes(
    schedule: Schedule,
    feed: Feed,
    database: Database,
    loading: Loading,
    *,
    cancellation: Cancellation,
) -> None:
    """Restore an archive in parallel, each entry's data from a named pipe.

    :param feed: called with the old id of an entry when pg_restore starts it.
    :param database: an empty one.
    :raises RestoreError: at the first error that is not harmless.
    :raises PgCloneError: what ``feed`` raised.
    """
    with tempfile.TemporaryDirectory(prefix="pgclone-") as folder:
        pipes = Pipes(Path(folder))
        files = {
            entry.dump_id: DataFile(pipes, entry, schedule.toc)
            for entry in schedule.toc.entries
            if entry.has_data
        }
        names = {dump_id: file.name for dump_id, file in files.items()}
        pipes.make(TOC_NAME)
        toc = write_directory_toc(schedule.toc, names)
        sessions = loading.sessions
        feeders = _Feeders(schedule, feed, files, sessions)
        feeders.write_toc(pipes, toc)
        monitor = RestoreMonitor(loading.server_major, feeders.launch if sessions > 1 else None)
        try:
            with run_child(
                loading.argv(database, "--format=directory", f"--jobs={sessions}", folder),
                environment=loading.environment(database),
                cancellation=cancellation,
                on_stderr=monitor.feed,
                # It ends its workers then, and what they run on the server.
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


class _Feeders:
    """The threads that feed pg_restore, one for each entry that it is at."""

    def __init__(
        self, schedule: Schedule, feed: Feed, files: Mapping[int, DataFile], sessions: int
    ) -> None:
        self._schedule = schedule
        self._feed = feed
        self._files = files
        # One for each session of pg_restore is at work; some may be about to end.
        self._pool = ThreadPoolExecutor(4 * sessions, thread_name_prefix="feed")
        self._futures: dict[int, Future[None]] = {}
        self._fed: set[int] = set()
        self._failure: BaseException | None = None
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Say which program to end where a feeder fails."""
        self._child = child
        if self._failure is not None:
            child.kill()

    def launch(self, dump_id: int) -> None:
        """Feed an entry, where it has data."""
        if self._child is not None:
            self._child.note_workers()
        if dump_id in self._files and dump_id not in self._futures:
            self._futures[dump_id] = self._pool.submit(self._run, [dump_id])

    def write_toc(self, pipes: Pipes, toc: bytes) -> None:
        """Write the table of contents, which may hold secrets, past the disk as well."""

        def write() -> None:
            with suppress(ReaderGoneError), pipes.writing(TOC_NAME) as put:
                put(toc)

        self._futures[-1] = self._pool.submit(write)

    def launch_all(self) -> None:
        """Feed all entries one after another, in the order of the archive."""
        ids = self._schedule.start_order(sessions=1)
        self._futures[0] = self._pool.submit(self._run, ids)

    def are_running(self) -> bool:
        return not all(future.done() for future in self._futures.values())

    def close(self) -> None:
        self._pool.shutdown()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def check_complete(self) -> None:
        """Refuse a success of pg_restore that has not asked for all data."""
        missing = [
            f"{entry.namespace}.{entry.tag}"
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
            return  # pg_restore has ended, and tells why
        except BaseException as error:  # noqa: BLE001  # load_pipes raises it
            self._failure = self._failure or error
            if self._child is not None:
                self._child.kill()
