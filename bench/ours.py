"""This package's verbs as commands: the core, without Airflow's start-up of some seconds."""

import math
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import boto3.session
import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.copy import StreamCopyOptions, copy_by_stream
from airflow_provider_pgclone.core.dump import DumpOptions, dump
from airflow_provider_pgclone.core.executing.settings import LoadOptions
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.rules.language import read_masks
from airflow_provider_pgclone.core.meter import REPORT_SECONDS
from airflow_provider_pgclone.core.postgres.database import Database
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.reading import page_ranges
from airflow_provider_pgclone.core.repository import DumpKey, find_dump, open_archive
from airflow_provider_pgclone.core.restore import RestoreOptions, restore
from airflow_provider_pgclone.core.storage import Storage, open_storage
from airflow_provider_pgclone.core.storage.s3_access import S3Access
from bench.commands import BUCKET

# Before each thing that a verb tells of itself at its end.
TOLD = "told "
# The most memory that this process had, in MiB.
PEAK = "peak MiB"
KEY, PARTS, ENTRIES, TOC_BYTES = "key", "parts", "entries", "bytes of the table of contents"
# In seconds, from the start of the process.
FIRST_ROWS = "seconds until the first rows"
EMULATED = "page_ranges.PART_BYTES is changed in the process of the dump"
# Of the package, before anything is emulated.
PART_BYTES = page_ranges.PART_BYTES
S3_LOCATION = f"s3://{BUCKET}/ours/"


def main() -> None:
    verb, *arguments = sys.argv[1:]
    verbs: dict[str, Callable[..., None]] = {
        "dump": _dump,
        "dump_as_large": _dump_as_large,
        "describe": _describe,
        "dump_masked": _dump_masked,
        "restore": _restore,
        "copy": _copy,
        "start": _start,
    }
    verbs[verb](*arguments)
    _tell(PEAK, _peak_kib() / 1024)


def _tell(name: str, value: object) -> None:
    print(f"{TOLD}{name}: {value}", flush=True)


def _peak_kib() -> int:
    """Return the most memory that this program had, without psql and pg_restore.

    To those a row is one piece. Not by getrusage, in which the memory of the process that has
    started this one counts: ``signal->maxrss`` outlives ``execve``.
    """
    with open("/proc/self/status") as file:
        (peak,) = (line.split()[1] for line in file if line.startswith("VmHWM:"))
    return int(peak)


def _start() -> None:
    """Do what comes before the first byte."""
    _storage(S3_LOCATION)


def _dump_masked(jobs: str, variant: str = "") -> None:
    from bench.masking import MASKS, WITHOUT_PHONE

    masks = read_masks(WITHOUT_PHONE if variant else MASKS)
    _dump(jobs, masking=Masking(masks=masks, key="a key of the benchmark alone"))


def _dump(
    jobs: str,
    location: str = S3_LOCATION,
    masking: Masking = Masking(),  # noqa: B008
) -> None:
    name = os.environ["PGDATABASE"]
    dump(
        _database(name),
        _storage(location),
        DumpKey.new(instance="bench", database=name, config="none", created_at=datetime.now(UTC)),
        DumpOptions(masking=masking, jobs=int(jobs), pg_bin_dir=os.environ["PG_BIN_DIR"]),
        on_progress=print,
        cancellation=Cancellation(),
    )


def _dump_as_large(terabytes: str, jobs: str) -> None:
    """Dump the only table in as many parts as a table of so many terabytes would have."""
    _emulate(float(terabytes))
    _dump(jobs)


def _describe(terabytes: str) -> None:
    """Tell what the newest dump of the only table consists of.

    :param terabytes: by which it was dumped; 0 if it was dumped as it is.
    """
    table = _emulate(float(terabytes))
    storage = _storage(S3_LOCATION)
    dumped = find_dump(storage, f"bench/{os.environ['PGDATABASE']}")
    archive = open_archive(storage, dumped)
    ranges = page_ranges.split(table)
    entry, size_bytes = archive.toc.entries[0], table.size_bytes // len(ranges)
    part_bytes = page_ranges.PART_BYTES
    entries = (page_ranges.RangeEntry(entry, pages, size_bytes, part_bytes) for pages in ranges)
    _tell(KEY, dumped.key)
    _tell(PARTS, sum(len(one.parts()) for one in entries))
    _tell(ENTRIES, len(archive.toc.entries))
    _tell(TOC_BYTES, archive.required_manifest.toc_bytes)


def _emulate(terabytes: float) -> Table:
    """Change the size of a part in this process, since the package has no option for it."""
    with psycopg.connect(dbname=os.environ["PGDATABASE"]) as connection:
        row = connection.execute(
            "SELECT relname, relpages, pg_relation_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND oid > 16384"
        ).fetchone()
    assert row is not None
    name, pages, size_bytes = row
    if terabytes:
        page_ranges.PART_BYTES = -(-size_bytes // parts_of(terabytes))
    return Table("public", name, pages, size_bytes, (), None)


def parts_of(terabytes: float) -> int:
    """Return how many parts the package makes of a table of a size."""
    return math.ceil(terabytes * 1e12 / PART_BYTES)


def _restore(target: str, jobs: str, report_seconds: str = f"{REPORT_SECONDS}") -> None:
    """Restore the newest dump of the database.

    :param report_seconds: how often it is looked for the first rows.
    """
    first_rows: list[float] = []

    def note(progress: Progress) -> None:
        if progress.rows_done and not first_rows:
            first_rows.append(_seconds_since_start())

    restore(
        _database(target),
        _database("postgres"),
        lambda: _storage(S3_LOCATION),
        RestoreOptions(
            key=f"bench/{os.environ['PGDATABASE']}",
            load=_load(jobs),
        ),
        on_progress=note,
        cancellation=Cancellation(),
        report_seconds=float(report_seconds),
    )
    for seconds in first_rows:
        _tell(FIRST_ROWS, seconds)


def _seconds_since_start() -> float:
    """Return for how long this process has run, with the start of Python."""
    with open("/proc/self/stat") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _load(jobs: str) -> LoadOptions:
    return LoadOptions(jobs=int(jobs), pg_bin_dir=os.environ["PG_BIN_DIR"])


def _copy(target: str, jobs: str) -> None:
    """Copy the database by stream."""
    copy_by_stream(
        _database(os.environ["PGDATABASE"]),
        _database(target),
        _database("postgres"),
        StreamCopyOptions(load=_load(jobs)),
        on_progress=print,
        cancellation=Cancellation(),
    )


def _database(name: str) -> Database:
    parameters = ("host", "port", "user", "password")
    return Database(name, {name: os.environ[f"PG{name.upper()}"] for name in parameters})


def _storage(location: str) -> Storage:
    session = boto3.session.Session()
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    access = S3Access(session, session.client("s3"), endpoint, "us-east-1")
    return open_storage(location, lambda: access)


if __name__ == "__main__":
    main()
