"""Signs manifests with a secret, so that a restore can tell who wrote an archive. Pure: no I/O.

A manifest has the hashes of all other bytes of its archive, so that its signature is one of the
whole archive. The dump key is signed too: otherwise an old dump, or one of another database, could
be put in the place of a new one.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_pgclone.core.errors import InvalidInputError

SIGNATURE = "signature"
_PURPOSE = b"pgclone manifest 1"
_LEAST_KEY_CHARS = 16


def check_signing_key(key: str) -> None:
    """Refuse a key that could be guessed.

    :raises InvalidInputError: the message does not contain the key.
    """
    if len(key) < _LEAST_KEY_CHARS:
        raise InvalidInputError(
            f"the signing key has fewer than {_LEAST_KEY_CHARS} characters",
            hint="Create a random key, such as with `openssl rand -hex 32`.",
        )


def required_signing_key(key: str | None) -> str:
    """Return the key with which signatures are checked.

    :raises InvalidInputError: when none was given.
    """
    if key is None:
        raise InvalidInputError(
            "require_signed needs the signing key, and none was given",
            hint="Set signing_key_conn_id, to a connection whose password is the key, where "
            "require_signed is set.",
        )
    check_signing_key(key)
    return key


def signature(values: Mapping[str, Any], dump_key: str, key: str) -> str:
    """Return the signature of a manifest, in hexadecimal.

    :param values: the manifest as JSON values; a signature in it is left out.
    :param dump_key: the place of the archive in storage.
    :param key: the signing key.
    """
    text = json.dumps({name: value for name, value in values.items() if name != SIGNATURE})
    message = b"\0".join((_PURPOSE, dump_key.encode(), text.encode()))
    return hmac.digest(key.encode(), message, hashlib.sha256).hex()


def is_signed_by(values: Mapping[str, Any], dump_key: str, key: str) -> bool:
    """Tell whether the signature in a manifest is that of a key."""
    found = str(values.get(SIGNATURE, ""))
    return hmac.compare_digest(
        found.encode(errors="replace"), signature(values, dump_key, key).encode()
    )
