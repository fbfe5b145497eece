"""What is told of a running verb."""

import threading

import pytest

from airflow_provider_pgclone.core import meter as meter_module
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.meter import READERS, ProgressMeter, Sight, Task
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.time_spent import TimeSpent, limit_of, spread

FOREVER = 3600.0


def test_a_restore_tells_its_share_rate_and_remaining_time() -> None:
    progress = Progress(
        bytes_done=30 * 1024 * 1024,
        bytes_total=120 * 1024 * 1024,
        rows_done=1_500_000,
        rows_total=6_000_000,
        share_done=0.25,
        elapsed_seconds=10,
    )
    assert progress.eta_seconds == 30
    assert progress.bytes_per_second == 3 * 1024 * 1024
    assert str(progress) == (
        "30.0 MiB of 120.0 MiB, 3.0 MiB/s, 1,500,000 of 6,000,000 rows, 25%, 30 s left"
    )


def test_the_phase_comes_first_and_bytes_are_told_only_while_they_come() -> None:
    building = "building index orders_total_idx on shop.orders, 43%"
    progress = Progress(2048, 2048, 9, 9, 0.5, 60, "indexes", building, 0.2, 40)
    assert str(progress) == f"indexes 20%: {building}, 50% of all, 40 s left"


def test_what_is_not_known_is_not_told() -> None:
    progress = Progress(2048, None, 0, None, None, 2.0)
    assert progress.eta_seconds is None
    assert str(progress) == "2.0 KiB, 1.0 KiB/s"
    unsure = Progress(0, None, 0, None, 0.5, 60, is_predictable=False)
    assert unsure.eta_seconds is None


class Meter(ProgressMeter):
    """A meter that reports when the test says so."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        super().__init__(self.told.append, interval_seconds=FOREVER)

    def now(self) -> Progress:
        self.report()
        return self.told[-1]


def test_the_share_is_that_of_all_phases_and_whole_only_at_the_end() -> None:
    meter = Meter()
    with meter.reporting(Cancellation()):
        meter.expect("load", 100)
        meter.expect("indexes", 60)
        meter.expect("swap", 40)
        meter.enter("load")
        meter.add(7, rows=3, work=50)
        progress = meter.now()
        assert (progress.bytes_done, progress.rows_done) == (7, 3)
        assert (progress.share_done, progress.phase_share) == (0.25, 0.5)
        meter.add(work=50)
        meter.enter("indexes")
        meter.begin("a", Task("indexes", "building a", 60))
        meter.see({"a": Sight(0.5)})
        progress = meter.now()
        assert (progress.share_done, progress.phase_share) == (0.65, 0.5)
        assert progress.working_on == "building a, 50%"
        meter.see({"a": Sight(0.2)})  # another step of the same index
        assert meter.now().share_done == 0.65
        meter.end("a")
        assert meter.now().share_done == 0.8
        meter.complete("swap")
        assert meter.now().share_done == 0.99
    assert (meter.told[-1].phase, meter.told[-1].share_done) == ("done", 1.0)
    assert list(meter.seconds()) == ["start", "load", "indexes", "done"]


def test_work_that_cannot_be_measured_has_no_share_of_all() -> None:
    meter = Meter()
    meter.expect("load", 100)
    meter.is_planned = False
    meter.enter("load")
    meter.add(work=50)
    progress = meter.now()
    assert (progress.share_done, progress.phase_share, progress.eta_seconds) == (None, 0.5, None)


def test_many_tasks_are_told_in_one_line() -> None:
    meter = Meter()
    for name in "abcd":
        meter.begin(name, Task("load", f"loading {name}"))
    meter.see({"b": Sight(None, "the lock that session 7 holds")})
    assert meter.now().working_on == (
        "loading a; loading b, waiting for the lock that session 7 holds and 2 more"
    )


def test_lines_come_at_intervals_although_nothing_moves() -> None:
    again = threading.Semaphore(0)
    meter = ProgressMeter(lambda _: again.release(), interval_seconds=0.01)
    with meter.reporting(Cancellation()):
        assert all(again.acquire(timeout=10) for _ in range(3))
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_callback_that_fails_in_its_thread_cancels_the_block() -> None:
    cancelled = threading.Event()
    cancellation = Cancellation()

    def fail(progress: Progress) -> None:
        raise ZeroDivisionError

    meter = ProgressMeter(fail, interval_seconds=0.01)

    def work() -> None:
        with cancellation.ending(cancelled.set), meter.reporting(cancellation):
            assert cancelled.wait(10)
            cancellation.check()

    with pytest.raises(ZeroDivisionError):
        work()


def test_the_time_of_an_inner_step_is_not_that_of_the_outer_one() -> None:
    spent = TimeSpent()
    with spent.on("target"):
        assert list(spent.each("storage", "ab")) == ["a", "b"]
        assert spent.stalled(0) == "target"
        assert spent.stalled(FOREVER) == ""
    assert set(spent.seconds()) == {"target", "storage"}
    assert spent.stalled(0) == ""


def test_what_readers_wait_for_is_told_for_who_waits_for_them() -> None:
    texts: list[str] = []
    meter = ProgressMeter(lambda one: texts.append(one.working_on), interval_seconds=0)
    meter.work_on("writing shop.orders")
    with meter.time_spent.on(READERS), meter.readers_time.on("source"):
        meter.report()
        meter.work_on("")
        meter.report()
    assert texts == ["writing shop.orders, waiting for source", "waiting for source"]


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        ({"source": 6.0, "storage": 3.0}, "source"),
        ({"source": 3.0, "storage": 3.0, "target": 3.0}, None),
        ({"source": 0.1}, None),
        ({}, None),
    ],
)
def test_the_limit_is_what_took_most_of_the_time(
    seconds: dict[str, float], limit: str | None
) -> None:
    assert limit_of(seconds) == limit


def test_seconds_are_spread_in_proportion() -> None:
    assert spread(10, {"a": 1, "b": 3}) == {"a": 2.5, "b": 7.5}
    assert spread(10, {}) == {}


def test_a_callback_that_does_not_return_does_not_hold_up_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meter_module, "_CALLBACK_SECONDS", 0.01)
    hangs, goes_on = threading.Event(), threading.Event()
    told: list[Progress] = []

    def hang(progress: Progress) -> None:
        told.append(progress)
        hangs.set()
        assert goes_on.wait(10)

    meter = ProgressMeter(hang, interval_seconds=0.01)
    with meter.reporting(Cancellation()):
        assert hangs.wait(10)
        meter.enter("load")
        meter.enter("check")
    assert [one.phase for one in told] == ["start"]
    goes_on.set()
    for thread in threading.enumerate():
        if thread.name == "progress":
            thread.join(10)
