"""The operators of this provider, one a verb."""

from airflow_provider_pgclone.operators.copy import PgCloneCopyOperator
from airflow_provider_pgclone.operators.dump import PgCloneDumpOperator
from airflow_provider_pgclone.operators.list import PgCloneListOperator
from airflow_provider_pgclone.operators.prune import PgClonePruneOperator
from airflow_provider_pgclone.operators.restore import PgCloneRestoreOperator
from airflow_provider_pgclone.operators.swap import PgCloneSwapOperator
from airflow_provider_pgclone.operators.verify import PgCloneVerifyOperator

__all__ = [
    "PgCloneCopyOperator",
    "PgCloneDumpOperator",
    "PgCloneListOperator",
    "PgClonePruneOperator",
    "PgCloneRestoreOperator",
    "PgCloneSwapOperator",
    "PgCloneVerifyOperator",
]
