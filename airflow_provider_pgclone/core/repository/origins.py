"""Tells of which database and instance a dump is, where its key alone does not.

Several names may share one part of the keys that earlier versions made. The manifest has the name
of the database as it is. It tells the instance too, but not in dumps of earlier versions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ArchiveError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.keys import DumpKey, is_part_of, may_be_shared
from airflow_provider_pgclone.core.repository.stored_archive import read_manifest_of
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)


@dataclass(frozen=True)
class Origin:
    """What the key of a dump stands for.

    :param instance: the part of the instance; ``None`` if several instances may share that part,
        and the dump does not tell.
    :param database: the name of the database.
    """

    instance: str | None
    database: str


def origin_of(storage: Storage, dump: Dump) -> Origin | None:
    """Return the instance and the database that the key of a dump stands for.

    The manifest tells them. The parts of the key do if the dump has no manifest, or if they are not
    made of these names, as where somebody has moved the dump.

    :return: ``None`` if the dump cannot be read.
    :raises StorageError: when storage cannot be reached.
    """
    key = DumpKey.parse(dump.key)
    try:
        manifest = read_manifest_of(storage, dump)
    except (ArchiveError, UnsupportedError, NotFoundError):
        return None
    if manifest is None:
        return Origin(key.instance, key.database)
    is_told = manifest.instance is not None or not may_be_shared(key.instance)
    is_there = is_part_of(key.database, manifest.database)
    return Origin(
        key.instance if is_told else None, manifest.database if is_there else key.database
    )


def by_origin(
    storage: Storage, series: Sequence[Dump], cancellation: Cancellation
) -> list[list[Dump]]:
    """Divide the dumps of a series by their databases, which takes a read of each manifest.

    What may be of another database or instance than the rest is left out, and logged: dumps that do
    not tell their instance, and beside such or beside several databases those that cannot be read.
    """
    found: dict[Origin | None, list[Dump]] = {}
    for dump in series:
        cancellation.check()
        found.setdefault(origin_of(storage, dump), []).append(dump)
    untold = [one for one in found if one is not None and one.instance is None]
    left_out = [dump for one in untold for dump in found.pop(one)]
    if not left_out and len(found.keys() - {None}) < 2:
        return [list(series)]
    if left_out:
        log.warning(
            "%d dumps of an earlier version are kept, such as %s: they do not tell their instance, "
            "and their keys may stand for several; delete in the storage what you do not need",
            len(left_out),
            left_out[-1].key,
        )
    for dump in found.pop(None, []):
        log.warning(
            "%s is kept: it cannot be read, and may be of another database or instance than the "
            "other dumps beside it",
            dump.key,
        )
    return list(found.values())
