"""Storage that never answers, and a call that is cancelled meanwhile: it ends all the same."""

import time
from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.errors import CancelledError
from airflow_provider_pgclone.core.storage import s3_store
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.faults.test_storage_damage import STOCK_KEY, stock_archive
from tests.support.fixtures.background import in_background
from tests.support.fixtures.faulty_storage import Broken, Stage, breaks
from tests.support.services import storage_faults as faults

# Airflow kills a task 5 s after it has told it to stop.
CANCEL_SECONDS = 6
# Past what is looked at first, and within the first read of all: nothing else is left to do then.
EARLY_BYTE = 600 * 1024


@pytest.fixture(autouse=True)
def patient(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time-out ends the stall."""
    monkeypatch.setattr(s3_store, "REQUEST_TIMEOUT", s3_store.RETRY_TIMEOUT * 100)


def cancel_in_stall(
    stage: Stage, broken: Broken, hook: PgCloneHook, call: Callable[[], object]
) -> None:
    rule = broken.break_in(stage.proxy)
    thread, raised = in_background(call)
    assert rule.reached.wait(60)
    started = time.monotonic()
    hook.cancel()
    thread.join(60)
    assert time.monotonic() - started < CANCEL_SECONDS
    assert [type(error) for error in raised] == [CancelledError]


DUMPS = {
    "parts": Broken(faults.part, faults.stalled, first=2),
    "the beginning": Broken(faults.beginning, faults.stalled),
    "the completion": Broken(faults.completion, faults.stalled),
}


@breaks(DUMPS, quick=["parts"])
def test_a_cancel_ends_a_dump_that_storage_does_not_answer(broken: Broken, stage: Stage) -> None:
    hook = stage.hook(stage.source)
    cancel_in_stall(stage, broken, hook, hook.dump)
    stage.check_nothing_is_listed()


@pytest.mark.long
def test_a_cancel_ends_a_dump_whose_parts_cannot_be_removed(stage: Stage) -> None:
    hook = stage.hook(stage.source)
    # After two listings and the beginning of the upload.
    cancel_in_stall(stage, Broken(faults.anything, faults.stalled, first=4), hook, hook.dump)
    stage.discard_uploads()
    stage.check_nothing_is_listed()


def test_a_cancel_ends_a_restore_that_storage_does_not_answer(stage: Stage) -> None:
    stage.dumped()
    hook = stage.hook(stage.target)
    broken = Broken(faults.read, faults.stalled, first=6)
    cancel_in_stall(stage, broken, hook, lambda: hook.restore("sound"))
    stage.check_target_is_as_it_was()


@pytest.mark.long
def test_a_cancel_ends_the_restore_of_a_stock_archive_that_storage_does_not_answer(
    stage: Stage,
) -> None:
    stage.put(STOCK_KEY, stock_archive(stage))
    hook = stage.hook(stage.target)
    broken = Broken(faults.read_of(EARLY_BYTE), faults.stalled)
    cancel_in_stall(stage, broken, hook, lambda: hook.restore("stock"))
    stage.discard_dump(STOCK_KEY)
    stage.check_target_is_as_it_was()


@pytest.mark.long
def test_a_cancel_ends_a_verification_that_storage_does_not_answer(stage: Stage) -> None:
    stage.dumped()
    hook = stage.hook(stage.source)
    broken = Broken(faults.read_of(EARLY_BYTE), faults.stalled)
    cancel_in_stall(stage, broken, hook, lambda: hook.verify("sound"))
    stage.check_nothing_is_half_done()
