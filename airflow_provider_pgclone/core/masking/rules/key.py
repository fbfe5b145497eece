"""The mask key, and the secrets that are derived from it.

Sessions get the derived secrets as settings at their start (:func:`with_key`); the key itself never
leaves the process. Neither may be shown: ``Masking.key`` and ``Database`` keep them out of a repr,
``options.sources`` out of errors, and ``hooks.call`` and the operators have Airflow mask them in
logs and rendered fields.
"""

import hashlib
import hmac
import ipaddress
import os
from dataclasses import replace
from enum import IntEnum
from itertools import zip_longest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Database

MAX_BIGINT = 2**63 - 1
# How the names of all settings of secrets start.
SECRETS = "pgclone.mask_"
KEY_SETTING = f"{SECRETS}key"
NOISE_KEY_SETTING = f"{SECRETS}noise_key"
_SEEDS_SETTING = f"{SECRETS}seeds"


class Seed(IntEnum):
    """Which derived seed each use has: no two uses share one, or their values could be linked."""

    EMAIL = 0
    FIRST_NAME = 1
    LAST_NAME = 2
    COMPANY = 3
    COMPANY_FORM = 4
    CITY = 5
    HOUSE_NUMBER = 6
    STREET = 7
    TEXT = 8
    DATE_SHIFT = 9
    # 10 is not used any more. A new number for digits would change the masks of a key.
    DIGITS = 11  # and the seven that follow, one for each round


_SEEDS = Seed.DIGITS + 8
_LEAST_KEY_CHARS = 16


def check_key(key: str) -> None:
    """Refuse a key that could be guessed.

    :raises InvalidInputError: the message does not contain the key.
    """
    if len(key) < _LEAST_KEY_CHARS:
        raise InvalidInputError(
            f"the mask key has fewer than {_LEAST_KEY_CHARS} characters",
            hint="Create a random key, such as with `openssl rand -hex 32`.",
        )


def with_key(database: Database, key: str) -> Database:
    """Return a database whose sessions get the secrets derived from a key, not the key itself."""
    hash_key, noise_key, *seeds = derived_secrets(key)
    settings = {
        KEY_SETTING: hash_key,
        NOISE_KEY_SETTING: noise_key,
        _SEEDS_SETTING: ",".join(seeds),
    }
    own = " ".join(f"-c {name}={value}" for name, value in settings.items())
    # These come first, because the other options may end in a backslash.
    options = f"{own} {database.options}".strip()
    return replace(database, parameters={**database.parameters, "options": options})


def check_no_service() -> None:
    """Refuse a service in the environment: it may name another server, and psql would not use it.

    :raises UnsupportedError: when there is one.
    """
    if os.environ.get("PGSERVICE"):
        raise UnsupportedError(
            "a mask key cannot be used while PGSERVICE is set in the environment of the worker",
            hint="Name the server in the connection instead.",
        )


def encrypted(database: Database) -> Database:
    """Return a database whose sessions are encrypted if they cross a network.

    The derived secrets are sent when a session starts. By its default ``prefer``, libpq would send
    them unencrypted to a server without TLS:
    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION

    :raises UnsupportedError: when the connection forbids encryption.
    """
    given = {**_environment(), **database.parameters}
    pairs = zip_longest(given.get("hostaddr", "").split(","), given.get("host", "").split(","))
    hosts = [address or host or "" for address, host in pairs]
    if all(_is_here(host) for host in hosts):
        return database
    mode = given.get("sslmode", "prefer")
    if mode == "disable":
        raise UnsupportedError(
            f"the mask key would cross the network to {', '.join(hosts)} without TLS: sslmode is "
            "disable",
            hint="Set sslmode to verify-full in the extra of the connection, or mask_without_tls.",
        )
    if mode in ("allow", "prefer"):
        mode = "require"
    return replace(database, parameters={**database.parameters, "sslmode": mode})


def _environment() -> dict[str, str]:
    variables = {"hostaddr": "PGHOSTADDR", "host": "PGHOST", "sslmode": "PGSSLMODE"}
    return {key: os.environ[name] for key, name in variables.items() if name in os.environ}


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine: a socket, or its loopback interface."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def derived_secrets(key: str) -> list[str]:
    """Return the secrets that sessions get in place of a key; they must not be shown."""
    keys = [_derived(key, purpose).hex() for purpose in ("key", "noise key")]
    return [*keys, *(str(_seed(key, number)) for number in range(_SEEDS))]


def seed(number: int) -> str:
    """Return the SQL of a seed; PostgreSQL reads it once a statement, not once a row."""
    return f"(SELECT split_part(current_setting('{_SEEDS_SETTING}'), ',', {number + 1})::bigint)"


def _derived(key: str, purpose: str) -> bytes:
    return hmac.digest(key.encode(), f"pgclone mask {purpose}".encode(), hashlib.sha256)


def _seed(key: str, number: int) -> int:
    return int.from_bytes(_derived(key, f"seed {number}")[:8], signed=True)
