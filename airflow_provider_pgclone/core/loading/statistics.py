"""Collects the statistics of a restored database for the query planner."""

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.loading.settings import Loading
from airflow_provider_pgclone.core.postgres import Database, connection_arguments, run_child


def analyze(database: Database, loading: Loading, cancellation: Cancellation) -> None:
    """Run ANALYZE on all tables, because an archive does not contain statistics."""
    program = loading.tools.path("vacuumdb")
    options = ["--analyze-only", "--quiet", f"--jobs={loading.jobs}"]
    with run_child(
        [program, *options, *connection_arguments(database)],
        environment=loading.environment(database),
        cancellation=cancellation,
    ) as vacuumdb:
        vacuumdb.wait_for_success()
