"""Storage that fails while it is listed: that is an error, and never a listing of nothing."""

import pytest

from airflow_provider_pgclone.core.errors import StorageError
from tests.support.fixtures.faulty_storage import Broken, Stage, breaks
from tests.support.services import storage_faults as faults

LISTINGS = {
    "forbidden": Broken(faults.listing, faults.access_denied),
    "failed": Broken(faults.listing, faults.internal_error),
    "refused": Broken(faults.listing, faults.slow_down),
    "cut off": Broken(faults.listing, faults.cut_in_answer),
    "short": Broken(faults.listing, faults.short_answer),
    "empty": Broken(faults.listing, faults.empty_answer),
    "an error after all": Broken(faults.listing, faults.error_in_success),
    "mute": Broken(faults.listing, faults.stalled),
    "gone": Broken(faults.listing, faults.gone),
}


@breaks(LISTINGS, quick=["empty"])
def test_a_listing_that_fails_is_no_empty_one(broken: Broken, stage: Stage) -> None:
    key = "sound/shop/none/2026-11-20-02-00-00-000000.dump"
    stage.put(key, b"x")
    hook = stage.hook(stage.source)
    assert [dump.key for dump in hook.ls()] == [key]
    broken.break_in(stage.proxy)
    for call in (hook.ls, lambda: hook.ls(what="instances"), lambda: hook.inspect("sound")):
        with pytest.raises(StorageError) as raised:
            call()
        stage.check_error(raised.value)
