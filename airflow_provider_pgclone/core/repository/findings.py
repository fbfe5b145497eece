"""What verifications have found, kept beside each dump.

The name of a record tells its finding, so that a listing shows it without reading anything; what is
in it tells which bytes were verified, so that it counts for no others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError
from airflow_provider_pgclone.core.repository.keys import SUFFIX
from airflow_provider_pgclone.core.storage import Storage

Verdict = Literal["damaged", "archive", "restore"]
# What counts most comes first. No name has a "-", at which listings fold the times of dumps.
_SUFFIXES: Mapping[Verdict, str] = {
    "damaged": ".damaged",
    "restore": ".verified_restore",
    "archive": ".verified_archive",
}
# What records have called the hash of the manifest from the first version on.
_SHA256_KEY = "account_sha256"


@dataclass(frozen=True)
class Record:
    """A finding about a dump.

    :param finding: that it is damaged, or up to which level it was verified.
    :param manifest_sha256: of the manifest at the end of the dump, which has the hash of all else;
        empty where it is damaged.
    :param details: what else is known of the verification.
    :param found_at: in ISO 8601.
    """

    finding: Verdict
    manifest_sha256: str
    details: Mapping[str, str]
    found_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


def record_paths(key: str) -> list[str]:
    """Return where the records of a dump may be, which go when it goes."""
    return [key + suffix for suffix in _SUFFIXES.values()]


def dump_of_record(path: str) -> tuple[str, Verdict] | None:
    """Return the key of the dump that a file is a record of, and its finding; ``None`` if none."""
    for finding, suffix in _SUFFIXES.items():
        if path.endswith(SUFFIX + suffix):
            return path.removesuffix(suffix), finding
    return None


def strongest(findings: Sequence[Verdict]) -> Verdict | None:
    """Return which of the findings about a dump counts."""
    return next((finding for finding in _SUFFIXES if finding in findings), None)


def write_record(storage: Storage, key: str, record: Record) -> None:
    """Note a finding in the place of those that it contradicts, or that are of other bytes."""
    data = json.dumps(_as_json(record), indent=1).encode()
    # Not to be cancelled, which would take back what stood there before.
    with storage.open_write(
        key + _SUFFIXES[record.finding], expected_bytes=len(data), cancellation=Cancellation()
    ) as upload:
        upload.write(data)
    for finding in _SUFFIXES:
        if finding != record.finding and not _agrees(storage, key, finding, record):
            remove_record(storage, key, finding)


def read_record(storage: Storage, key: str, finding: Verdict) -> Record:
    """Read a record that a listing has shown.

    :raises ArchiveError: when it is none.
    """
    data = b"".join(storage.read(key + _SUFFIXES[finding]))
    try:
        return _from_json(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArchiveError(
            f"the record {key + _SUFFIXES[finding]} cannot be read", hint="Verify the dump again."
        ) from error


def remove_record(storage: Storage, key: str, finding: Verdict) -> None:
    """Remove a record; no error where there is none."""
    storage.delete(key + _SUFFIXES[finding])


def _agrees(storage: Storage, key: str, finding: Verdict, new: Record) -> bool:
    """Whether another record of a dump may stay beside a new one."""
    if "damaged" in (finding, new.finding):
        return False
    try:
        return read_record(storage, key, finding).manifest_sha256 == new.manifest_sha256
    except (NotFoundError, ArchiveError):
        return False


def _as_json(record: Record) -> dict[str, Any]:
    values = asdict(record)
    return {_SHA256_KEY: values.pop("manifest_sha256"), **values}


def _from_json(values: dict[str, Any]) -> Record:
    """Build a record.

    :raises KeyError, TypeError: when a value is missing, or one is unknown.
    """
    return Record(manifest_sha256=values.pop(_SHA256_KEY), **values)
