"""Questions of the user to a restored database, which must all be answered with true."""

from collections.abc import Sequence
from typing import Any

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.postgres import Database, connect


def check_sql(database: Database, statements: Sequence[str], cancellation: Cancellation) -> None:
    """Ask each statement, in a transaction that changes nothing.

    :param statements: each gives one row of one column.
    :raises RestoreError: naming the first whose answer is not true.
    """
    if not statements:
        return
    with connect(database, cancellation) as session:
        session.connection.read_only = True
        for number, statement in enumerate(statements, 1):
            name = f"check_sql number {number} ({_shown(statement)})"
            try:
                with session.transaction(rolled_back=True):
                    is_true = _is_true(session.execute(statement.encode()))
            except psycopg.OperationalError:
                raise  # not the fault of the question
            except psycopg.Error as error:
                raise RestoreError(
                    f"{name} failed on the restored database: {_reason(error)}"
                ) from None
            if not is_true:
                raise RestoreError(
                    f"{name} is not true of the restored database",
                    hint="It is to give one row with one boolean; the target is as it was.",
                )


def _is_true(cursor: psycopg.Cursor[Any]) -> bool:
    """Whether a statement, and one alone, has given one row of one column that is true."""
    rows = cursor.fetchmany(2) if cursor.description else []
    return [[value is True for value in row] for row in rows] == [[True]] and not cursor.nextset()


def _reason(error: psycopg.Error) -> str:
    """Return what went wrong, which in the words of the server may be a value of a row."""
    kind = f"{type(error).__name__} ({error.sqlstate})"
    is_of_statement = isinstance(error, psycopg.errors.SyntaxError | psycopg.errors.UndefinedColumn)
    return f"{kind}: {error.diag.message_primary}" if is_of_statement else kind


def _shown(statement: str) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= 100 else f"{text[:100]}…"
