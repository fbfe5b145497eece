"""Watches a database while it is loaded: what is worked on, and how far the server is.

What an entry of an archive costs is estimated here. Nothing here loads, orders or changes anything.
"""

from airflow_provider_pgclone.core.watching.watch import watching
from airflow_provider_pgclone.core.watching.work import (
    LoadWork,
    RunWork,
    analyze_work,
    expect_analyze,
    expect_check,
    limit_of_load,
    table_sizes,
)

__all__ = [
    "LoadWork",
    "RunWork",
    "analyze_work",
    "expect_analyze",
    "expect_check",
    "limit_of_load",
    "table_sizes",
    "watching",
]
