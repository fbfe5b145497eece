"""Tells of which database a dump is, where its key alone does not.

Several databases may share one part of the keys that earlier versions made. The manifest has the
name of the database as it is.
"""

import logging
from collections.abc import Sequence

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.keys import DumpKey, is_part_of
from airflow_provider_pgclone.core.repository.stored_archive import read_manifest_of
from airflow_provider_pgclone.core.storage import Storage

log = logging.getLogger(__name__)


def origin_of(storage: Storage, dump: Dump) -> str | None:
    """Return the name of the database that the key of a dump stands for.

    That is the name in the manifest. It is the part of the key if the dump has no manifest, or if
    the part is not made of that name, as where somebody has moved the dump.

    :return: ``None`` if the dump cannot be read.
    :raises StorageError: when storage cannot be reached.
    """
    part = DumpKey.parse(dump.key).database
    try:
        manifest = read_manifest_of(storage, dump)
    except (ArchiveError, UnsupportedError, NotFoundError):
        return None
    return manifest.database if manifest and is_part_of(part, manifest.database) else part


def by_origin(
    storage: Storage, series: Sequence[Dump], cancellation: Cancellation
) -> list[list[Dump]]:
    """Divide the dumps of a series by their databases, which takes a read of each manifest.

    Of several databases, a dump that cannot be read may be of any. It is left out, and logged.
    """
    found: dict[str | None, list[Dump]] = {}
    for dump in series:
        cancellation.check()
        found.setdefault(origin_of(storage, dump), []).append(dump)
    if len(found.keys() - {None}) < 2:
        return [list(series)]
    for dump in found.pop(None, []):
        log.warning(
            "%s is kept: it cannot be read, and its key may stand for any of %s",
            dump.key,
            ", ".join(map(repr, found)),
        )
    return list(found.values())
