"""Reads a live database: takes a snapshot, runs pg_dump, and reads tables in page ranges.

Everything that reads the rows of the source for a dump or a copy belongs here. Where the rows go
does not: writing archives is in the verbs and in archive, loading another database in loading.
"""

from airflow_provider_pgclone.core.reading.binary_format import binary_tables
from airflow_provider_pgclone.core.reading.checksums import lock_checksummed, take_checksums
from airflow_provider_pgclone.core.reading.index_sizes import index_sizes
from airflow_provider_pgclone.core.reading.page_ranges import RangeEntry, add_ranges, part_size
from airflow_provider_pgclone.core.reading.parallel import reading_ranges
from airflow_provider_pgclone.core.reading.pg_dump import Skeleton, open_skeleton
from airflow_provider_pgclone.core.reading.psql import RangeReader, open_range_reader
from airflow_provider_pgclone.core.reading.snapshot import Snapshot, open_snapshot

__all__ = [
    "RangeEntry",
    "RangeReader",
    "Skeleton",
    "Snapshot",
    "add_ranges",
    "binary_tables",
    "index_sizes",
    "lock_checksummed",
    "open_range_reader",
    "open_skeleton",
    "open_snapshot",
    "part_size",
    "reading_ranges",
    "take_checksums",
]
