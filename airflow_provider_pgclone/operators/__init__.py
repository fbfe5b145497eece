"""The operators of this provider: one a verb, and one that publishes a catalogue for the UI."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.copy import PgCloneCopyOperator
from airflow_provider_pgclone.operators.dump import PgCloneDumpOperator
from airflow_provider_pgclone.operators.list import PgCloneListOperator
from airflow_provider_pgclone.operators.prune import PgClonePruneOperator
from airflow_provider_pgclone.operators.publish_catalog import PgClonePublishCatalogOperator
from airflow_provider_pgclone.operators.restore import PgCloneRestoreOperator
from airflow_provider_pgclone.operators.swap import PgCloneSwapOperator
from airflow_provider_pgclone.operators.verify import PgCloneVerifyOperator

if TYPE_CHECKING:
    from airflow_provider_pgclone.operators.approve import PgCloneApproveSwapOperator
    from airflow_provider_pgclone.operators.pick import PgClonePickDumpOperator

__all__ = [
    "PgCloneApproveSwapOperator",
    "PgCloneCopyOperator",
    "PgCloneDumpOperator",
    "PgCloneListOperator",
    "PgClonePickDumpOperator",
    "PgClonePruneOperator",
    "PgClonePublishCatalogOperator",
    "PgCloneRestoreOperator",
    "PgCloneSwapOperator",
    "PgCloneVerifyOperator",
]
# These load Airflow's operators that ask a person, which most DAGs do without.
_LATE = {"PgCloneApproveSwapOperator": "approve", "PgClonePickDumpOperator": "pick"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
