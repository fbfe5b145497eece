"""Sessions on a server, and a few statements about its databases."""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError, ServerError, UnsupportedError
from airflow_provider_pgclone.core.postgres.database import (
    APPLICATION_NAME,
    PASSING_APPLICATION_NAME,
    Database,
    hint_for_room,
)
from airflow_provider_pgclone.core.postgres.settings import (
    NO_TRANSACTION_TIMEOUT,
    PATIENT_SESSION,
    SAFE_PATH,
)

CANCEL_SECONDS = 2.0

# SQL that is built at run time is passed as bytes: a str must be a literal in the code.
Query = LiteralString | bytes | sql.SQL | sql.Composed


@dataclass(frozen=True)
class Session:
    """An open session in autocommit mode.

    :param connection: the connection of psycopg.
    :param database: the database to which it is connected.
    :param cancellation: stops the running statement.
    """

    connection: psycopg.Connection
    database: Database
    cancellation: Cancellation

    def execute(
        self, query: Query, arguments: Any = None, *, prepare: bool | None = None
    ) -> psycopg.Cursor[Any]:
        """Execute one statement, or several without arguments; then only the last may return rows.

        :param arguments: the values of placeholders; without arguments, ``%`` has no meaning.
        :param prepare: whether to prepare the statement, which must be a single one then.
        """
        return self.connection.execute(query, arguments, prepare=prepare)

    def fetch_row(self, query: Query, arguments: Sequence[object] = ()) -> tuple[Any, ...]:
        """Return the one row of a query.

        :raises ServerError: when the query returns no row, because another session removed it.
        """
        row = self.execute(query, arguments or None).fetchone()
        if row is None:
            raise ServerError(f"{', '.join(map(str, arguments))} no longer exists on the server")
        return tuple(row)

    def transaction(self, *, rolled_back: bool = False) -> AbstractContextManager[Any]:
        """Open a transaction, or a savepoint in one, while the block runs.

        :param rolled_back: whether to roll back at the end of the block.
        """
        return self.connection.transaction(force_rollback=rolled_back)

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

    @contextlib.contextmanager
    def explaining_failure(self) -> Iterator[None]:
        """Raise an error of the server in the block as one of this package.

        :raises CancelledError: when a stop was requested.
        :raises UnsupportedError: when a right is missing.
        :raises ServerError: for any other error.
        """
        try:
            yield
        except psycopg.Error as error:
            self.cancellation.check()
            raise _server_error(self.database, error) from error

    def start_anew(self) -> None:
        """Leave nothing of what was executed in the session: its settings are as at its start."""
        self.execute("DISCARD ALL")
        self.execute("RESET ROLE")  # DISCARD ALL gives it that of the login
        _set_up(self)

    def cut_off(self) -> None:
        """End the session though the server does not answer; a thread that waits for it fails."""
        with (
            contextlib.suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(self.connection.fileno())) as connected,
        ):
            connected.shutdown(socket.SHUT_RDWR)

    def stop_statement(self) -> None:
        """Stop the running statement, if any, without waiting for its end."""
        with contextlib.suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=CANCEL_SECONDS)


@contextlib.contextmanager
def connect(
    database: Database, cancellation: Cancellation, *, is_passing: bool = False
) -> Iterator[Session]:
    """Open a session in autocommit mode; a cancel stops its running statement.

    :param is_passing: whether a swap or a copy of the database ends the session, as it ends those
        of others; by default it waits for the session.
    :raises NotFoundError: when the database does not exist.
    :raises UnsupportedError: when a right is missing for a statement in the block.
    :raises ServerError: when the server cannot be reached or refuses the connection, or when a
        statement in the block fails and the block does not handle the error.
    """
    name = PASSING_APPLICATION_NAME if is_passing else APPLICATION_NAME
    with _open(database, cancellation, name) as connection:
        session = Session(connection, database, cancellation)
        with cancellation.ending(session.stop_statement), session.explaining_failure():
            _set_up(session)
            yield session


def to_become(session: Session) -> str:
    """Return the kind of membership that lets a user make another role the owner of something.

    Since PostgreSQL 16 a member of a role need not be allowed to become it, such as whoever has
    created it: "Role Membership".
    """
    return "SET" if session.major >= 16 else "MEMBER"


def database_exists(session: Session, name: str) -> bool:
    return database_oid(session, name) is not None


def database_oid(session: Session, name: str) -> int | None:
    row = session.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row[0] if row else None


def is_standby(session: Session) -> bool:
    return session.fetch_row("SELECT pg_is_in_recovery()") == (True,)


def drop_database(session: Session, name: str) -> None:
    """Drop a database and end its sessions; it is not an error if it does not exist."""
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _open(
    database: Database, cancellation: Cancellation, application_name: str
) -> psycopg.Connection:
    cancellation.check()
    parameters = database.session_parameters()
    parameters["application_name"] = application_name
    parameters.pop("client_encoding", None)  # is for the programs only
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
            raise NotFoundError(
                f"database {database.name!r} does not exist",
                hint="Check the name of the database, and the server that the connection names.",
            ) from error
        if "does not support SSL" in message:
            raise UnsupportedError(
                f"the server of database {database.name!r} has no TLS, which sslmode or a mask key "
                "needs",
                hint="Turn on TLS on the server. mask_without_tls lets a mask key cross the "
                "network without it, for everybody on the way to read.",
            ) from error
        raise ServerError(
            f"cannot connect to database {database.name!r}: {message}",
            hint=hint_for_room(message)
            or "Check the host, port, user and password of the connection to the server.",
        ) from error


def _set_up(session: Session) -> None:
    session.execute(f"{SAFE_PATH}; {PATIENT_SESSION}")  # in one round trip
    _notice_our_end(session)
    session.execute(NO_TRANSACTION_TIMEOUT)


def _notice_our_end(session: Session) -> None:
    """Let the server stop a statement if we are killed, such as a CREATE DATABASE.

    Servers on some platforms do not support this.
    """
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):
        session.execute("SET client_connection_check_interval = '2s'")


def _server_error(database: Database, error: psycopg.Error) -> Exception:
    # Without the detail, which may contain values of a row.
    message = error.diag.message_primary or str(error).strip()
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnsupportedError(
            f"a right is missing on the server of {database.name!r}: {message}",
            hint="Grant it to the user of the connection, or use another connection.",
        )
    hint = None
    if isinstance(error, psycopg.errors.CharacterNotInRepertoire):
        hint = (
            "A name in the database is not UTF-8. One whose encoding is SQL_ASCII may have such "
            "names; rename what has one."
        )
    return ServerError(f"the server of {database.name!r}: {message}", hint=hint)
