"""Storage that fails while a dump is read: the target has all of the dump, or is as it was."""

import pytest

from airflow_provider_pgclone.core.errors import StorageError
from tests.support.fixtures.faulty_storage import Broken, Stage, breaks
from tests.support.services import storage_faults as faults

PASSING = {
    "a read is refused twice": Broken(faults.read, faults.slow_down, first=2, times=2),
    "a read fails": Broken(faults.read, faults.internal_error, first=6, times=1),
    "the first read is cut off": Broken(faults.read, faults.cut_in_answer, times=1),
    "a read is cut off": Broken(faults.read, faults.cut_in_answer, first=6, times=1),
    "reads are cut off": Broken(faults.read, faults.cut_in_answer, first=5, times=3),
    "a read is not answered": Broken(faults.read, faults.cut_in_request, first=6, times=1),
    "a read stalls": Broken(faults.read, faults.stalled, first=6, times=1),
    "a listing is refused twice": Broken(faults.listing, faults.slow_down, times=2),
}
LASTING = {
    "reads are refused": Broken(faults.read, faults.slow_down, first=4),
    "reads fail": Broken(faults.read, faults.internal_error, first=5),
    "reads are forbidden": Broken(faults.read, faults.access_denied, first=6),
    "all reads are forbidden": Broken(faults.read, faults.access_denied),
    "reads are cut off": Broken(faults.read, faults.cut_in_answer, first=6),
    "reads are short": Broken(faults.read, faults.short_answer, first=6),
    "the end is short": Broken(faults.read, faults.short_answer),
    "reads stall": Broken(faults.read, faults.stalled, first=6),
    "all stalls": Broken(faults.anything, faults.stalled, first=4),
    "all is forbidden": Broken(faults.anything, faults.access_denied),
    "listings fail": Broken(faults.listing, faults.internal_error),
    "listings are no listings": Broken(faults.listing, faults.short_answer),
}
QUICK = ("a read is cut off", "reads are short")


@breaks(PASSING, quick=QUICK)
def test_a_restore_outlives_a_fault_that_passes(broken: Broken, stage: Stage) -> None:
    key = stage.dumped()
    rule = broken.break_in(stage.proxy)
    assert stage.hook(stage.target).restore("sound") == key
    assert rule.hits
    stage.check_target_is_restored()


@breaks(LASTING, quick=QUICK)
def test_a_restore_that_storage_refuses_leaves_the_target(broken: Broken, stage: Stage) -> None:
    stage.dumped()
    rule = broken.break_in(stage.proxy)
    with pytest.raises(StorageError) as raised:
        stage.hook(stage.target).restore("sound")
    assert rule.hits
    stage.check_error(raised.value)
    stage.check_target_is_as_it_was()


@pytest.mark.long
@breaks(PASSING, quick=PASSING)
def test_a_verification_outlives_a_fault_that_passes(broken: Broken, stage: Stage) -> None:
    key = stage.dumped()
    broken.break_in(stage.proxy)
    assert stage.hook(stage.source).verify("sound") == key


@pytest.mark.long
@breaks(LASTING, quick=LASTING)
def test_a_verification_that_storage_refuses_is_no_success(broken: Broken, stage: Stage) -> None:
    stage.dumped()
    broken.break_in(stage.proxy)
    with pytest.raises(StorageError) as raised:
        stage.hook(stage.source).verify("sound")
    stage.check_error(raised.value)
    # Nor is it a finding that the dump is damaged.
    assert [dump.finding for dump in stage.sound_hook(stage.source).ls()] == [None]
    stage.check_nothing_is_half_done()
