"""This package's verbs as commands: the core, without Airflow's start-up of some seconds."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import boto3.session

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.copy import StreamCopyOptions, copy_by_stream
from airflow_provider_pgclone.core.dump import DumpOptions, dump
from airflow_provider_pgclone.core.loading.settings import LoadOptions
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.rules.language import read_masks
from airflow_provider_pgclone.core.postgres.database import Database
from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.core.restore import RestoreOptions, restore
from airflow_provider_pgclone.core.storage import Storage, open_storage
from airflow_provider_pgclone.core.storage.s3_access import S3Access
from bench.commands import BUCKET

# Before how many MiB of memory this process had at the most, in its last line.
PEAK = "peak MiB: "
S3_LOCATION = f"s3://{BUCKET}/ours/"


def main() -> None:
    verb, *arguments = sys.argv[1:]
    verbs: dict[str, Callable[..., None]] = {
        "dump": _dump,
        "dump_masked": _dump_masked,
        "restore": _restore,
        "copy": _copy,
        "start": _start,
    }
    verbs[verb](*arguments)
    print(f"{PEAK}{_peak_kib() / 1024}")


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


def _restore(target: str, jobs: str) -> None:
    """Restore the newest dump of the database."""
    restore(
        _database(target),
        _database("postgres"),
        lambda: _storage(S3_LOCATION),
        RestoreOptions(
            key=f"bench/{os.environ['PGDATABASE']}",
            load=_load(jobs),
        ),
        on_progress=print,
        cancellation=Cancellation(),
    )


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
