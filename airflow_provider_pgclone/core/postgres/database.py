"""Where a database is, and how psycopg and PostgreSQL's programs reach it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType

from psycopg import pq

from airflow_provider_pgclone.core.errors import InvalidInputError

APPLICATION_NAME = "airflow-provider-pgclone"
# psycopg takes them. The programs do without: a lost child is noticed by its exit code.
_OF_SESSIONS_ALONE = frozenset(
    {
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "application_name"),
    }
)


@dataclass(frozen=True)
class Database:
    """A database of a server, as libpq names its parameters.

    :param name: the name of the database.
    :param parameters: every other libpq parameter; a repr shows no secret among them.
    :param password: returns the password of a session that is about to be opened, where one does
        not last as long as the work, such as a token; may be called in any thread.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    password: Callable[[], str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __repr__(self) -> str:
        shown = {
            key: "***" if key in _secret_parameters() else value
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
            in the arguments, where every user of the machine sees it.
        """
        variables = {}
        for key, value in self.session_parameters().items():
            if key in _OF_SESSIONS_ALONE:
                continue
            variable = _variables().get(key)
            if variable is None:
                raise InvalidInputError(
                    f"the connection parameter {key!r} has no environment variable of libpq, so "
                    "pg_dump and pg_restore cannot be given it",
                    hint="Remove it from the extra of the connection.",
                )
            variables[variable] = value
        return {**variables, "PGDATABASE": self.name, "PGAPPNAME": APPLICATION_NAME}


@cache
def _variables() -> Mapping[str, str]:
    """Return the environment variable of each parameter that has one, as libpq itself tells."""
    return {
        option.keyword.decode(): option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar
    }


@cache
def _secret_parameters() -> frozenset[str]:
    """Return the parameters that libpq marks as secret, and the options, which may hold a key.

    Its marks are ``*`` for a password and ``D`` for what is not to be shown:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNDEFAULTS
    """
    marked = {
        option.keyword.decode()
        for option in pq.Conninfo.get_defaults()
        if option.dispchar in (b"*", b"D")
    }
    # libpq 17, which psycopg 3.2 brings, does not know the last one yet.
    return frozenset(marked | {"options", "oauth_client_secret"})
