"""Collects the statistics of a restored database for the query planner."""

import logging
from collections.abc import Collection

from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import unplannable_tables
from airflow_provider_pgclone.core.loading.settings import Loading
from airflow_provider_pgclone.core.postgres import (
    Database,
    Session,
    connect,
    connection_arguments,
    run_child,
)

log = logging.getLogger(__name__)

# What vacuumdb analyzes: catalog_query in vacuumdb.c.
_ANALYZED = """
SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND c.oid <> ALL(%s)
ORDER BY relpages DESC
"""


def analyze(database: Database, loading: Loading, cancellation: Cancellation) -> None:
    """Run ANALYZE on all tables, because an archive does not contain statistics.

    ANALYZE fails for the tables of which no query can be planned, whoever runs it, and vacuumdb
    would end there.
    """
    with connect(database, cancellation) as session:
        unplannable = unplannable_tables(session)
        for why in unplannable.values():
            log.warning("a table gets no statistics: %s. %s", why.message, why.hint)
        if unplannable:
            _analyze_others(session, unplannable)
            return
    program = loading.tools.path("vacuumdb")
    options = ["--analyze-only", "--quiet", f"--jobs={loading.jobs}"]
    with run_child(
        [program, *options, *connection_arguments(database)],
        environment=loading.environment(database),
        cancellation=cancellation,
    ) as vacuumdb:
        vacuumdb.wait_for_success()


def _analyze_others(session: Session, left_out: Collection[int]) -> None:
    for schema, name in session.execute(_ANALYZED, [list(left_out)]).fetchall():
        session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, name)))
