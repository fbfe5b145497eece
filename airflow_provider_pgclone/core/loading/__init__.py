"""Rows into an empty database: pg_restore, its pipes, its messages and its schedule."""

from airflow_provider_pgclone.core.loading.from_archive import load_archive
from airflow_provider_pgclone.core.loading.from_database import load_database
from airflow_provider_pgclone.core.loading.settings import LoadOptions, loading_for
from airflow_provider_pgclone.core.loading.statistics import analyze

__all__ = [
    "LoadOptions",
    "analyze",
    "load_archive",
    "load_database",
    "loading_for",
]
