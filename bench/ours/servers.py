"""Where a command finds the database and the storage: in the variables of the stage."""

import os

from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.storage import S3Access, Storage, open_storage

BUCKET = "bench"
S3_LOCATION = f"s3://{BUCKET}/ours/"


def database(name: str) -> Database:
    parameters = ("host", "port", "user", "password")
    return Database(name, {name: os.environ[f"PG{name.upper()}"] for name in parameters})


def storage(location: str = S3_LOCATION) -> Storage:
    import boto3.session  # a copy needs none

    session = boto3.session.Session()
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    access = S3Access(session, session.client("s3"), endpoint, "us-east-1")
    return open_storage(location, lambda: access)
