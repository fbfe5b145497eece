"""Propose masks for a database, from its columns and a sample of their values."""

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    Selection,
    begin_holding,
    check_readable_tables,
    check_trusted_owners,
    excluded_tables,
    read_catalog,
    selected_of_others,
    tables_in_scope,
    tables_of_others,
    unplannable_tables,
    unreadable_tables,
)
from airflow_provider_pgclone.core.masking.discovery import Proposal, propose
from airflow_provider_pgclone.core.postgres import SNAPSHOT_SESSION, Database, connect


def propose_masks(database: Database, selection: Selection, cancellation: Cancellation) -> Proposal:
    """Return a rule for each column of the tables that a dump would contain.

    :raises InvalidInputError: when a pattern matches nothing.
    :raises UnsupportedError: when a table must not be queried.
    :raises ServerError: when a table cannot be read.
    """
    with connect(database, cancellation) as session:
        session.execute(SNAPSHOT_SESSION)
        check_trusted_owners(session)
        excluded = excluded_tables(session, selection.exclude)
        others = selected_of_others(tables_of_others(session), selection, excluded)
        held = begin_holding(session, others, casts=False)
        unreadable = unreadable_tables(session, held)
        catalog = read_catalog(session, unreadable)
        tables = tables_in_scope(session, catalog, selection)
        oids = [table.oid for table in tables]
        check_readable_tables(unreadable, oids)
        check_readable_tables(unplannable_tables(session, oids), oids)
        return propose(session, catalog, tables)
