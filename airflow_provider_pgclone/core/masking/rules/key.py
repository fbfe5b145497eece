"""The mask key, and the seeds that are derived from it."""

import hashlib
import hmac
from dataclasses import replace

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import Database

BIGGEST = 2**63 - 1


def seed(number: int) -> str:
    """Return the SQL of a seed; it is read once a statement, not once a row."""
    return f"(SELECT split_part(current_setting('{SEEDS_SETTING}'), ',', {number + 1})::bigint)"


LEAST_KEY_CHARS = 16


KEY_SETTING = "pgclone.mask_key"


SEEDS_SETTING = "pgclone.mask_seeds"


SEEDS = 19


def check_key(key: str) -> None:
    """Refuse a secret that could be guessed.

    :raises InvalidInputError: without the secret.
    """
    if len(key) < LEAST_KEY_CHARS:
        raise InvalidInputError(
            f"the mask key has fewer than {LEAST_KEY_CHARS} characters",
            hint="Make a random one, such as by `openssl rand -hex 32`.",
        )


def with_key(database: Database, key: str) -> Database:
    """Return a database whose sessions know what is derived from a secret, not the secret."""
    hash_key, *seeds = derived_secrets(key)
    own = f"-c {KEY_SETTING}={hash_key} -c {SEEDS_SETTING}={','.join(seeds)}"
    # Before what else there is, which may end in a backslash.
    options = f"{own} {database.parameters.get('options', '')}".strip()
    return replace(database, parameters={**database.parameters, "options": options})


def derived_secrets(key: str) -> list[str]:
    """Return what of the options of a session must not be shown."""
    return [_derived(key, "key").hex(), *(str(_seed(key, number)) for number in range(SEEDS))]


def _derived(key: str, purpose: str) -> bytes:
    return hmac.digest(key.encode(), f"pgclone mask {purpose}".encode(), hashlib.sha256)


def _seed(key: str, number: int) -> int:
    return int.from_bytes(_derived(key, f"seed {number}")[:8], signed=True)
