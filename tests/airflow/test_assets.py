"""Which dump a run takes that asset events have triggered."""

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.api.datamodels._generated import AssetEventDagRunReference
from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

from airflow_provider_pgclone.assets import newest_dump_key
from airflow_provider_pgclone.core.errors import InvalidInputError

DUMPS = Asset("dumps")
OTHERS = Asset("others")
OLDEST, MIDDLE, NEWEST, OF_OTHERS = (
    f"prod/shop/none/2026-11-{day}-02-00-00-000000.dump" for day in (11, 12, 13, 14)
)


def events(*given: tuple[Asset, dict[str, Any]]) -> TriggeringAssetEventsAccessor:
    """Return events as a task gets them from Airflow, in the order given."""
    now = datetime.now(UTC).isoformat()
    references = [
        AssetEventDagRunReference.model_validate(
            {
                "asset": {"name": asset.name, "uri": asset.uri, "extra": {}},
                "extra": extra,
                "source_task_id": None,
                "source_dag_id": None,
                "source_run_id": None,
                "source_map_index": None,
                "source_aliases": [],
                "timestamp": now,
            }
        )
        for asset, extra in given
    ]
    read = AssetEventDagRunReferenceResult.from_asset_event_dag_run_reference
    return TriggeringAssetEventsAccessor.build(read(one) for one in references)


@pytest.mark.parametrize(
    "order", [(OLDEST, MIDDLE, NEWEST), (NEWEST, OLDEST, MIDDLE), (MIDDLE, NEWEST, OLDEST)]
)
def test_the_newest_dump_is_taken_in_whatever_order_its_events_come(order: tuple[str]) -> None:
    triggering = events(
        *((DUMPS, {"dump_key": key}) for key in order), (OTHERS, {"dump_key": OF_OTHERS})
    )
    assert newest_dump_key(triggering, DUMPS) == NEWEST


def test_events_without_a_dump_are_left_out() -> None:
    """Somebody may make an event of the Asset by hand."""
    assert newest_dump_key(events((DUMPS, {}), (DUMPS, {"dump_key": OLDEST})), DUMPS) == OLDEST
    assert newest_dump_key(events((DUMPS, {})), DUMPS) is None
    assert newest_dump_key(events(), DUMPS) is None


def test_what_is_no_dump_key_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'prod/shop' is not a dump key"):
        newest_dump_key(events((DUMPS, {"dump_key": "prod/shop"})), DUMPS)
