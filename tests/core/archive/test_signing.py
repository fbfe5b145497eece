"""Signatures of manifests, and the keys that make them."""

import hashlib
import hmac
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive import (
    check_signing_key,
    is_signed_by,
    required_signing_key,
    signature,
)
from airflow_provider_pgclone.core.errors import InvalidInputError

KEY = "a key that is long enough"
DUMP = "prod/shop/none/2026-11-20-12-00-00-000005.dump"
VALUES: dict[str, Any] = {"format": 1, "database": "größe"}


def test_a_signature_is_an_hmac_of_its_purpose_the_dump_key_and_the_facts() -> None:
    """Written out, since a change would make all dumps of today unsigned."""
    message = (
        b"pgclone manifest 1\0"
        + DUMP.encode()
        + b'\0{"format": 1, "database": "gr\\u00f6\\u00dfe"}'
    )
    expected = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()
    assert signature(VALUES, DUMP, KEY) == expected


def test_the_signature_itself_is_not_signed() -> None:
    signed = {**VALUES, "signature": signature(VALUES, DUMP, KEY)}
    assert signature(signed, DUMP, KEY) == signed["signature"]
    assert is_signed_by(signed, DUMP, KEY)


@pytest.mark.parametrize(
    ("changed", "dump", "key"),
    [
        ({"format": 2}, DUMP, KEY),
        ({"more": 1}, DUMP, KEY),
        ({}, DUMP.replace("prod", "test"), KEY),
        ({}, DUMP, KEY + "x"),
        ({"signature": None}, DUMP, KEY),
        ({"signature": "\ud800"}, DUMP, KEY),
        ({"signature": ""}, DUMP, KEY),
    ],
)
def test_any_change_breaks_a_signature(changed: dict[str, Any], dump: str, key: str) -> None:
    signed = {**VALUES, "signature": signature(VALUES, DUMP, KEY)}
    assert not is_signed_by({**signed, **changed}, dump, key)


def test_what_has_no_signature_is_not_signed() -> None:
    assert not is_signed_by(VALUES, DUMP, KEY)


def test_a_key_has_sixteen_characters_at_least() -> None:
    check_signing_key("k" * 16)
    assert required_signing_key("k" * 16) == "k" * 16
    for check in (check_signing_key, required_signing_key):
        with pytest.raises(InvalidInputError) as caught:
            check("hunter2" + "x" * 8)
        assert caught.value.message == "the signing key has fewer than 16 characters"
        assert caught.value.hint == "Create a random key, such as with `openssl rand -hex 32`."


def test_who_requires_signatures_must_give_the_key() -> None:
    with pytest.raises(InvalidInputError) as caught:
        required_signing_key(None)
    assert caught.value.message == "require_signed needs the signing key, and none was given"
    assert caught.value.hint == (
        "Set signing_key_conn_id, to a connection whose password is the key, where "
        "require_signed is set."
    )
