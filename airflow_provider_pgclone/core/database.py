"""Where a database is, how psycopg and PostgreSQL's programs reach it, and what its server is."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotFoundError,
    ServerError,
    UnsupportedError,
)

APPLICATION_NAME = "airflow-provider-pgclone"
CANCEL_SECONDS = 2.0

# https://www.postgresql.org/docs/current/libpq-envars.html
_ENVIRONMENT_OF_PARAMETER: Mapping[str, str] = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "require_auth": "PGREQUIREAUTH",
    "channel_binding": "PGCHANNELBINDING",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "requirepeer": "PGREQUIREPEER",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "gssdelegation": "PGGSSDELEGATION",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "client_encoding": "PGCLIENTENCODING",
}
_SECRET_PARAMETERS = frozenset({"password", "sslpassword", "oauth_client_secret", "options"})

# A session that waits for hours while children work must neither time out nor go stale unseen.
_PATIENT_SESSION = (
    "SET statement_timeout = 0; SET lock_timeout = 0; "
    "SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0; "
    "SET client_min_messages = warning"
)


@dataclass(frozen=True)
class Database:
    """A database of a server, as libpq names its parameters.

    :param name: of the database.
    :param parameters: every other libpq parameter; its secrets appear in no repr.
    :param password: gives that of a session which is about to be opened, where one does not last as
        long as the work, such as a token; in any thread.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    password: Callable[[], str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __repr__(self) -> str:
        shown = {
            key: "***" if key in _SECRET_PARAMETERS else value
            for key, value in self.parameters.items()
        }
        return f"Database(name={self.name!r}, parameters={shown!r})"

    def named(self, name: str) -> "Database":
        """Return another database of the same server."""
        return replace(self, name=name)

    def session_parameters(self) -> dict[str, str]:
        """Return the parameters of a session that is opened now."""
        fresh = {} if self.password is None else {"password": self.password()}
        return {**self.parameters, **fresh}

    def environment(self) -> dict[str, str]:
        """Return the variables by which a PostgreSQL program reaches this database.

        :raises InvalidInputError: for a parameter that has no variable: it could only be passed
            in the arguments, where every user sees it.
        """
        unknown = sorted(set(self.parameters) - set(_ENVIRONMENT_OF_PARAMETER) - _KEEPALIVES)
        if unknown:
            raise InvalidInputError(
                f"the connection parameter {unknown[0]!r} has no environment variable of libpq, so "
                "pg_dump and pg_restore cannot be given it",
                hint="Remove it from the extra of the connection.",
            )
        variables = {
            _ENVIRONMENT_OF_PARAMETER[key]: value
            for key, value in self.session_parameters().items()
            if key not in _KEEPALIVES
        }
        return {**variables, "PGDATABASE": self.name, "PGAPPNAME": APPLICATION_NAME}


# psycopg gets them; the programs do without, since they have no variables and a lost child is
# noticed by its exit code.
_KEEPALIVES = frozenset(
    {
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "application_name",
    }
)


@contextlib.contextmanager
def connect(database: Database, cancellation: Cancellation) -> Iterator[psycopg.Connection]:
    """Open an autocommit session; a cancel stops its running statement.

    :raises NotFoundError: when the database does not exist.
    :raises ServerError: when the server cannot be reached, refuses, or a statement in the block
        fails with an error that the block did not handle.
    """
    with (
        _open(database, cancellation) as connection,
        cancellation.ending(partial(_stop_statement, connection)),
    ):
        try:
            connection.execute(_PATIENT_SESSION)
            _notice_our_end(connection)
            connection.execute(
                "SELECT set_config(name, '0', false) FROM pg_settings "
                "WHERE name = 'transaction_timeout'"
            )
            yield connection
        except psycopg.Error as error:
            cancellation.check()
            raise _server_error(database, error) from error


def _open(database: Database, cancellation: Cancellation) -> psycopg.Connection:
    cancellation.check()
    keepalives = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
    parameters = {**keepalives, **database.session_parameters()}
    parameters["application_name"] = APPLICATION_NAME
    parameters.pop("client_encoding", None)  # the programs' own affair
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


def _stop_statement(connection: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_SECONDS)


def _notice_our_end(connection: psycopg.Connection) -> None:
    """Have the server stop a statement whose client was killed, such as a CREATE DATABASE.

    Not every platform of a server can.
    """
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("SET client_connection_check_interval = '2s'")


def _server_error(database: Database, error: psycopg.Error) -> Exception:
    # Not its detail, which may show values of a row.
    message = error.diag.message_primary or str(error).strip()
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnsupportedError(
            f"no right on the server of {database.name!r}: {message}",
            hint="Grant it to the user of the connection, or use another connection.",
        )
    return ServerError(f"the server of {database.name!r}: {message}")


def fetch_row(
    connection: psycopg.Connection, query: LiteralString | sql.Composed, arguments: Sequence[object]
) -> tuple[Any, ...]:
    """Return the one row of a query.

    :raises ServerError: when it gives none, which only a change under our feet can cause.
    """
    # Without any, a % in a name is no placeholder.
    row = connection.execute(query, arguments or None).fetchone()
    if row is None:
        raise ServerError(f"the server knows no {', '.join(map(str, arguments))} any more")
    return row


def database_exists(connection: psycopg.Connection, name: str) -> bool:
    return database_oid(connection, name) is not None


def database_oid(connection: psycopg.Connection, name: str) -> int | None:
    row = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row[0] if row else None


def is_standby(connection: psycopg.Connection) -> bool:
    return fetch_row(connection, "SELECT pg_is_in_recovery()", []) == (True,)


def server_major(connection: psycopg.Connection) -> int:
    return connection.info.server_version // 10000


def drop_database(connection: psycopg.Connection, name: str) -> None:
    """Drop a database, and its sessions with it; no error where it does not exist."""
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )
