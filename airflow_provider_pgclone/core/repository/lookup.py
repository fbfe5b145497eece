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
    shares_old_part,
)
from airflow_provider_pgclone.core.repository.origins import origin_of
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# How many of the newest dumps are looked at for one that was probably meant.
_NEAR_DUMPS = 20


def find_dump(storage: Storage, text: str) -> Dump:
    """Return the dump with a key, or the newest dump under a prefix.

    :raises NotFoundError: when there is no such dump.
    :raises InvalidInputError: when the text is neither a key nor a prefix, or is a prefix under
        which the newest dump may be of another database or instance than the one that is meant.
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
    if any(may_be_shared(part) for part in prefix.names):
        origin = origin_of(storage, newest)
        if origin is not None:  # what is not an archive is refused when it is opened
            if origin.instance is None:
                _check_one_instance(storage, prefix, newest)
            _check_one_database(storage, prefix, origin.database, dumps)
    return newest


def _check_one_instance(storage: Storage, prefix: KeyPrefix, newest: Dump) -> None:
    """Refuse a prefix whose newest dump does not tell its instance, if there are two to tell apart.

    Without the keys of another instance beside it, nothing speaks for that there was another.
    """
    part = prefix.folders[0]
    page = next(storage.list(f"{part}-", delimiter="/"))
    others = [name for child in page.prefixes if shares_old_part(part, name := child.rstrip("/"))]
    if others:
        raise InvalidInputError(
            f"the newest dump under {str(prefix)!r} may be of another instance, such as that of "
            f"{others[0]!r}",
            hint="Give the whole key of the dump that you mean.",
        )
    log.warning("%s does not tell its instance: an earlier version made it", newest.key)


def _check_one_database(
    storage: Storage, prefix: KeyPrefix, database: str, others: Iterable[Dump]
) -> None:
    """Refuse a prefix whose newest dump may be of another database than the one that is meant.

    Only keys of earlier versions cause this, in which ``sales_eu`` may stand for ``sales.eu``. The
    manifests of more dumps than the newest are read only if it has such a key.

    :param database: the database of the newest dump.
    :param others: the other dumps under the prefix.
    """
    part = prefix.database
    if part is None or key_part(database) == part:
        return
    moved = KeyPrefix((prefix.folders[0], key_part(database), *prefix.folders[2:]))
    if next(newest_first(storage, moved), None):
        raise InvalidInputError(
            f"{str(prefix)!r} has old dumps of {database!r}, whose new ones are elsewhere",
            hint=f"Use the prefix {str(moved).rstrip('/')}, or give the whole key of an old dump.",
        )
    found = (origin_of(storage, dump) for dump in others)
    other = next((one for one in found if one is not None and one.database != database), None)
    if other is not None:
        raise InvalidInputError(
            f"{str(prefix)!r} has dumps of two databases, {database!r} and {other.database!r}",
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
