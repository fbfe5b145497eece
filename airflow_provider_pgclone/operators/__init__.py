"""The operators of this provider: one a verb, and one that publishes a catalogue for the UI."""

from airflow_provider_pgclone.operators.copy import PgCloneCopyOperator
from airflow_provider_pgclone.operators.dump import PgCloneDumpOperator
from airflow_provider_pgclone.operators.list import PgCloneListOperator
from airflow_provider_pgclone.operators.prune import PgClonePruneOperator
from airflow_provider_pgclone.operators.publish_catalog import PgClonePublishCatalogOperator
from airflow_provider_pgclone.operators.restore import PgCloneRestoreOperator
from airflow_provider_pgclone.operators.swap import PgCloneSwapOperator
from airflow_provider_pgclone.operators.verify import PgCloneVerifyOperator

__all__ = [
    "PgCloneCopyOperator",
    "PgCloneDumpOperator",
    "PgCloneListOperator",
    "PgClonePruneOperator",
    "PgClonePublishCatalogOperator",
    "PgCloneRestoreOperator",
    "PgCloneSwapOperator",
    "PgCloneVerifyOperator",
]
