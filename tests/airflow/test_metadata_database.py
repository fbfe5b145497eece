"""Airflow's own metadata database: it comes back from S3 equal, and the demo renews a part."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.demo.prepare import prepare
from example_dags.services import PostgresServer
from tests.support import REPOSITORY
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.servers import BUCKET

FILLED = ("connection", "dag_run", "log", "serialized_dag", "task_instance", "variable", "xcom")
DRIFT = """
    DROP TABLE xcom;
    DELETE FROM log;
    UPDATE connection SET password = NULL;
    SELECT setval('log_id_seq', 1000);
"""


@pytest.fixture
def metadata_database(make_database: MakeDatabase, postgres: PostgresServer, tmp_path: Path) -> str:
    """A metadata database with the history of a DAG."""
    database = make_database("SELECT")
    uri = postgres.uri(database).replace("postgresql:", "postgresql+psycopg2:")
    filled = subprocess.run(
        [sys.executable, "-m", "tests.support.programs.airflow_history"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(
                REPOSITORY / "tests/support/programs/airflow_history/dags"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": uri,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        },
    )
    assert filled.returncode == 0, filled.stdout + filled.stderr
    return database


def test_the_metadata_database_comes_back_equal_from_s3(
    metadata_database: str, postgres_connection: str, s3_connection: str, server: Server
) -> None:
    before = fingerprint(server, metadata_database)
    assert all(before.tables[f'"public"."{table}"'][0] > 0 for table in FILLED)
    hook = PgCloneHook(
        postgres_connection, f"s3://{BUCKET}/metadata/", s3_connection, database=metadata_database
    )

    key = hook.dump(instance="airflow")
    server.run(metadata_database, DRIFT)
    drifted = fingerprint(server, metadata_database)
    assert drifted.schema != before.schema
    assert drifted.tables != before.tables
    assert drifted.sequences != before.sequences

    assert hook.restore("airflow", swap=False) == key
    assert hook.temp_database is not None
    assert fingerprint(server, metadata_database) == drifted
    assert hook.swap(hook.temp_database) == metadata_database
    assert fingerprint(server, metadata_database) == before


def test_the_demo_replaces_the_connections_of_an_earlier_start(
    airflow_database: None, airflow_home: Path, tmp_path: Path
) -> None:
    """PostgreSQL gets another port at each start."""
    database = tmp_path / "airflow.db"
    with (
        closing(sqlite3.connect(airflow_home / "airflow.db")) as read,
        closing(sqlite3.connect(database)) as connection,
    ):
        read.backup(connection)
        uri = f"sqlite:///{database}"
        environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": uri}
        for port in (5001, 5002):
            prepare(environment, {"demo": f"postgresql://localhost:{port}/shop"}, None)
            found = connection.execute("SELECT port FROM connection WHERE conn_id = 'demo'")
            assert found.fetchall() == [(port,)]
