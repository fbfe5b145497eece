"""What a dump holds, table by table, as its manifest says; nothing but the manifest is read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_pgclone.core.archive import DATA, Manifest
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError
from airflow_provider_pgclone.core.repository.findings import read_record
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.repository.stored_archive import read_signed_manifest_of
from airflow_provider_pgclone.core.repository.summaries import DumpSummary, summarize
from airflow_provider_pgclone.core.storage import Storage


@dataclass(frozen=True)
class TableContent:
    """A table in a dump.

    :param rows: the number of its rows; ``None`` if they were not counted.
    :param raw_bytes: the size of its rows as text, before compression.
    :param stored_bytes: what they take in storage.
    """

    schema: str
    name: str
    rows: int | None
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class Verification:
    """The result of the last verification of a dump.

    :param found_at: when, in ISO 8601; empty if its record cannot be read.
    :param details: what else the record says, such as what is damaged.
    """

    finding: str
    found_at: str
    details: Mapping[str, str]


@dataclass(frozen=True)
class DumpDetails:
    """A dump and what it holds.

    :param tables: the tables with rows, the largest first.
    :param large_object_bytes: the size of the large objects, before compression.
    :param facts: the manifest without its blocks, as JSON values; empty if it cannot be read.
    :param is_signed: whether it has a signature, of any key.
    :param verification: ``None`` if it was not verified.
    """

    summary: DumpSummary
    tables: tuple[TableContent, ...]
    large_object_bytes: int
    facts: Mapping[str, Any]
    is_signed: bool
    verification: Verification | None

    def as_json(self) -> dict[str, Any]:
        """Return the details as JSON values."""
        return {**asdict(self), "summary": self.summary.as_json()}


def read_details(storage: Storage, key: str) -> DumpDetails:
    """Return what a dump holds; of one that cannot be read the summary says why.

    :param key: a dump key or a prefix (its newest dump).
    :raises NotFoundError: when there is no such dump.
    """
    dump = find_dump(storage, key)
    verification = _verification(storage, dump.key, dump.finding) if dump.finding else None
    summary, found = summarize(dump, lambda: read_signed_manifest_of(storage, dump))
    if found is None:
        return DumpDetails(summary, (), 0, {}, is_signed=False, verification=verification)
    manifest, is_signed = found
    large_objects = sum(
        entry.block.raw_bytes for entry in manifest.entries if entry.block.kind != DATA
    )
    return DumpDetails(
        summary, _tables(manifest), large_objects, manifest.facts(), is_signed, verification
    )


def _tables(manifest: Manifest) -> tuple[TableContent, ...]:
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in manifest.entries:
        if entry.block.kind == DATA:
            raw, stored = sizes.get((entry.schema, entry.table), (0, 0))
            block = entry.block
            sizes[entry.schema, entry.table] = (raw + block.raw_bytes, stored + block.length)
    rows = manifest.rows_of_tables
    tables = (
        TableContent(*name, rows[name] if manifest.has_rows else None, raw, stored)
        for name, (raw, stored) in sizes.items()
    )
    return tuple(sorted(tables, key=lambda one: (-one.raw_bytes, one.schema, one.name)))


def _verification(storage: Storage, key: str, finding: Any) -> Verification:
    try:
        record = read_record(storage, key, finding)
    except (NotFoundError, ArchiveError):  # removed or overwritten after it was listed
        return Verification(finding, "", {})
    return Verification(finding, record.found_at, record.details)
