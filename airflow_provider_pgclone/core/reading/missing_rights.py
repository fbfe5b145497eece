"""Explains why pg_dump or psql failed, where the user lacks a right to read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    MissingRight,
    Selection,
    describe_missing,
    missing_rights,
)
from airflow_provider_pgclone.core.errors import PgCloneError, RestoreError, ToolError
from airflow_provider_pgclone.core.postgres import Database, connect


@contextmanager
def telling_missing_rights(database: Database, selection: Selection) -> Iterator[None]:
    """Add to an error of a program what the user has no right to read, and what to do about it."""
    try:
        yield
    except RestoreError:
        raise
    except ToolError as error:
        if error.hint is not None:
            raise
        missing: list[MissingRight] = []
        # The session of the snapshot may be cancelled. What fails here must not hide the error.
        with suppress(PgCloneError), connect(database, Cancellation()) as session:
            missing = missing_rights(session, selection)
        if not missing:
            raise
        what, hint = describe_missing(missing)
        raise ToolError(
            error.message, hint=f"The user of the connection cannot read {what}. {hint}"
        ) from error
