"""Restores the units of an archive by several sessions at once."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.executing import (
    Feed,
    Loading,
    Sessions,
    execute_entries,
    load_entries,
)
from airflow_provider_pgclone.core.loading.statistics import Analysis
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.scheduling import Passes, Turns, Unit, entries_of_each_run
from airflow_provider_pgclone.core.watching import LoadWork

POLL_SECONDS = 0.5

# Reads a unit's data from the output of pg_dump ahead of its restore, and tells whether all of it
# is read. Otherwise the rest is read when the unit is restored, and the next one waits for that.
ReadAhead = Callable[[Unit], bool]


def _nothing_in_order(unit: Unit) -> bool:
    return True


def load_parallel(
    toc: Toc,
    passes: Passes,
    feed: Feed,
    database: Database,
    loading: Loading,
    *,
    read_ahead: ReadAhead = _nothing_in_order,
    work: LoadWork,
    analysis: Analysis | None,
    cancellation: Cancellation,
) -> None:
    """Restore an archive into an empty database, by as many sessions as there are jobs.

    :param passes: the entries of the archive.
    :param feed: writes the data of an entry; called in threads.
    :param read_ahead: reads of the data of a unit what comes in order; by default nothing does.
    :param analysis: analyzes what the passes say; ``None`` if they say nothing.
    :param work: is told what is worked on.
    :param cancellation: cancelled when a unit fails, so that the others end.
    :raises RestoreError: at the first error that is not harmless.
    :raises PgCloneError: the error of ``feed``.
    """
    of_each_run, logged = entries_of_each_run(toc), set[str]()
    with Sessions(loading.database(database), cancellation) as sessions:

        def restore(unit: Unit) -> None:
            if analysis is not None and unit.tables:
                with sessions.lend() as session:
                    analysis.of(unit.tables, session)
            elif unit.is_plain:
                with sessions.lend() as session:
                    execute_entries(session, unit.entries, feed, work, setup=of_each_run)
            else:
                load_entries(
                    *(toc, [*of_each_run, *unit.entries], feed, database, loading),
                    work=work,
                    logged=logged,
                    cancellation=cancellation,
                )

        load_units(
            *(passes, restore),
            read_ahead=read_ahead,
            sessions=loading.jobs,
            cancellation=cancellation,
        )
    work.finish()


def load_units(
    passes: Passes,
    restore: Callable[[Unit], None],
    *,
    read_ahead: ReadAhead = _nothing_in_order,
    sessions: int,
    cancellation: Cancellation,
) -> None:
    """Restore the units of each pass, as many at once as there are sessions.

    :param restore: restores one unit; called in threads.
    :param read_ahead: called before, in threads too.
    :param cancellation: cancelled when a unit fails or this thread is interrupted, so that the
        others end.
    :raises PgCloneError: the first error of ``restore`` or ``read_ahead``.
    """
    for units in passes:
        queue = _Queue(units, cancellation)

        def work(queue: _Queue = queue) -> None:
            try:
                while (unit := queue.take()) is not None:
                    if read_ahead(unit):
                        queue.note_read(unit)
                    restore(unit)
                    queue.finish(unit)
            except BaseException as error:  # noqa: BLE001  # raised below
                queue.fail(error)

        workers = min(sessions, len(units))
        # Not in this thread: a child ends with the thread that started it, and a pass may follow.
        pool = ThreadPoolExecutor(workers, thread_name_prefix="restore")
        try:
            running = {pool.submit(work) for _ in range(workers)}
            while running := wait(running, POLL_SECONDS).not_done:
                if cancellation.requested:
                    cancellation.cancel()  # of what began at the moment of the first
        except BaseException:  # a signal handler raised it, such as that of a task's timeout
            cancellation.cancel()
            raise
        finally:
            pool.shutdown(wait=False)
        queue.raise_failure()


class _Queue:
    """The units of a pass, for several threads."""

    def __init__(self, units: Sequence[Unit], cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._changed = threading.Condition()
        self._turns = Turns(units)
        self._failure: BaseException | None = None

    def take(self) -> Unit | None:
        """Return the costliest unit that can run; wait for one, and return ``None`` at the end."""
        with self._changed:
            while self._turns.left and self._failure is None:
                self._cancellation.check()
                unit = self._turns.take()
                if unit is not None:
                    return unit
                if not self._turns.running:  # the division was wrong: this wait would never end
                    raise RuntimeError(f"{self._turns.left} units wait for each other")
                self._changed.wait(POLL_SECONDS)
            return None

    def note_read(self, unit: Unit) -> None:
        with self._changed:
            if self._turns.note_read(unit):
                self._changed.notify_all()

    def finish(self, unit: Unit) -> None:
        with self._changed:
            self._turns.finish(unit)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            is_first = self._failure is None
            self._failure = self._failure or error
            self._changed.notify_all()
        if is_first:
            self._cancellation.cancel()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._cancellation.check()
