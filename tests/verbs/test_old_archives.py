"""Archives of version 0.1.0, from before manifests had types, are read and restored as before.

``archives/NAME.json`` is what that version returned by ``inspect`` for ``archives/NAME.dump``.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

ARCHIVES = Path(__file__).parent / "archives"
NAMES = sorted(path.stem for path in ARCHIVES.glob("*.dump"))
KEY = "old/shop/none/2026-11-26-02-00-00-000000.dump"
USERS = "SELECT count(*), count(note) FROM users"


@pytest.fixture
def stored(local_storage: Path) -> Path:
    path = local_storage / KEY
    path.parent.mkdir(parents=True)
    return path


def facts_of(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((ARCHIVES / f"{name}.json").read_text())
    return facts


def test_there_are_archives() -> None:
    assert NAMES == ["checksums", "gzip", "masked", "plain"]


@pytest.mark.parametrize("name", NAMES)
def test_its_facts_are_those_that_it_had(name: str, stored: Path, make_hook: MakeHook) -> None:
    shutil.copy(ARCHIVES / f"{name}.dump", stored)
    assert make_hook("shop").inspect(KEY) == {**facts_of(name), "is_signed": False}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("jobs", [1, 2])
def test_it_is_restored_and_compared(
    name: str, jobs: int, stored: Path, server: Server, make_hook: MakeHook
) -> None:
    shutil.copy(ARCHIVES / f"{name}.dump", stored)
    facts = facts_of(name)
    hook = make_hook("restored_shop")
    hook.verify(KEY)
    hook.restore(
        KEY,
        jobs=jobs,
        checksums="checksums" in facts,
        require_verified=True,
        require_masked="masking" in facts,
    )
    assert server.rows("restored_shop", USERS) == [(50, 0 if name == "masked" else 34)]
    for table, rows in facts["tables"].items():
        schema, _, relation = table.partition(".")
        count = f'SELECT count(*) FROM {schema}."{relation.replace(chr(34), chr(34) * 2)}"'
        assert server.value("restored_shop", count) == rows


def test_it_is_listed_as_masked(stored: Path, make_hook: MakeHook) -> None:
    shutil.copy(ARCHIVES / "plain.dump", stored)
    assert make_hook("shop").ls(masked=True) == []
    shutil.copy(ARCHIVES / "masked.dump", stored)
    assert [dump.key for dump in make_hook("shop").ls(masked=True)] == [KEY]


def test_its_record_counts_for_its_own_bytes(
    stored: Path, server: Server, make_hook: MakeHook
) -> None:
    shutil.copy(ARCHIVES / "checksums.dump", stored)
    record = "checksums.dump.verified_archive"
    shutil.copy(ARCHIVES / record, stored.with_name(f"{stored.name}.verified_archive"))
    hook = make_hook("restored_shop")
    assert [dump.finding for dump in hook.ls()] == ["archive"]
    hook.restore(KEY, require_verified=True)
    assert "restored_shop" in server.names()
