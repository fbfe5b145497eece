"""What lists of dumps show of each dump: a few facts of its manifest, read once."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from airflow_provider_pgclone.core.archive import Manifest
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.findings import Verdict
from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.core.repository.stored_archive import read_signed_manifest_of
from airflow_provider_pgclone.core.storage import Storage

# A manifest is two small reads, which mostly wait for storage.
_READERS = 8


@dataclass(frozen=True)
class DumpSummary:
    """A dump, and what a reader wants to know before the choice of it.

    :param database: the database that was dumped, as its key names it.
    :param problem: why its manifest could not be read; empty if it was read. The facts below it
        are then unknown.
    :param is_masked: whether any column is masked; ``None`` if unknown.
    :param left_out: the options by which the dump may have less than the whole database.
    :param rows: the number of rows in all tables.
    :param tables: the number of tables with rows.
    :param database_bytes: the size of the database that was dumped.
    :param seconds: how long the dump took; ``None`` if not known.
    :param made_by: who made the dump, such as the ``dag``, the ``task`` and the ``run``.
    """

    key: str
    size_bytes: int
    created_at: datetime
    finding: Verdict | None
    database: str
    problem: str = ""
    is_masked: bool | None = None
    left_out: Sequence[str] = ()
    rows: int | None = None
    tables: int | None = None
    database_bytes: int | None = None
    seconds: float | None = None
    server_version: str = ""
    made_by: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DumpSummary":
        """Build a summary from the result of :meth:`as_json`; unknown names are ignored."""
        names = [one.name for one in fields(cls) if one.name in values]
        known = {name: values[name] for name in names}
        known["created_at"] = datetime.fromisoformat(known["created_at"])
        return cls(**known)


def read_summaries(
    storage: Storage,
    dumps: Sequence[Dump],
    *,
    known: Mapping[str, DumpSummary],
    cancellation: Cancellation,
) -> list[DumpSummary]:
    """Return the summaries of dumps, in their order; manifests are read at the same time.

    A dump that cannot be read has a summary that says why.

    :param known: summaries by key that were read before. A dump never changes, so that only its
        verdict is taken anew.
    :raises StorageError: when storage cannot be reached.
    """

    def summary(dump: Dump) -> DumpSummary:
        cancellation.check()
        found = known.get(dump.key)
        if found is not None and found.size_bytes == dump.size_bytes and not found.problem:
            return replace(found, finding=dump.finding)
        return read_summary(storage, dump)

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(summary, dumps))


def read_summary(storage: Storage, dump: Dump) -> DumpSummary:
    """Return the summary of a dump; one that cannot be read has a summary that says why.

    :raises StorageError: when storage cannot be reached.
    """
    return summarize(dump, lambda: read_signed_manifest_of(storage, dump))[0]


def summarize(
    dump: Dump, read: Callable[[], tuple[Manifest, bool] | None]
) -> tuple[DumpSummary, tuple[Manifest, bool] | None]:
    """Return the summary of a dump, and its manifest if it has one that can be read.

    :param read: reads its manifest, and whether it is signed.
    """
    database = DumpKey.parse(dump.key).database
    bare = DumpSummary(dump.key, dump.size_bytes, dump.created_at, dump.finding, database)
    try:
        found = read()
    except NotFoundError:
        return replace(bare, problem="it was deleted after it was listed"), None
    except (ArchiveError, UnsupportedError) as error:
        return replace(bare, problem=error.message), None
    if found is None:
        return replace(bare, problem="this package did not write it: it has no manifest"), None
    return _with_facts(bare, found[0]), found


def _with_facts(bare: DumpSummary, manifest: Manifest) -> DumpSummary:
    rows = manifest.rows_of_tables
    return replace(
        bare,
        database=manifest.database,
        is_masked=manifest.masks_columns,
        left_out=tuple(manifest.left_out),
        rows=sum(rows.values()) if manifest.has_rows else None,
        tables=len(rows),
        database_bytes=manifest.database_bytes,
        seconds=manifest.seconds,
        server_version=manifest.server_version,
        made_by=manifest.made_by,
    )
