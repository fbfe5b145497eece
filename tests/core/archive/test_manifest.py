"""Manifests of other versions of this package."""

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive.manifest import (
    BY_COLUMN,
    BY_ROW,
    Block,
    Manifest,
    ManifestEntry,
    TableChecksum,
)
from airflow_provider_pgclone.core.errors import UnsupportedError

MANIFEST = Manifest(
    entries=(ManifestEntry(Block(7, 1, 100, 20, 40, 3, "ab"), "public", "users"),),
    package_version="0.1.0",
    created_at="2026-01-02T03:04:05+00:00",
    toc_bytes=100,
    toc_sha256="cd",
    has_rows=True,
    archive_version="1.16",
    compression="zstd",
    pg_dump_version="17.2",
    server_version="17.2",
    database="shop",
    database_bytes=1,
    encoding="UTF8",
)


def test_what_is_written_is_read() -> None:
    assert Manifest.from_json(MANIFEST.as_json()) == MANIFEST


def test_each_checksum_says_what_it_is_made_of() -> None:
    checksums = {
        ("public", "users"): TableChecksum(3, "12", BY_COLUMN),
        ("public", "old"): TableChecksum(3, "13", BY_ROW),
    }
    manifest = replace(MANIFEST, checksums=checksums)
    values = manifest.as_json()
    assert values["checksums"][1] == ["public", "old", 3, "13"]
    assert Manifest.from_json(values) == manifest


def test_names_that_a_newer_version_adds_are_ignored() -> None:
    values = MANIFEST.as_json()
    values["colour"] = "blue"
    values["parts"][0]["weight"] = 5
    assert Manifest.from_json(values) == MANIFEST


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in MANIFEST.as_json().items() if key != name}


@pytest.mark.parametrize(
    "values",
    [
        without("toc_sha256"),
        without("parts"),
        {**MANIFEST.as_json(), "masking": ["email"]},
        {**MANIFEST.as_json(), "checksums": [["public", "users", 3, "12", "page"]]},
        {**MANIFEST.as_json(), "parts": [{"dump_id": 1}]},
    ],
)
def test_facts_that_are_missing_do_not_call_a_dump_damaged(values: dict[str, Any]) -> None:
    """Its bytes are those that were written: only a version that we do not know wrote them."""
    with pytest.raises(UnsupportedError, match="cannot read the manifest"):
        Manifest.from_json(values)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        *((name, 5, f"{name} is a int") for name in ("package_version", "created_at", "encoding")),
        *((name, None, f"{name} is a NoneType") for name in ("archive_version", "compression")),
        *((name, [], f"{name} is a list") for name in ("server_version", "database")),
        *((name, {}, f"{name} is a dict") for name in ("toc_sha256", "pg_dump_version")),
        *((name, "5", f"{name} is a str") for name in ("toc_bytes", "has_rows", "database_bytes")),
        ("database_bytes", 2**63 + 1, "database_bytes is too large"),
        ("seconds", -0.5, "seconds is not a time"),
        ("seconds", 2**63 + 5000, "seconds is not a time"),
        ("made_by", {"dag": 5}, "dag is a int"),
        ("content", {"exclude": ["a", 5]}, "1 is a int"),
    ],
)
def test_a_fact_of_another_type_is_not_taken(name: str, value: object, reason: str) -> None:
    with pytest.raises(UnsupportedError, match="cannot read the manifest") as caught:
        Manifest.from_json({**MANIFEST.as_json(), name: value})
    assert str(caught.value.__cause__) == reason


@pytest.mark.parametrize(
    ("name", "value"), [("database_bytes", 2**63), ("seconds", 0), ("seconds", 2**63)]
)
def test_the_largest_and_the_smallest_number_are_taken(name: str, value: int) -> None:
    manifest = Manifest.from_json({**MANIFEST.as_json(), name: value})
    assert vars(manifest)[name] == value


@pytest.mark.parametrize("name", ["dump_id", "kind", "offset", "length", "raw_bytes", "rows"])
def test_the_numbers_of_a_block_are_numbers(name: str) -> None:
    values = MANIFEST.as_json()
    values["parts"][0][name] = "5"
    with pytest.raises(UnsupportedError, match="cannot read the manifest") as caught:
        Manifest.from_json(values)
    assert str(caught.value.__cause__) == f"{name} is a str"


@pytest.mark.parametrize("name", ["schema", "table", "sha256"])
def test_the_texts_of_a_block_are_texts(name: str) -> None:
    values = MANIFEST.as_json()
    values["parts"][0][name] = 5
    with pytest.raises(UnsupportedError, match="cannot read the manifest") as caught:
        Manifest.from_json(values)
    assert str(caught.value.__cause__) == f"{name} is a int"


@pytest.mark.parametrize("name", ["content", "made_by", "seconds", "instance"])
def test_facts_that_older_versions_do_not_write_may_be_missing(name: str) -> None:
    manifest = Manifest.from_json(without(name))
    assert manifest == replace(MANIFEST, **{name: vars(manifest)[name]})
    assert not vars(manifest)[name]
