"""What the sessions of a restore set."""

import pytest

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.executing import LoadOptions, loading_for
from airflow_provider_pgclone.core.postgres import Database, connect
from tests.support.fixtures.databases import Server

NO_ENTRIES = Toc((1, 14), "none", (0,) * 7, "db", "17", "17", ())
SIZES = """
SELECT pg_size_bytes(current_setting('shared_buffers')) / 1024,
    pg_size_bytes(current_setting('maintenance_work_mem')) / 1024
"""


@pytest.mark.parametrize(
    ("options", "server_setting", "expected"),
    [
        (LoadOptions(jobs=2), "1MB", "eighth"),
        (LoadOptions(jobs=1), "1MB", "quarter"),
        (LoadOptions(jobs=2), "900MB", "921600kB"),
        (LoadOptions(jobs=2, maintenance_work_mem="3MB"), "900MB", "3MB"),
    ],
)
def test_an_index_build_gets_memory_by_the_cache_of_the_server(
    options: LoadOptions, server_setting: str, expected: str, server: Server
) -> None:
    at = server.server
    address = {"host": at.host, "port": str(at.port), "user": at.user, "password": at.password}
    database = Database("postgres", address)
    with connect(database, Cancellation()) as session:
        session.execute(f"SET maintenance_work_mem = '{server_setting}'".encode())
        cache_kib, _ = session.fetch_row(SIZES)
        loading = loading_for(session, NO_ENTRIES, options)
    shares = {"quarter": f"{cache_kib // 4}kB", "eighth": f"{cache_kib // 8}kB"}
    assert loading.settings["maintenance_work_mem"] == shares.get(expected, expected)
    with connect(loading.database(database), Cancellation()) as session:
        _, memory_kib = session.fetch_row(SIZES)
        (asked_kib,) = session.fetch_row(
            "SELECT pg_size_bytes(%s) / 1024", [loading.settings["maintenance_work_mem"]]
        )
    assert memory_kib == asked_kib
