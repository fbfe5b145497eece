"""Loads an empty database by pg_restore, from an archive or directly from another database.

Everything about a run of pg_restore belongs here: its arguments, its input, the order in which
it works, and its errors. Creating, swapping and dropping the database does not; see replacing.
"""

from airflow_provider_pgclone.core.loading.from_archive import load_archive
from airflow_provider_pgclone.core.loading.from_database import load_database
from airflow_provider_pgclone.core.loading.settings import LoadOptions, loading_for
from airflow_provider_pgclone.core.loading.statistics import Analysis

__all__ = [
    "Analysis",
    "LoadOptions",
    "load_archive",
    "load_database",
    "loading_for",
]
