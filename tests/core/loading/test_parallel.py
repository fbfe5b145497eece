"""How several sessions restore units: in which order, and how a failure or a stop ends them."""

import signal
import threading
from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import CancelledError, RestoreError
from airflow_provider_pgclone.core.loading import parallel
from airflow_provider_pgclone.core.loading.parallel import load_units
from airflow_provider_pgclone.core.scheduling.locks import Lock
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.units import Passes

PATIENCE_SECONDS = 30
A_MOMENT_SECONDS = 0.2


class Restored:
    """Notes which units are restored, and fails if two run that must not run side by side."""

    def __init__(self, then: Callable[[Unit], object] = lambda unit: None) -> None:
        self._then = then
        self._lock = threading.Lock()
        self.started: list[int] = []
        self.running: dict[int, Unit] = {}

    def __call__(self, unit: Unit) -> None:
        with self._lock:
            assert not any(unit.conflicts_with(other) for other in self.running.values())
            self.started.append(unit.number)
            self.running[unit.number] = unit
        try:
            self._then(unit)
        finally:
            with self._lock:
                del self.running[unit.number]


def unit(number: int, *waits_for: int, cost: float = 0, lock: int | None = None) -> Unit:
    locks = {} if lock is None else {lock: Lock.ALTER}
    return Unit(number, (), frozenset(waits_for), cost=cost, locks=locks)


def load(passes: Passes, restore: Restored, sessions: int = 2) -> None:
    with Cancellation().own() as cancellation:
        load_units(passes, restore, sessions=sessions, cancellation=cancellation)


def test_the_costliest_unit_that_is_ready_starts_first() -> None:
    restore = Restored()
    load([[unit(0), unit(1, cost=5), unit(2, 0, cost=9), unit(3)]], restore, sessions=1)
    assert restore.started == [1, 0, 2, 3]


def test_as_many_units_run_at_once_as_there_are_sessions() -> None:
    together = threading.Barrier(3)
    load([[unit(0), unit(1), unit(2)]], Restored(lambda _: together.wait(PATIENCE_SECONDS)), 3)


def test_a_pass_waits_for_the_pass_before() -> None:
    second = threading.Event()

    def work(one: Unit) -> None:
        if one.number == 1:
            second.set()
        if one.number == 0:
            assert second.wait(PATIENCE_SECONDS)

    restore = Restored(work)
    load([[unit(0), unit(1)], [unit(2), unit(3)]], restore, sessions=4)
    assert sorted(restore.started[:2]) == [0, 1]


def test_units_whose_locks_conflict_do_not_run_side_by_side() -> None:
    load([[unit(number, lock=number % 3) for number in range(60)]], Restored(), sessions=8)


def test_a_unit_that_waits_for_a_lock_lets_another_one_start() -> None:
    other = threading.Event()

    def work(one: Unit) -> None:
        if one.number == 0:
            assert other.wait(PATIENCE_SECONDS)
        if one.number == 2:
            other.set()

    restore = Restored(work)
    load([[unit(0, cost=9, lock=7), unit(1, cost=8, lock=7), unit(2)]], restore)
    assert restore.started == [0, 2, 1]


@pytest.mark.parametrize("is_all_read", [True, False])
def test_a_unit_starts_when_the_data_before_its_own_is_read(
    is_all_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If not all is read ahead, the rest is when the unit is done."""
    if is_all_read:  # nothing but a notification wakes the second session
        monkeypatch.setattr(parallel, "POLL_SECONDS", 2 * PATIENCE_SECONDS)
    second = threading.Event()
    read: list[int] = []

    def read_ahead(one: Unit) -> bool:
        read.append(one.number)
        return is_all_read

    def work(one: Unit) -> None:
        if one.number == 1:
            second.set()
        elif is_all_read:
            assert second.wait(PATIENCE_SECONDS)
        else:
            assert not second.wait(A_MOMENT_SECONDS)

    units = [unit(0), Unit(1, (), reads_after=0)]
    with Cancellation().own() as cancellation:
        load_units(
            [units], Restored(work), read_ahead=read_ahead, sessions=2, cancellation=cancellation
        )
    assert read == [0, 1]


def test_a_failure_to_read_ahead_is_raised() -> None:
    def read_ahead(one: Unit) -> bool:
        raise RestoreError("boom")

    restore = Restored()
    with pytest.raises(RestoreError, match="boom"), Cancellation().own() as cancellation:
        load_units(
            [[unit(0)]], restore, read_ahead=read_ahead, sessions=2, cancellation=cancellation
        )
    assert restore.started == []


def test_a_failure_ends_the_others_and_is_raised() -> None:
    ended = threading.Event()
    together = threading.Barrier(2)
    with Cancellation().own() as cancellation, cancellation.ending(ended.set):

        def work(one: Unit) -> None:
            together.wait(PATIENCE_SECONDS)
            if one.number == 0:
                raise RestoreError("boom")
            assert ended.wait(PATIENCE_SECONDS)
            cancellation.check()

        restore = Restored(work)
        with pytest.raises(RestoreError, match="boom"):
            load_units(
                [[unit(0), unit(1), unit(2), unit(3, 0)], [unit(4)]],
                restore,
                sessions=2,
                cancellation=cancellation,
            )
    assert sorted(restore.started) == [0, 1]


def test_a_stop_is_raised_and_nothing_more_starts() -> None:
    asked = Cancellation()
    restore = Restored(lambda _: asked.cancel())
    with pytest.raises(CancelledError), asked.own() as cancellation:
        load_units([[unit(0), unit(1, 0)]], restore, sessions=2, cancellation=cancellation)
    assert restore.started == [0]


def test_what_begins_at_the_moment_of_a_stop_is_ended_too() -> None:
    asked, ended = Cancellation(), threading.Event()
    ends = iter([lambda: None, ended.set])  # the first one comes before the statement

    def end() -> None:
        next(ends, ended.set)()

    def work(one: Unit) -> None:
        with asked.ending(end):
            asked.cancel()
            assert ended.wait(PATIENCE_SECONDS)

    with pytest.raises(CancelledError):
        load_units([[unit(0)]], work, sessions=2, cancellation=asked)


class InterruptedByTestError(Exception):
    pass


def test_no_unit_starts_after_the_thread_that_waits_for_them_was_interrupted() -> None:
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        raise InterruptedByTestError

    def work(one: Unit) -> None:
        if one.number == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        assert interrupted.wait(PATIENCE_SECONDS)

    restore = Restored(work)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(InterruptedByTestError):
            load([[unit(number) for number in range(8)]], restore, sessions=2)
    finally:
        signal.signal(signal.SIGALRM, before)
        interrupted.set()
    for thread in threading.enumerate():
        if thread.name.startswith("restore"):
            thread.join(PATIENCE_SECONDS)
    assert len(restore.started) <= 2


def test_an_error_beside_the_restore_of_a_unit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(one: Unit) -> object:
        if one.number == 0:
            return -1.0, 0
        raise ValueError(f"unit {one.number} has no rank")

    monkeypatch.setattr(Unit, "rank", property(fail))
    with pytest.raises(ValueError, match="unit 1 has no rank"):
        load([[unit(0), unit(1, 0)]], Restored())


def test_units_that_would_wait_for_ever_are_told() -> None:
    units = [Unit(0, (), frozenset({1})), Unit(1, (), frozenset({0}))]
    with pytest.raises(RuntimeError, match="2 units wait for each other"):
        load_units([units], lambda unit: None, sessions=2, cancellation=Cancellation())
