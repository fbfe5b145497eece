"""Our dump as a command of its own: the core, without Airflow's start-up of some seconds."""

import os
import sys
from datetime import UTC, datetime

import boto3.session

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.dump import dump
from airflow_provider_pgclone.core.dump_key import DumpKey
from airflow_provider_pgclone.core.source import DumpContent
from airflow_provider_pgclone.core.storage import open_storage
from airflow_provider_pgclone.core.storage.s3 import S3Access


def main() -> None:
    session = boto3.session.Session()
    endpoint = os.environ["S3_ENDPOINT"]
    access = S3Access(session, session.client("s3", endpoint_url=endpoint), endpoint, "us-east-1")
    names = ("host", "port", "user", "password")
    database = Database("bench", {name: os.environ[f"PG{name.upper()}"] for name in names})
    key = DumpKey.new(
        instance="bench", database="bench", config="none", created_at=datetime.now(UTC)
    )
    dump(
        database,
        open_storage("s3://bench/ours/", lambda: access),
        key,
        DumpContent(),
        jobs=int(sys.argv[1]),
        compression_level=1,
        pg_bin_dir=os.environ["PG_BIN_DIR"],
        on_progress=print,
        cancellation=Cancellation(),
    )


if __name__ == "__main__":
    main()
