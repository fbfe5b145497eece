"""What a DAG reads of the asset events of dumps.

A dump puts its key into the event of each Asset in its ``outlets``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# The extra of an asset event that holds the key of the dump.
DUMP_KEY = "dump_key"


def newest_dump_key(triggering_asset_events: Mapping[Any, Sequence[Any]], asset: Any) -> str | None:
    """Return the key of the newest dump among the events that triggered a run.

    Airflow gives a run all events that have waited for it, in no order. So it is the keys that
    tell which dump is the newest.

    :param triggering_asset_events: the value of that name in the context of a task.
    :param asset: an Asset in the ``outlets`` of the dump, or an alias of it.
    :return: ``None`` if no event has a key, as in a run by hand.
    :raises InvalidInputError: when an event has something else than a dump key.
    """
    from airflow_provider_pgclone.core.repository import DumpKey  # which loads the storages

    extras = [event.extra or {} for event in triggering_asset_events.get(asset, ())]
    keys = [DumpKey.parse(extra[DUMP_KEY]) for extra in extras if DUMP_KEY in extra]
    return str(max(keys)) if keys else None
