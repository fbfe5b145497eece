"""Decides what a dump reads of each table: its masked columns and its rows.

The way of a mask is ``request``, ``assignment``, ``row_filter`` and ``table_masks``; the checks of
``functions``, ``policy`` and ``trial`` may then refuse it, and ``plan`` runs all of these steps.
Nothing here writes anything or reads rows into the process. How a rule becomes SQL belongs to
``rules``.
"""

from airflow_provider_pgclone.core.masking.planning.plan import MaskPlan, plan_masking
from airflow_provider_pgclone.core.masking.planning.request import Masking

__all__ = [
    "MaskPlan",
    "Masking",
    "plan_masking",
]
