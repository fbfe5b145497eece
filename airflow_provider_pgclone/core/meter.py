"""Measures the progress of a verb over all its phases, and reports it at intervals."""

import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.progress import (
    Progress,
    ProgressCallback,
    format_bytes,
    format_count,
)
from airflow_provider_pgclone.core.time_spent import TimeSpent
from airflow_provider_pgclone.core.visible import get_log, visible_text

log = get_log(__name__)

REPORT_SECONDS = 10.0
# Until the end, since rounding must not show 100 % before.
_MOST_SHARE_BEFORE_END = 0.99
# How long the work waits for a callback that does not return.
_CALLBACK_SECONDS = 1.0
_TASKS_SHOWN = 2
# What is before them, such as the snapshot, tells nothing of the time that is left.
_FIRST_PHASES_OF_WORK = ("load", "data")
# The step of a thread that waits for those who read for it.
READERS = "readers"
# Threads that have waited for this long are told to wait.
_STALL_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """A piece of work that runs for a while, such as the building of an index.

    :param text: what is done, such as ``building index orders_total_idx on shop.orders``.
    :param work: how much it is, in the unit of its phase.
    :param statement: the statement of its session, by which the server's views are matched to it.
    """

    phase: str
    text: str
    work: float = 0.0
    statement: str = ""


@dataclass(frozen=True)
class Sight:
    """What the server tells of a running task.

    :param share: from 0 to 1, ``None`` if the server does not tell it.
    :param waits_for: what its session waits for, if not for the server itself.
    """

    share: float | None = None
    waits_for: str = ""


class ProgressMeter:
    """Counts what is done, in any thread, and reports it at intervals and at each phase.

    The callback is never called by two threads at once.

    :param callback: called with each report.
    :param interval_seconds: the time between two reports.
    :param first_phase: the phase in which it starts.
    """

    def __init__(
        self,
        callback: ProgressCallback,
        *,
        interval_seconds: float = REPORT_SECONDS,
        first_phase: str = "start",
    ) -> None:
        self._callback = callback
        self.interval_seconds = interval_seconds
        self.bytes_total: int | None = None
        self.rows_total: int | None = None
        # The number of tables, for the summary.
        self.tables = 0
        # Whether all work is known beforehand, so that a share of it means something.
        self.is_planned = True
        # What the threads that move rows spend their time on.
        self.time_spent = TimeSpent()
        # The same of threads for which one of these waits, in the step READERS.
        self.readers_time = TimeSpent()
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._started = self._entered = self._moved = time.monotonic()
        self._working_since: float | None = None
        self._phase, self._working_on = first_phase, ""
        self._seconds: dict[str, float] = {}
        self._bytes_done = self._rows_done = 0
        self._expected: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._running: dict[Hashable, Task] = {}
        self._sights: Mapping[Hashable, Sight] = {}
        self._share = 0.0
        self._failure: BaseException | None = None

    def expect(self, phase: str, work: float) -> None:
        """Add to the work of a phase, in a unit that all phases share."""
        with self._lock:
            self._expected[phase] = self._expected.get(phase, 0.0) + work

    def enter(self, phase: str, working_on: str = "") -> None:
        """Start a phase, and report it in this thread."""
        self.move_to(phase, working_on)
        self.report()

    def move_to(self, phase: str, working_on: str = "") -> None:
        """Start a phase, if it is another than the present one."""
        with self._lock:
            self._working_on = visible_text(working_on)
            if phase != self._phase:
                self._close_phase(time.monotonic())
                self._phase = phase
            if phase in _FIRST_PHASES_OF_WORK and self._working_since is None:
                self._working_since = time.monotonic()

    def work_on(self, text: str) -> None:
        """Tell what is done now, if that is not a :class:`Task`."""
        self._working_on = visible_text(text)

    def add(
        self, byte_count: int = 0, *, rows: int = 0, work: float = 0.0, phase: str = "load"
    ) -> None:
        """Count what was done since the last call."""
        with self._lock:
            self._bytes_done += byte_count
            self._rows_done += rows
            self._done[phase] = self._done.get(phase, 0.0) + work
            self._moved = time.monotonic()

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass chunks on and count their bytes."""
        for chunk in chunks:
            self.add(len(chunk))
            yield chunk

    def counted_work(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass pieces on and count their bytes as the work of loading."""
        for piece in pieces:
            self.add(work=len(piece))
            yield piece

    def begin(self, key: Hashable, task: Task) -> None:
        with self._lock:
            self._running[key] = task

    def end(self, key: Hashable) -> None:
        """Count a task as done; does nothing if it does not run."""
        with self._lock:
            task = self._running.pop(key, None)
            if task is not None:
                self._done[task.phase] = self._done.get(task.phase, 0.0) + task.work
                self._moved = time.monotonic()

    def complete(self, *phases: str) -> None:
        """Count all work of phases as done, whatever was told of it."""
        with self._lock:
            for key, task in list(self._running.items()):
                if task.phase in phases:
                    del self._running[key]
            for phase in phases:
                self._done[phase] = self._expected.get(phase, 0.0)

    @contextmanager
    def task(self, key: Hashable, task: Task) -> Iterator[None]:
        """Count the block as a task."""
        self.begin(key, task)
        try:
            yield
        finally:
            self.end(key)

    def running(self) -> dict[Hashable, Task]:
        """Return the tasks that run now."""
        with self._lock:
            return dict(self._running)

    def see(self, sights: Mapping[Hashable, Sight]) -> None:
        """Keep what the server tells of the running tasks."""
        with self._lock:
            if sights != self._sights and any(one.share is not None for one in sights.values()):
                self._moved = time.monotonic()
            self._sights = sights

    def report(self) -> None:
        """Call the callback, unless it does not return from an earlier call."""
        if not self._telling.acquire(timeout=_CALLBACK_SECONDS):
            return
        try:
            with self._lock:
                progress = self._progress(time.monotonic())
            self._callback(progress)
        finally:
            self._telling.release()

    @contextmanager
    def reporting(self, cancellation: Cancellation) -> Iterator[None]:
        """Report at each interval while the block runs, and its end if it is whole.

        An exception of the callback ends the block, by the cancellation.
        """
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(self.interval_seconds):
                try:
                    self.report()
                except BaseException as error:  # noqa: BLE001  # the block raises it
                    self._failure = error
                    cancellation.cancel()
                    return

        thread = threading.Thread(target=run, name="progress", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            stop.set()
            thread.join(_CALLBACK_SECONDS)
        self._finish()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase so far, in the order of the phases."""
        with self._lock:
            now = time.monotonic()
            present = self._seconds.get(self._phase, 0.0) + now - self._entered
            return {**self._seconds, self._phase: present}

    def summary(self, title: str, *, limit: str | None) -> str:
        """Return a table of what was done, and of the seconds that each phase took.

        :param title: what was done.
        :param limit: what most of the time went to; ``None`` if that cannot be told.
        """
        seconds = {name: value for name, value in self.seconds().items() if name != "done"}
        total = sum(seconds.values())
        size = f", {format_bytes(self._bytes_done)}" if self._bytes_done else ""
        counts = f"{format_count(self.tables, 'table')}, {format_count(self._rows_done, 'row')}"
        lines = [f"{title}: {counts}{size}, {total:.1f} s"]
        for name, value in seconds.items():
            lines.append(f"  {name:<12}{value:>10.1f} s {value / total if total else 0:>5.0%}")
        lines.append(f"  limited by  {limit or 'nothing alone'}")
        return "\n".join(lines)

    def _finish(self) -> None:
        """Report the whole. All is done, so an exception of the callback does not undo it."""
        self.move_to("done")
        with self._lock:
            self._running, self._sights = {}, {}
        error = self._failure
        if error is None:
            try:
                self.report()
            except Exception as raised:  # noqa: BLE001
                error = raised
        if error is not None:
            log.warning("the progress callback failed when all was done: %r", error)

    def _close_phase(self, now: float) -> None:
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._entered
        self._entered = now

    def _progress(self, now: float) -> Progress:
        share, since = self._share_of_all(), self._working_since
        return Progress(
            bytes_done=self._bytes_done,
            bytes_total=self.bytes_total,
            rows_done=self._rows_done,
            rows_total=self.rows_total,
            share_done=share,
            elapsed_seconds=now - self._started,
            phase=self._phase,
            working_on=self._text(),
            phase_share=self._share_of(self._phase),
            working_seconds=0.0 if since is None else now - since,
            is_predictable=now - self._moved <= 2 * self.interval_seconds,
        )

    def _share_of_all(self) -> float | None:
        if self._phase == "done":
            return 1.0
        expected = sum(self._expected.values())
        if not self.is_planned or not expected:
            return None
        done = sum(self._work_done(phase) for phase in self._expected)
        # The server may tell less than before, when a task goes on to its next step.
        self._share = max(self._share, min(_MOST_SHARE_BEFORE_END, done / expected))
        return self._share

    def _share_of(self, phase: str) -> float | None:
        expected = self._expected.get(phase)
        return min(_MOST_SHARE_BEFORE_END, self._work_done(phase) / expected) if expected else None

    def _work_done(self, phase: str) -> float:
        """Return the work of a phase that is done, with the shares of running tasks."""
        running = sum(
            task.work * (self._sights[key].share or 0.0)
            for key, task in self._running.items()
            if task.phase == phase and key in self._sights
        )
        return min(self._done.get(phase, 0.0) + running, self._expected[phase])

    def _text(self) -> str:
        texts = [self._task_text(key, task) for key, task in self._running.items()]
        more = len(texts) - _TASKS_SHOWN
        shown = "; ".join(texts[:_TASKS_SHOWN]) or self._working_on
        seconds = min(_STALL_SECONDS, self.interval_seconds)
        waits = self.time_spent.stalled(seconds)
        if waits == READERS:
            waits = self.readers_time.stalled(seconds)
        others = f" and {more} more" if more > 0 else ""
        return ", ".join(filter(None, [f"{shown}{others}", waits and f"waiting for {waits}"]))

    def _task_text(self, key: Hashable, task: Task) -> str:
        sight = self._sights.get(key, Sight())
        share = "" if sight.share is None else f", {sight.share:.0%}"
        waits = f", waiting for {sight.waits_for}" if sight.waits_for else ""
        return f"{visible_text(task.text)}{share}{waits}"
