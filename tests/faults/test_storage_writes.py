"""Storage that fails while a dump is written: it is whole in the end, or it is not there."""

import pytest

from airflow_provider_pgclone.core.errors import PgCloneError, StorageError
from tests.support.fixtures.faulty_storage import Broken, Stage, breaks
from tests.support.services import storage_faults as faults

PASSING = {
    "a part is refused twice": Broken(faults.part, faults.slow_down, first=2, times=2),
    "a part is cut off": Broken(faults.part, faults.cut_in_request, first=2, times=1),
    "a part stalls": Broken(faults.part, faults.stalled, first=2, times=1),
    "the answer to a part is lost": Broken(faults.part, faults.answer_lost, times=1),
    "the beginning is refused twice": Broken(faults.beginning, faults.slow_down, times=2),
    "the answer to the beginning is lost": Broken(faults.beginning, faults.answer_lost, times=1),
    "the completion fails": Broken(faults.completion, faults.internal_error, times=2),
    "the completion fails after its 200": Broken(
        faults.completion, faults.error_in_success, times=1
    ),
    "the answer to the completion is lost": Broken(faults.completion, faults.answer_lost, times=1),
    "the answer to the completion is cut": Broken(faults.completion, faults.cut_in_answer, times=1),
    "all answers to the completion are lost": Broken(faults.completion, faults.answer_lost),
    "a listing is refused twice": Broken(faults.listing, faults.slow_down, times=2),
    "a listing is cut off": Broken(faults.listing, faults.cut_in_answer, times=1),
}
LASTING = {
    "parts are refused": Broken(faults.part, faults.slow_down, first=2),
    "parts fail": Broken(faults.part, faults.internal_error, first=2),
    "parts are forbidden": Broken(faults.part, faults.access_denied),
    "parts are cut off": Broken(faults.part, faults.cut_in_request, first=2),
    "parts stall": Broken(faults.part, faults.stalled, first=2),
    "the beginning is forbidden": Broken(faults.beginning, faults.access_denied),
    "the completion fails": Broken(faults.completion, faults.internal_error),
    "the completion fails after its 200": Broken(faults.completion, faults.error_in_success),
    "the completion is forbidden": Broken(faults.completion, faults.access_denied),
    "the completion stalls": Broken(faults.completion, faults.stalled),
    "all is forbidden": Broken(faults.anything, faults.access_denied),
    "listings are no listings": Broken(faults.listing, faults.short_answer),
}
QUICK = ("the answer to the completion is cut", "parts fail")


@pytest.mark.long
def test_a_proxy_that_breaks_nothing_is_not_noticed(stage: Stage) -> None:
    key = stage.hook(stage.source).dump()
    assert stage.hook(stage.source).verify(key) == key
    assert any(map(faults.part, stage.proxy.log))
    stage.check_nothing_is_half_done()


@breaks(PASSING, quick=QUICK)
def test_a_dump_outlives_a_fault_that_passes(broken: Broken, stage: Stage) -> None:
    rule = broken.break_in(stage.proxy)
    key = stage.hook(stage.source).dump()
    assert rule.hits
    stage.check_nothing_is_half_done()
    assert [dump.key for dump in stage.sound_hook(stage.source).ls()] == [key]


@breaks(LASTING, quick=QUICK)
def test_a_dump_that_storage_refuses_is_not_there(broken: Broken, stage: Stage) -> None:
    rule = broken.break_in(stage.proxy)
    with pytest.raises(StorageError) as raised:
        stage.hook(stage.source).dump()
    assert rule.hits
    stage.check_error(raised.value)
    stage.check_nothing_is_listed()


@pytest.mark.long
@pytest.mark.parametrize(
    "broken",
    [
        Broken(faults.part, faults.gone, first=2),
        # After two listings and the beginning of the upload.
        Broken(faults.anything, faults.stalled, first=4),
    ],
    ids=["gone", "mute"],
)
def test_storage_that_is_gone_in_the_middle_has_parts_and_no_dump(
    broken: Broken, stage: Stage
) -> None:
    broken.break_in(stage.proxy)
    with pytest.raises(StorageError) as raised:
        stage.hook(stage.source).dump()
    stage.check_error(raised.value)
    # Nobody could tell storage that the upload was given up.
    assert len(stage.uploads()) == 1
    stage.discard_uploads()
    stage.check_nothing_is_listed()


@pytest.mark.long
def test_a_lost_abort_is_sent_again(stage: Stage) -> None:
    stage.proxy.break_on(faults.part, faults.access_denied, first=2)
    lost = stage.proxy.break_on(faults.abort, faults.ignored, times=1)
    with pytest.raises(StorageError):
        stage.hook(stage.source).dump()
    assert lost.hits
    stage.check_nothing_is_listed()


@pytest.mark.long
def test_aborts_that_are_all_lost_leave_parts_and_no_dump(stage: Stage) -> None:
    stage.proxy.break_on(faults.part, faults.access_denied, first=2)
    stage.proxy.break_on(faults.abort, faults.ignored)
    with pytest.raises(PgCloneError) as raised:
        stage.hook(stage.source).dump()
    stage.check_error(raised.value)
    assert len(stage.uploads()) == 1
    stage.discard_uploads()
    stage.check_nothing_is_listed()
