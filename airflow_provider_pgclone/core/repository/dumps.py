"""Lists the dumps of a storage location, the newest first, and reads no more than needed."""

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Literal

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.core.repository.findings import Verdict, dump_of_record, strongest
from airflow_provider_pgclone.core.repository.keys import PREFIX_HINT, SUFFIX, DumpKey, KeyPrefix
from airflow_provider_pgclone.core.storage import Storage, StoredObject

KeyPart = Literal["instances", "databases", "configs"]
PARTS: tuple[KeyPart, ...] = ("instances", "databases", "configs")
_FOLDER_DEPTH = len(PARTS)
# How many of the newest dumps are looked at for one that was probably meant.
_NEAR_DUMPS = 20


@dataclass(frozen=True)
class Dump:
    """A dump in storage. A dump appears in storage once it is written completely.

    :param created_at: the time at which the dump started, from its key.
    :param finding: the verdict of verifications. ``archive`` and ``restore`` are the levels at
        which the dump was found whole; ``damaged`` means that it was not; ``None`` means that it
        was not verified.
    """

    key: str
    size_bytes: int
    created_at: datetime
    finding: Verdict | None = None

    @property
    def is_verified(self) -> bool:
        """Whether a verification found the dump whole."""
        return self.finding in ("archive", "restore")


def newest_dumps(
    storage: Storage,
    prefix_text: str,
    *,
    limit: int | None,
    verified: bool = False,
    only: Callable[[Dump], bool] | None = None,
) -> list[Dump]:
    """Return the newest dumps under a prefix.

    :param limit: the largest number of dumps, ``None`` for all.
    :param verified: whether to return only dumps that a verification has found whole.
    :param only: tells whether to return a dump; not called for more dumps than needed.
    """
    prefix = KeyPrefix.parse(prefix_text)
    storage.check_readable()
    dumps = newest_first(storage, prefix)
    wanted = (dump for dump in dumps if dump.is_verified or not verified)
    return list(itertools.islice(filter(only, wanted) if only else wanted, limit))


def newest_first(storage: Storage, prefix: KeyPrefix) -> Iterator[Dump]:
    """Yield the dumps under a prefix; pages are fetched from storage as dumps are consumed."""
    walks = [
        _walk(storage, f"{folder}{prefix.timestamp}") for folder in _config_folders(storage, prefix)
    ]
    merged = heapq.merge(*walks, key=_key_of, reverse=True)
    return (dump for _, dump in merged)


def dumps_among(objects: Sequence[StoredObject]) -> list[Dump]:
    """Return the dumps among some objects; the objects include all records of these dumps."""
    return [dump for _, dump in _sorted_dumps(objects)]


def list_parts(storage: Storage, prefix_text: str, part: KeyPart) -> list[str]:
    """Return the instances, databases or configs that have dumps under a prefix, in order."""
    prefix = KeyPrefix.parse(prefix_text)
    storage.check_readable()
    position = PARTS.index(part)
    found: set[str] = set()
    for folder in _config_folders(storage, prefix):
        name = folder.split("/")[position]
        if name not in found and next(_walk(storage, f"{folder}{prefix.timestamp}"), None):
            found.add(name)
    return sorted(found)


def list_files(storage: Storage, prefix: str, *, limit: int | None) -> list[Dump]:
    """Return all files under a prefix, the newest first. The whole prefix is listed for this.

    :param prefix: the beginning of the paths; any text.
    :param limit: the largest number of files, ``None`` for all.
    """
    storage.check_readable()
    objects = [stored for page in storage.list(prefix) for stored in page.objects]
    dumps = {dump.key: dump for dump in dumps_among(objects)}
    files = (
        dumps.get(stored.path) or Dump(stored.path, stored.size_bytes, stored.modified_at)
        for stored in objects
    )
    return sorted(files, key=lambda file: (file.created_at, file.key), reverse=True)[:limit]


def find_dump(storage: Storage, text: str) -> Dump:
    """Return the dump with a key, or the newest dump under a prefix.

    :raises NotFoundError: when there is no such dump.
    :raises InvalidInputError: when the text is neither a key nor a prefix.
    """
    storage.check_readable()
    if text.endswith(SUFFIX):
        prefix = KeyPrefix.parse(DumpKey.parse(text).series)
        found = (dump for _, dump in _walk(storage, text) if dump.key == text)
        if dump := next(found, None):
            return dump
        raise NotFoundError(
            f"{text!r} does not exist in {storage.location}",
            hint=_near_hint(storage, prefix, text) or "List the dumps with ls.",
        )
    if not text.strip("/"):
        raise InvalidInputError(
            "neither a dump key nor a prefix was given",
            hint="A prefix is, for example, <instance>/<database>.",
        )
    prefix = KeyPrefix.parse(text)
    newest = next(newest_first(storage, prefix), None)
    if newest is None:
        raise NotFoundError(
            f"no dump under {text!r} in {storage.location}",
            hint=_near_hint(storage, prefix, text) or PREFIX_HINT,
        )
    return newest


def _near_hint(storage: Storage, prefix: KeyPrefix, text: str) -> str:
    """Return what was probably meant by a key or a prefix without a dump; empty if nothing is near.

    It costs one listing for each part of the prefix, and those of a walk to the newest dumps.
    """
    folder = ""
    for part in prefix.folders:
        page = next(storage.list(folder, delimiter="/"))
        names = [child.removeprefix(folder).rstrip("/") for child in page.prefixes]
        if part not in names:
            return _did_you_mean([f"{folder}{name}" for name in get_close_matches(part, names)])
        folder = f"{folder}{part}/"
    if len(prefix.folders) < _FOLDER_DEPTH:
        return ""
    newest = [dump.key for _, dump in itertools.islice(_walk(storage, folder), _NEAR_DUMPS)]
    return _did_you_mean(get_close_matches(text, newest, n=1) or newest[:1])


def _did_you_mean(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _config_folders(storage: Storage, prefix: KeyPrefix) -> list[str]:
    """Return the folders ``instance/database/config/`` under a prefix."""
    folders = ["".join(f"{part}/" for part in prefix.folders)]
    for _ in range(_FOLDER_DEPTH - len(prefix.folders)):
        folders = [
            child
            for folder in folders
            for page in storage.list(folder, delimiter="/")
            for child in page.prefixes
        ]
    return folders


def _walk(storage: Storage, prefix: str) -> Iterator[tuple[DumpKey, Dump]]:
    """Yield the dumps whose path starts with a prefix, the newest first.

    Storage lists the oldest first and cannot list backwards. If a prefix has more than one page, we
    list its years, then the months of the newest year, and so on, until everything that is left
    fits on one page. Each of these listings is one short answer.

    :param prefix: the folder of a config, or the beginning of paths in it.
    """
    first = next(storage.list(prefix))
    if not first.is_cut:
        yield from _sorted_dumps(first.objects)
        return
    folded = list(storage.list(prefix, delimiter="-"))
    for child in sorted((child for page in folded for child in page.prefixes), reverse=True):
        yield from _walk(storage, child)
    yield from _sorted_dumps([stored for page in folded for stored in page.objects])


def _sorted_dumps(objects: Sequence[StoredObject]) -> list[tuple[DumpKey, Dump]]:
    """Return the dumps among some objects with their verdicts, the newest first."""
    findings: dict[str, list[Verdict]] = {}
    for stored in objects:
        if of := dump_of_record(stored.path):
            findings.setdefault(of[0], []).append(of[1])
    dumps = (
        (found[0], replace(found[1], finding=strongest(findings.get(stored.path, ()))))
        for stored in objects
        if (found := _dump(stored))
    )
    return sorted(dumps, key=_key_of, reverse=True)


def _key_of(found: tuple[DumpKey, Dump]) -> DumpKey:
    return found[0]


def _dump(stored: StoredObject) -> tuple[DumpKey, Dump] | None:
    try:
        key = DumpKey.parse(stored.path)
    except InvalidInputError:
        return None
    return key, Dump(stored.path, stored.size_bytes, key.created_at)
