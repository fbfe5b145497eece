"""Propose masks for a database, from its columns and a sample of their values."""

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    Selection,
    check_readable_tables,
    read_catalog,
    tables_in_scope,
    tables_with_untrusted_functions,
)
from airflow_provider_pgclone.core.masking.discovery import Proposal, propose
from airflow_provider_pgclone.core.postgres import SNAPSHOT_SESSION, Database, connect


def propose_masks(database: Database, selection: Selection, cancellation: Cancellation) -> Proposal:
    """Return a rule for each column of the tables that a dump would contain.

    :raises InvalidInputError: when a pattern matches nothing.
    :raises UnsupportedError: when a query of a table would call untrusted functions.
    :raises ServerError: when a table cannot be read.
    """
    with connect(database, cancellation) as session:
        session.execute(SNAPSHOT_SESSION)
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        untrusted = tables_with_untrusted_functions(session)
        catalog = read_catalog(session)
        tables = tables_in_scope(session, catalog, selection)
        check_readable_tables(untrusted, catalog, [table.oid for table in tables])
        return propose(session, catalog, tables)
