"""Rows out of a live database: a snapshot, pg_dump, and ranges of pages by psql."""

from airflow_provider_pgclone.core.reading.checksums import lock_checksummed, take_checksums
from airflow_provider_pgclone.core.reading.page_ranges import add_ranges
from airflow_provider_pgclone.core.reading.parallel import reading_ranges
from airflow_provider_pgclone.core.reading.pg_dump import Skeleton, open_skeleton
from airflow_provider_pgclone.core.reading.psql import CopySession, RangeReader, open_copy_session
from airflow_provider_pgclone.core.reading.snapshot import Snapshot, open_snapshot

__all__ = [
    "CopySession",
    "RangeReader",
    "Skeleton",
    "Snapshot",
    "add_ranges",
    "lock_checksummed",
    "open_copy_session",
    "open_skeleton",
    "open_snapshot",
    "reading_ranges",
    "take_checksums",
]
