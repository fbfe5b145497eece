"""Checks that a database holds the rows of a dump: row counts, checksums and users' assertions.

These modules only read a database and compare it. Code that loads, repairs or drops a database does
not belong here, and neither does the SHA-256 of an archive's blocks.
"""

from airflow_provider_pgclone.core.checking.assertions import check_sql
from airflow_provider_pgclone.core.checking.checksums import (
    check_checksums,
    check_encoding,
    lock_tables,
    read_checksums,
)
from airflow_provider_pgclone.core.checking.rows import check_rows
from airflow_provider_pgclone.core.checking.tables import comparable, copied_tables

__all__ = [
    "check_checksums",
    "check_encoding",
    "check_rows",
    "check_sql",
    "comparable",
    "copied_tables",
    "lock_tables",
    "read_checksums",
]
