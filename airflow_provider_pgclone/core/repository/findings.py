"""The verdicts of verifications, as records beside each dump.

The name of a record contains the verdict, so that a listing shows it without reading the record.
The record contains the hash of the bytes that were verified, so that it is valid for no others.
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
# The strongest verdict comes first. The names have no "-", since listings fold times at "-".
_SUFFIXES: Mapping[Verdict, str] = {
    "damaged": ".damaged",
    "restore": ".verified_restore",
    "archive": ".verified_archive",
}
# The name of the hash of the manifest in records, from the first version on.
_SHA256_KEY = "account_sha256"


@dataclass(frozen=True)
class Record:
    """The record of one verification of a dump.

    :param finding: the verdict.
    :param manifest_sha256: the hash of the manifest at the end of the dump, in hexadecimal. The
        manifest contains the hashes of all other bytes. Empty if the dump is damaged.
    :param details: further facts about the verification.
    :param found_at: the time of the verdict, in ISO 8601.
    """

    finding: Verdict
    manifest_sha256: str
    details: Mapping[str, str]
    found_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


def record_paths(key: str) -> list[str]:
    """Return the paths at which a dump may have records."""
    return [key + suffix for suffix in _SUFFIXES.values()]


def dump_of_record(path: str) -> tuple[str, Verdict] | None:
    """Return the key of the dump to which a record belongs, and the verdict.

    :return: ``None`` if the path is not the path of a record.
    """
    for finding, suffix in _SUFFIXES.items():
        if path.endswith(SUFFIX + suffix):
            return path.removesuffix(suffix), finding
    return None


def strongest(findings: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict that counts, among all verdicts about a dump."""
    return next((finding for finding in _SUFFIXES if finding in findings), None)


def write_record(storage: Storage, key: str, record: Record) -> None:
    """Write a record, and remove records that contradict it or that are about other bytes."""
    data = json.dumps(_as_json(record), indent=1).encode()
    # A cancel is ignored: it would remove a record that was there before.
    with storage.open_write(
        key + _SUFFIXES[record.finding], expected_bytes=len(data), cancellation=Cancellation()
    ) as upload:
        upload.write(data)
    for finding in _SUFFIXES:
        if finding != record.finding and not _agrees(storage, key, finding, record):
            remove_record(storage, key, finding)


def read_record(storage: Storage, key: str, finding: Verdict) -> Record:
    """Read a record that a listing has shown.

    :raises NotFoundError: when the record does not exist any more.
    :raises ArchiveError: when the file is not a record.
    """
    data = b"".join(storage.read(key + _SUFFIXES[finding]))
    try:
        return _from_json(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArchiveError(
            f"the record {key + _SUFFIXES[finding]} cannot be read", hint="Verify the dump again."
        ) from error


def remove_record(storage: Storage, key: str, finding: Verdict) -> None:
    """Remove a record; it is not an error if it does not exist."""
    storage.delete(key + _SUFFIXES[finding])


def _agrees(storage: Storage, key: str, finding: Verdict, new: Record) -> bool:
    """Tell whether an older record of a dump may stay beside a new one."""
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

    :raises KeyError: when the hash is missing.
    :raises TypeError: when another value is missing, or a name is unknown.
    """
    return Record(manifest_sha256=values.pop(_SHA256_KEY), **values)
