"""What is told of a running stream."""

from airflow_provider_pgclone.core.progress import Progress, ProgressMeter


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


def test_what_is_not_known_is_not_told() -> None:
    progress = Progress(2048, None, 0, None, None, 2.0)
    assert progress.eta_seconds is None
    assert str(progress) == "2.0 KiB, 1.0 KiB/s"


def test_the_callback_gets_what_was_counted() -> None:
    told: list[Progress] = []
    meter = ProgressMeter(told.append, bytes_total=100, rows_total=10, interval_seconds=0)
    meter.add(20)
    list(meter.counted(iter([b"12345", b"67890"])))
    meter.add(rows=4)
    assert [progress.bytes_done for progress in told] == [20, 25, 30, 30]
    assert told[-1].rows_done == 4
    assert told[-1].share_done == 0.3


def test_the_share_is_that_of_the_work_where_bytes_are_not_known_beforehand() -> None:
    told: list[Progress] = []
    meter = ProgressMeter(told.append, work_total=200)
    meter.add(5000, work=50)
    meter.finish()
    assert told[-1].share_done == 0.25


def test_calls_are_not_more_frequent_than_wanted() -> None:
    told: list[Progress] = []
    meter = ProgressMeter(told.append, interval_seconds=3600)
    for _ in range(1000):
        meter.add(1)
    assert not told
    meter.finish()
    assert [progress.bytes_done for progress in told] == [1000]
