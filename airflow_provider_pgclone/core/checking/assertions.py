"""Runs the user's assertions about a restored database."""

from collections.abc import Sequence
from typing import Any

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.postgres import USER_PATH_TRANSACTION, Database, connect


def check_sql(database: Database, statements: Sequence[str], cancellation: Cancellation) -> None:
    """Check that each statement returns true, in a read-only transaction that is rolled back.

    The statements find names by the path of the database or the role, as the user's own SQL does.

    :param statements: each must return one row with one boolean.
    :raises RestoreError: names the first statement that fails or does not return true.
    """
    if not statements:
        return
    with connect(database, cancellation) as session:
        session.connection.read_only = True
        for number, statement in enumerate(statements, 1):
            name = f"check_sql number {number} ({_shown(statement)})"
            try:
                with session.transaction(rolled_back=True):
                    session.execute(USER_PATH_TRANSACTION)
                    is_true = _is_true(session.execute(statement.encode()))
            except psycopg.OperationalError:
                raise  # the server failed, not the statement
            except psycopg.Error as error:
                raise RestoreError(
                    f"{name} failed on the restored database: {_reason(error)}",
                    hint="The target is unchanged.",
                ) from None
            if not is_true:
                raise RestoreError(
                    f"{name} is not true in the restored database",
                    hint="It must return one row with one boolean. The target is unchanged.",
                )


def _is_true(cursor: psycopg.Cursor[Any]) -> bool:
    """Tell whether there is exactly one result, with one row of one column, and it is true."""
    rows = cursor.fetchmany(2) if cursor.description else []
    return [[value is True for value in row] for row in rows] == [[True]] and not cursor.nextset()


def _reason(error: psycopg.Error) -> str:
    """Describe an error without the server's message, unless it cannot contain row data."""
    kind = f"{type(error).__name__} ({error.sqlstate})"
    is_of_statement = isinstance(error, psycopg.errors.SyntaxError | psycopg.errors.UndefinedColumn)
    return f"{kind}: {error.diag.message_primary}" if is_of_statement else kind


def _shown(statement: str) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= 100 else f"{text[:100]}…"
