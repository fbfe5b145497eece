"""Which rule each column gets, which rows are left out, and whether it all fits."""

from airflow_provider_pgclone.core.masking.planning.functions import check_readable_tables
from airflow_provider_pgclone.core.masking.planning.plan import MaskPlan, plan_masking
from airflow_provider_pgclone.core.masking.planning.request import Masking

__all__ = [
    "MaskPlan",
    "Masking",
    "check_readable_tables",
    "plan_masking",
]
