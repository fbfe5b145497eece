"""The dumps in a storage location: their keys, archives and verdicts, and which of them are kept.

This is the only place that knows how dumps are named and where their records are.
Nothing here connects to PostgreSQL.
"""

from airflow_provider_pgclone.core.repository.choices import (
    Choice,
    Wanted,
    check_choice,
    list_choices,
)
from airflow_provider_pgclone.core.repository.cleanup import (
    delete_dumps,
    delete_orphans,
    find_expired,
    log_preview,
    remove_uploads,
)
from airflow_provider_pgclone.core.repository.details import DumpDetails, read_details
from airflow_provider_pgclone.core.repository.dumps import (
    Dump,
    list_files,
    list_parts,
    newest_dumps,
)
from airflow_provider_pgclone.core.repository.findings import Record, remove_record, write_record
from airflow_provider_pgclone.core.repository.keys import NO_CONFIG, DumpKey, KeyPrefix
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.repository.requirements import (
    check_data,
    check_masked,
    check_required,
    check_signed,
    is_dump_masked,
    log_left_out,
)
from airflow_provider_pgclone.core.repository.retention import Retention
from airflow_provider_pgclone.core.repository.stored_archive import (
    OUR_MARK,
    Archive,
    check_bytes,
    naming,
    open_archive,
)
from airflow_provider_pgclone.core.repository.summaries import (
    DumpSummary,
    read_summaries,
)

__all__ = [
    "NO_CONFIG",
    "OUR_MARK",
    "Archive",
    "Choice",
    "Dump",
    "DumpDetails",
    "DumpKey",
    "DumpSummary",
    "KeyPrefix",
    "Record",
    "Retention",
    "Wanted",
    "check_bytes",
    "check_choice",
    "check_data",
    "check_masked",
    "check_required",
    "check_signed",
    "delete_dumps",
    "delete_orphans",
    "find_dump",
    "find_expired",
    "is_dump_masked",
    "list_choices",
    "list_files",
    "list_parts",
    "log_left_out",
    "log_preview",
    "naming",
    "newest_dumps",
    "open_archive",
    "read_details",
    "read_summaries",
    "remove_record",
    "remove_uploads",
    "write_record",
]
