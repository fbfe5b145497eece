"""Sessions on a server, and what they tell of it."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError, ServerError, UnsupportedError
from airflow_provider_pgclone.core.postgres.database import APPLICATION_NAME, Database
from airflow_provider_pgclone.core.postgres.settings import NO_TRANSACTION_TIMEOUT, PATIENT_SESSION

CANCEL_SECONDS = 2.0

# A str that is not a literal goes as bytes, so that it is not taken for one by mistake.
Query = LiteralString | bytes | sql.SQL | sql.Composed


@dataclass(frozen=True)
class Session:
    """An open autocommit session, the database that it is on, and what ends it.

    :param connection: psycopg's own.
    :param database: where it is connected.
    :param cancellation: stops its running statement.
    """

    connection: psycopg.Connection
    database: Database
    cancellation: Cancellation

    def execute(
        self, query: Query, arguments: Any = None, *, prepare: bool | None = None
    ) -> psycopg.Cursor[Any]:
        """Execute statements, of which all but the last return nothing.

        :param arguments: values of the placeholders; without any, ``%`` stands for itself.
        :param prepare: whether to prepare a statement, which must then be one alone.
        """
        return self.connection.execute(query, arguments, prepare=prepare)

    def fetch_row(self, query: Query, arguments: Sequence[object] = ()) -> tuple[Any, ...]:
        """Return the one row of a query.

        :raises ServerError: when it returns none, because something was changed meanwhile.
        """
        row = self.execute(query, arguments or None).fetchone()
        if row is None:
            raise ServerError(f"the server does not know {', '.join(map(str, arguments))} any more")
        return tuple(row)

    def transaction(self, *, rolled_back: bool = False) -> AbstractContextManager[Any]:
        """Open a transaction, or a savepoint in one, while the block runs.

        :param rolled_back: whether to roll back at the end of the block.
        """
        return self.connection.transaction(force_rollback=rolled_back)

    def on_database(self, name: str) -> "AbstractContextManager[Session]":
        """Open a session on another database of the same server."""
        return connect(self.database.named(name), self.cancellation)

    def beside(self) -> "AbstractContextManager[Session]":
        """Open another session on the same database."""
        return connect(self.database, self.cancellation)

    @property
    def major(self) -> int:
        """The major version of the server."""
        return self.connection.info.server_version // 10000

    @property
    def pid(self) -> int:
        """The process id of the session on the server."""
        return self.connection.info.backend_pid

    @property
    def is_idle(self) -> bool:
        """Whether it runs no statement and is in no transaction."""
        return self.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def stop_statement(self) -> None:
        """Stop the statement that is running, if any; what the server answers is not waited for."""
        with contextlib.suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=CANCEL_SECONDS)


@contextlib.contextmanager
def connect(database: Database, cancellation: Cancellation) -> Iterator[Session]:
    """Open an autocommit session; a cancel stops its running statement.

    :raises NotFoundError: when the database does not exist.
    :raises ServerError: when the server cannot be reached, refuses, or a statement in the block
        fails with an error that the block did not handle.
    """
    with _open(database, cancellation) as connection:
        session = Session(connection, database, cancellation)
        with cancellation.ending(session.stop_statement):
            try:
                session.execute(PATIENT_SESSION)
                _notice_our_end(session)
                session.execute(NO_TRANSACTION_TIMEOUT)
                yield session
            except psycopg.Error as error:
                cancellation.check()
                raise _server_error(database, error) from error


def database_exists(session: Session, name: str) -> bool:
    return database_oid(session, name) is not None


def database_oid(session: Session, name: str) -> int | None:
    row = session.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row[0] if row else None


def is_standby(session: Session) -> bool:
    return session.fetch_row("SELECT pg_is_in_recovery()") == (True,)


def drop_database(session: Session, name: str) -> None:
    """Drop a database, and its sessions with it; no error where it does not exist."""
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _open(database: Database, cancellation: Cancellation) -> psycopg.Connection:
    cancellation.check()
    keepalives = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
    parameters = {**keepalives, **database.session_parameters()}
    parameters["application_name"] = APPLICATION_NAME
    parameters.pop("client_encoding", None)  # that of the programs
    try:
        return psycopg.connect(
            dbname=database.name,
            autocommit=True,
            client_encoding="utf8",
            **parameters,  # type: ignore[arg-type]
        )
    except psycopg.Error as error:
        cancellation.check()
        message = str(error).strip()
        if f'database "{database.name}" does not exist' in message:
            raise NotFoundError(f"database {database.name!r} does not exist") from error
        raise ServerError(f"cannot connect to database {database.name!r}: {message}") from error


def _notice_our_end(session: Session) -> None:
    """Have the server stop a statement whose client was killed, such as a CREATE DATABASE.

    Not every platform of a server can.
    """
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):
        session.execute("SET client_connection_check_interval = '2s'")


def _server_error(database: Database, error: psycopg.Error) -> Exception:
    # Not its detail, which may show values of a row.
    message = error.diag.message_primary or str(error).strip()
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnsupportedError(
            f"no right on the server of {database.name!r}: {message}",
            hint="Grant it to the user of the connection, or use another connection.",
        )
    return ServerError(f"the server of {database.name!r}: {message}")
