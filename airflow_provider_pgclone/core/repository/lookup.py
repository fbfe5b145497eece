"""Finds the dump that a key or a prefix means."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.core.repository.dumps import PARTS, Dump, dump_at, newest_first
from airflow_provider_pgclone.core.repository.keys import (
    PREFIX_HINT,
    SUFFIX,
    DumpKey,
    KeyPrefix,
    key_part,
    may_be_shared,
)
from airflow_provider_pgclone.core.repository.origins import origin_of
from airflow_provider_pgclone.core.storage import Storage

# How many of the newest dumps are looked at for one that was probably meant.
_NEAR_DUMPS = 20


def find_dump(storage: Storage, text: str) -> Dump:
    """Return the dump with a key, or the newest dump under a prefix.

    :raises NotFoundError: when there is no such dump.
    :raises InvalidInputError: when the text is neither a key nor a prefix, or is a prefix under
        which the newest dump may be of another database than the one that is meant.
    """
    storage.check_readable()
    if text.endswith(SUFFIX):
        DumpKey.parse(text)
        if dump := dump_at(storage, text):
            return dump
        raise NotFoundError(
            f"{text!r} does not exist in {storage.location}",
            hint=_near_hint(storage, KeyPrefix.parse(DumpKey.parse(text).series), text)
            or "List the dumps with ls.",
        )
    if not text.strip("/"):
        raise InvalidInputError(
            "neither a dump key nor a prefix was given",
            hint="A prefix is, for example, <instance>/<database>.",
        )
    prefix = KeyPrefix.parse(text)
    dumps = newest_first(storage, prefix)
    newest = next(dumps, None)
    if newest is None:
        raise NotFoundError(
            f"no dump under {text!r} in {storage.location}",
            hint=_near_hint(storage, prefix, text) or PREFIX_HINT,
        )
    if prefix.database is not None and may_be_shared(prefix.database):
        _check_one_database(storage, prefix, newest, dumps)
    return newest


def _check_one_database(
    storage: Storage, prefix: KeyPrefix, newest: Dump, others: Iterable[Dump]
) -> None:
    """Refuse a prefix whose newest dump may be of another database than the one that is meant.

    Only keys of earlier versions cause this, in which ``sales_eu`` may stand for ``sales.eu``. The
    manifests of more dumps than the newest are read only if it has such a key.

    :param others: the other dumps under the prefix.
    """
    part, database = prefix.database, origin_of(storage, newest)
    # What is not an archive is refused when it is opened.
    if database is None or part is None or key_part(database) == part:
        return
    moved = KeyPrefix((prefix.folders[0], key_part(database), *prefix.folders[2:]))
    if next(newest_first(storage, moved), None):
        raise InvalidInputError(
            f"{str(prefix)!r} has old dumps of {database!r}, whose new ones are elsewhere",
            hint=f"Use the prefix {str(moved).rstrip('/')}, or give the whole key of an old dump.",
        )
    found = (origin_of(storage, dump) for dump in others)
    other = next((name for name in found if name not in (None, database)), None)
    if other is not None:
        raise InvalidInputError(
            f"{str(prefix)!r} has dumps of two databases, {database!r} and {other!r}",
            hint="Give the whole key of the dump that you mean; inspect shows its database.",
        )


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
    if len(prefix.folders) < len(PARTS):
        return ""
    newest = [
        dump.key for dump in islice(newest_first(storage, KeyPrefix(prefix.folders)), _NEAR_DUMPS)
    ]
    return _did_you_mean(get_close_matches(text, newest, n=1) or newest[:1])


def _did_you_mean(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
