"""A database, and the parameters with which psycopg and PostgreSQL's programs connect to it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType

from psycopg import pq

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres.service import NEVER_GIVEN, service_parameters
from airflow_provider_pgclone.core.postgres.settings import as_options

APPLICATION_NAME = "airflow-provider-pgclone"
# Of sessions that a swap ends rather than waits for.
PASSING_APPLICATION_NAME = f"{APPLICATION_NAME} passing"
# A session may be quiet for hours, while others work. Firewalls and load balancers drop connections
# that are quiet for some minutes, and Linux says only after two hours that one goes on.
_KEEPALIVES = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
# The parameters for which programs have no variables, but which are no secrets.
_OF_SOCKETS = frozenset({"keepalives", "tcp_user_timeout", *_KEEPALIVES})
# libpq does not tell the code of an error that ends a connection while it is opened.
_NO_ROOM = re.compile(r"connection slots|too many (clients|connections)")
_NAMES_OF_SESSIONS = frozenset({"application_name", "fallback_application_name"})


@dataclass(frozen=True)
class Database:
    """A database on a server, with the connection parameters of libpq.

    :param name: the name of the database.
    :param parameters: all other parameters of libpq; ``repr`` hides the secret ones.
    :param password: returns a fresh password for each new session, for passwords that expire, such
        as tokens. It may be called in any thread.
    :param trusted_owners: roles whose functions may run with the rights of our sessions, beside
        those of superusers and of the user.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    password: Callable[[], str] | None = field(default=None, compare=False)
    trusted_owners: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __repr__(self) -> str:
        shown = {
            key: "***" if key in _secret_parameters() else value
            for key, value in self.parameters.items()
        }
        return f"Database(name={self.name!r}, parameters={shown!r})"

    @property
    def options(self) -> str:
        """The options of its sessions; those of ``PGOPTIONS`` or a service where none are given."""
        defaults = {one.keyword: one.val for one in pq.Conninfo.get_defaults()}
        return self.parameters.get("options", (defaults[b"options"] or b"").decode())

    def named(self, name: str) -> "Database":
        """Return another database of the same server."""
        return replace(self, name=name)

    def without_options(self) -> "Database":
        """Return the database with no ``options`` for its sessions."""
        given = {name: value for name, value in self.parameters.items() if name != "options"}
        return replace(self, parameters=given)

    def with_settings(self, settings: Mapping[str, str]) -> "Database":
        """Return the database with settings of its sessions, which override those of the role."""
        given = f"{self.options} {as_options(settings)}"
        return replace(self, parameters={**self.parameters, "options": given.strip()})

    def session_parameters(self) -> dict[str, str]:
        """Return the parameters for a session that is opened now, with a fresh password."""
        fresh = {} if self.password is None else {"password": self.password()}
        return {**self.socket_parameters(), **self.parameters, **fresh}

    def socket_parameters(self) -> dict[str, str]:
        """Return the parameters that a program gets as arguments, beside its environment."""
        given = {**service_parameters(), **self.parameters}
        return {**_KEEPALIVES, **{key: given[key] for key in _OF_SOCKETS & given.keys()}}

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a PostgreSQL program connects.

        What the connection leaves out, a service in our own environment may say, as it does for
        sessions. The program must not get the service itself, which it prefers to the variables.

        :raises InvalidInputError: when a parameter has no variable. It could only be passed as an
            argument, which every user of the machine can see.
        """
        variables = {}
        for key, value in {**service_parameters(), **self.session_parameters()}.items():
            if key in _OF_SOCKETS | _NAMES_OF_SESSIONS:
                continue
            variable = _variables().get(key)
            if variable is None:
                raise InvalidInputError(
                    f"the connection parameter {key!r} has no environment variable of libpq, so "
                    "pg_dump and pg_restore cannot be given it",
                    hint="Remove it from the extra of the connection, or from the service that "
                    "PGSERVICE names.",
                )
            variables[variable] = value
        return {**variables, "PGDATABASE": self.name, "PGAPPNAME": APPLICATION_NAME}


@cache
def _variables() -> Mapping[str, str]:
    """Return the environment variables of libpq, by parameter, without those that name a service.

    A program prefers the values of a service file to the variables, and psycopg prefers its
    parameters to the file: they would reach different servers, or only one of them by TLS.
    """
    return {
        keyword: option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar and (keyword := option.keyword.decode()) not in NEVER_GIVEN
    }


def hint_for_room(message: str) -> str | None:
    """Return what to do if an error says that there is no room for another session."""
    if _NO_ROOM.search(message) is None:
        return None
    return (
        "Use fewer jobs, since each has a session, or raise max_connections of the server, or the "
        "connection limit of the role or database."
    )


@cache
def _secret_parameters() -> frozenset[str]:
    """Return the parameters that libpq marks as secret, and ``options``, which may contain a key.

    libpq marks passwords with ``*`` and parameters that should not be shown by default with ``D``:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNDEFAULTS
    """
    marked = {
        option.keyword.decode()
        for option in pq.Conninfo.get_defaults()
        if option.dispchar in (b"*", b"D")
    }
    # libpq 17, which comes with psycopg 3.2, does not know oauth_client_secret.
    return frozenset(marked | {"options", "oauth_client_secret"})
