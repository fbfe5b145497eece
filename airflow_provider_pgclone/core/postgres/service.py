"""The service of libpq that the environment may name, and what it says.

psycopg prefers the parameters of a connection to the service, but programs have only variables, to
which they prefer the service. So programs do not get the service, but what it says:
https://www.postgresql.org/docs/current/libpq-pgservice.html
"""

import os
from collections.abc import Mapping

from psycopg import pq

_SERVICE_VARIABLES = frozenset({"PGSERVICE", "PGSERVICEFILE"})
# Parameters that no program gets by a variable: those that name a service, and the database, which
# is named apart.
NEVER_GIVEN = frozenset({"service", "servicefile", "dbname"})


def service_parameters() -> dict[str, str]:
    """Return the parameters that a session has by the service, and so by the variables beside it.

    Without a service there are none, because a program reads the variables itself. Passwords may
    be among them.
    """
    if "PGSERVICE" not in os.environ:
        return {}
    return {
        keyword: option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
        and (keyword := option.keyword.decode()) not in NEVER_GIVEN
        and not _is_default(option)
    }


def without_service(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables of the environment, without those that name a service."""
    return {name: value for name, value in variables.items() if name not in _SERVICE_VARIABLES}


def _is_default(option: pq.ConninfoOption) -> bool:
    """Tell whether a program has the value anyway; a given one is checked against the others."""
    is_set = option.envvar is not None and option.envvar.decode() in os.environ
    return option.val == option.compiled and not is_set
