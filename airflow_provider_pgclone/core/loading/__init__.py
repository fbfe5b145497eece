"""Loads an empty database, from an archive or directly from another database.

Which entries are executed side by side, where their data is fetched from, and what is analyzed
meanwhile. How an entry is executed is not known here; see executing. Creating, swapping and
dropping the database is elsewhere too; see replacing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.core.loading.from_archive import load_archive
from airflow_provider_pgclone.core.loading.statistics import Analysis

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.loading.from_database import load_database

__all__ = [
    "Analysis",
    "load_archive",
    "load_database",
]


if not TYPE_CHECKING:  # or mypy would take any name for one of this package

    def __getattr__(name: str) -> Any:
        """Import what loads from a database, and so all that reads and masks one, for copies."""
        if name != "load_database":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.from_database").load_database
