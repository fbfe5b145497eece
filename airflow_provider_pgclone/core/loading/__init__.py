"""Loads an empty database, from an archive or directly from another database.

Which entries are executed side by side, where their data is fetched from, and what is analyzed
meanwhile. How an entry is executed is not known here; see executing. Creating, swapping and
dropping the database is elsewhere too; see replacing.
"""

from airflow_provider_pgclone.core.loading.from_archive import load_archive
from airflow_provider_pgclone.core.loading.from_database import load_database
from airflow_provider_pgclone.core.loading.statistics import Analysis

__all__ = [
    "Analysis",
    "load_archive",
    "load_database",
]
