"""Who wrote an archive: only dumps with the signature of the signing key are restored."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_pgclone.core.archive import (
    SIGNATURE,
    TAIL_BYTES,
    Manifest,
    manifest_block,
    read_footer,
    read_manifest,
    signature,
)
from airflow_provider_pgclone.core.archive.footer import HEAD_BYTES
from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnsupportedError,
)
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

KEY, OTHER_KEY = "the key of this installation", "the key of somebody else"
SIGNED: dict[str, Any] = {"require_signed": True, "signing_key": KEY}


def rewritten(data: bytes, change: Callable[[dict[str, Any]], str | None]) -> bytes:
    """Return an archive with another manifest.

    :param change: changes the JSON values, and returns the new signature.
    """
    footer = read_footer(data[-TAIL_BYTES:], len(data))
    assert footer is not None
    values = read_manifest(data[footer.offset : footer.offset + footer.length], footer)
    signed = change(values)
    start = footer.offset - HEAD_BYTES
    dump_id = int.from_bytes(data[start + 2 : start + 6], "little")
    sign = None if signed is None else lambda _: signed
    block = manifest_block(Manifest.from_json(values), dump_id=dump_id, offset=start, sign=sign)
    return data[:start] + block


def test_a_signed_dump_is_restored_and_verified(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SIGNER", f'{{"conn_type": "generic", "password": "{KEY}"}}')
    key = make_hook(shop).dump(signing_key_conn_id="signer")
    hook = make_hook("restored")
    for level in ("archive", "restore"):
        assert hook.verify(key, level=level, **SIGNED) == key
    assert hook.restore(key, require_signed=True, signing_key_conn_id="signer") == key
    assert server.value("restored", "SELECT count(*) FROM users") == 500
    assert hook.restore(key) == key  # who does not ask needs no key


def test_what_is_not_signed_by_the_key_is_refused_before_anything_is_made(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    plain, other = make_hook(shop).dump(), make_hook(shop).dump(signing_key=OTHER_KEY)
    hook = make_hook("restored")
    for call in (hook.restore, hook.verify):
        with pytest.raises(UnsupportedError, match="is not signed"):
            call(plain, **SIGNED)
        with pytest.raises(NotAllowedError, match=r"the signature of .* does not fit"):
            call(other, **SIGNED)
        with pytest.raises(InvalidInputError, match="needs the signing key, and none was given"):
            call(other, require_signed=True)
    assert server.names() == {shop}
    assert [dump.finding for dump in hook.ls()] == [None, None]


def test_a_person_is_offered_only_what_a_restore_takes(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    make_hook(shop).dump()
    key, other = make_hook(shop).dump(signing_key=KEY), make_hook(shop).dump(signing_key=OTHER_KEY)
    choices = make_hook("restored").choices(**SIGNED)
    assert [choice.key for choice in choices.list()] == [key]
    assert choices.check(key) == key
    with pytest.raises(NotAllowedError, match="does not fit"):
        choices.check(other)
    with pytest.raises(InvalidInputError, match="needs the signing key, and none was given"):
        make_hook("restored").choices(require_signed=True).list()


def test_a_changed_or_moved_dump_is_refused(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook("restored")
    key = make_hook(shop).dump(signing_key=KEY)
    path = local_storage / key
    moved = key.replace(f"/{shop}/", "/payroll/")
    (local_storage / moved).parent.mkdir(parents=True)
    shutil.copy(path, local_storage / moved)
    with pytest.raises(NotAllowedError, match="in the place of another dump"):
        hook.restore(moved, **SIGNED)

    def claim_masks(values: dict[str, Any]) -> str:
        values["masking"] = {"columns": [["public", "users", "email", "hash"]]}
        return str(values[SIGNATURE])

    def sign_with_other_key(values: dict[str, Any]) -> str:
        return signature(values, key, OTHER_KEY)

    for change, error in (
        (claim_masks, NotAllowedError),
        (sign_with_other_key, NotAllowedError),
        (lambda _: None, UnsupportedError),
    ):
        path.write_bytes(rewritten(path.read_bytes(), change))
        with pytest.raises(error):
            hook.restore(key, **SIGNED)
    hook.restore(key, require_signed=False)


def test_rows_that_are_sql_are_refused_since_they_would_run_unchecked(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = make_hook(shop).dump(signing_key=KEY, pg_dump_args=["--inserts"])
    hook = make_hook("restored")
    with pytest.raises(UnsupportedError, match="has its rows as SQL"):
        hook.restore(key, **SIGNED)
    with pytest.raises(UnsupportedError, match="has its rows as SQL"):
        hook.verify(key, level="restore", **SIGNED)
    assert server.names() == {shop}


def test_the_key_of_the_connection_that_requires_it_counts(
    shop: str, make_hook: MakeHook, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = f'{{"pgclone": {{"require_signed": true, "signing_key": "{KEY}"}}}}'
    monkeypatch.setenv("AIRFLOW_CONN_STRICT", server.server.uri("", __extra__=quote(options)))
    own, other = make_hook(shop).dump(signing_key=KEY), make_hook(shop).dump(signing_key=OTHER_KEY)
    hook = make_hook("restored", postgres_conn_id="strict")
    with pytest.raises(NotAllowedError, match="does not fit"):
        hook.restore(other, require_signed=True, signing_key=OTHER_KEY)
    assert hook.restore(own) == own


def test_the_extra_of_a_connection_requires_it_and_no_argument_lifts_that(
    shop: str,
    make_hook: MakeHook,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_hook(shop).dump()
    extra = server.server.uri("", __extra__='{"pgclone": {"require_signed": true}}')
    monkeypatch.setenv("AIRFLOW_CONN_STRICT", extra)
    hook = make_hook("restored", postgres_conn_id="strict")
    with pytest.raises(InvalidInputError, match="needs the signing key, and none was given"):
        hook.restore(key, require_signed=False, signing_key=KEY)


def test_a_key_that_could_be_guessed_is_refused_and_not_shown(
    shop: str, make_hook: MakeHook
) -> None:
    with pytest.raises(InvalidInputError, match="fewer than 16 characters") as raised:
        make_hook(shop).dump(signing_key="hunter2")
    assert "hunter2" not in str(raised.value)


def test_a_signed_dump_with_large_objects_is_restored(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(shop, "SELECT lo_from_bytea(70001, 'large')")
    key = make_hook(shop).dump(signing_key=KEY)
    assert make_hook("restored").restore(key, **SIGNED) == key
    assert server.value("restored", "SELECT convert_from(lo_get(70001), 'UTF8')") == "large"
