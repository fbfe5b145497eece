"""The published catalogue: what a task on a worker saw, where the API server may not look itself.

It is an Airflow Variable a store or target: the place that both workers and the API server reach
through Airflow alone. A Variable is read as a whole, so that it is compressed and bounded.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import Variable

from airflow_provider_pgclone.core.errors import NotFoundError, PgCloneError
from airflow_provider_pgclone.core.repository import DumpDetails, DumpSummary
from airflow_provider_pgclone.hooks import PgCloneHook

Published = TypeVar("Published")
FORMAT = 1
# Of the newest dumps the catalogue has summaries, and of the newest of these also the tables.
MOST_DUMPS = 1000
MOST_DETAILS = 25
_MOST_TABLES = 100
# Of the text in a Variable; MySQL takes 16 MB, and Airflow reads and decrypts it for each request.
MOST_CHARS = 256 * 1024
_MOST_BYTES = 32 * 1024 * 1024
_OTHER = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True)
class PublishedStore:
    """A store, as it was published.

    :param left_off: how many older dumps there were.
    :param details: what the newest dumps hold, by key.
    """

    summaries: Sequence[DumpSummary]
    published_at: datetime
    left_off: int
    details: Mapping[str, Mapping[str, Any]]

    def details_of(self, key: str) -> Mapping[str, Any]:
        """Return what a dump holds; of an older one only its summary.

        :raises NotFoundError: when it was not published.
        """
        if key in self.details:
            return self.details[key]
        summary = next((one for one in self.summaries if one.key == key), None)
        if summary is None:
            raise NotFoundError(f"{key!r} is not in the published catalogue")
        return {"summary": summary.as_json()}


@dataclass(frozen=True)
class PublishedTarget:
    """What a target held when it was published."""

    current: Mapping[str, Any]
    published_at: datetime


def publish_store(name: str, prefix: str, hook: PgCloneHook) -> int:
    """Publish the newest dumps of a store, and return how many."""
    dumps = hook.ls(prefix, what="dumps")
    variable = variable_of("store", name)
    known = {one.key: one for one in _known(name)}
    summaries = hook.summaries(dumps[:MOST_DUMPS], known=known)
    details = {}
    for one in summaries[:MOST_DETAILS]:
        with suppress(NotFoundError):  # deleted after it was listed
            details[one.key] = shortened(hook.details(one.key), _MOST_TABLES)
    count = len(summaries)
    while True:
        kept = summaries[:count]
        values = {
            "dumps": [one.as_json() for one in kept],
            "left_off": len(dumps) - count,
            "details": {one.key: details[one.key] for one in kept if one.key in details},
        }
        text = _packed(values)
        if len(text) <= MOST_CHARS or not count:
            break
        count //= 2
    Variable.set(variable, text, description=f"The dumps of the store {name}, for the page Dumps.")
    return count


def publish_target(name: str, hook: PgCloneHook) -> None:
    """Publish what a target holds."""
    Variable.set(
        variable_of("target", name),
        _packed({"current": state_of_target(hook)}),
        description=f"What the target {name} holds, for the page Dumps.",
    )


def state_of_target(hook: PgCloneHook) -> dict[str, Any]:
    """Return what a target holds, and what it requires of a dump that is restored over it.

    What the DAG that restores requires beyond it is not known here.
    """
    return {**asdict(hook.current()), "requires": hook.choices().required}


def read_store(name: str) -> PublishedStore:
    """Return what was published of a store.

    :raises NotFoundError: when nothing was published.
    """
    return _published("store", name, _store)


def read_target(name: str) -> PublishedTarget:
    """Return what was published of a target.

    :raises NotFoundError: when nothing was published.
    """
    return _published("target", name, _target)


def variable_of(what: str, name: str) -> str:
    """Return the name of the Variable of a store or target; a hash keeps alike names apart."""
    digits = sha256(name.encode()).hexdigest()[:8]
    return f"pgclone_page_{what}_{_OTHER.sub('_', name)[:40]}_{digits}"


def _known(name: str) -> Sequence[DumpSummary]:
    try:
        return read_store(name).summaries
    except PgCloneError:  # the first time, or written by another version
        return ()


def shortened(details: DumpDetails, most_tables: int) -> dict[str, Any]:
    """Return details with the largest tables alone, and without the checksums of tables."""
    values = details.as_json()
    facts = {name: value for name, value in values["facts"].items() if name != "checksums"}
    return {
        **values,
        "facts": facts,
        "has_checksums": "checksums" in values["facts"],
        "tables": values["tables"][:most_tables],
        "tables_left_off": max(0, len(values["tables"]) - most_tables),
    }


def _packed(values: Mapping[str, Any]) -> str:
    values = {"format": FORMAT, "published_at": datetime.now(UTC).isoformat(), **values}
    return base64.b85encode(zlib.compress(json.dumps(values).encode(), 9)).decode()


def _store(values: Mapping[str, Any]) -> PublishedStore:
    return PublishedStore(
        [DumpSummary.from_json(one) for one in values["dumps"]],
        datetime.fromisoformat(values["published_at"]),
        int(values["left_off"]),
        values["details"],
    )


def _target(values: Mapping[str, Any]) -> PublishedTarget:
    return PublishedTarget(dict(values["current"]), datetime.fromisoformat(values["published_at"]))


def _published(what: str, name: str, build: Callable[[Mapping[str, Any]], Published]) -> Published:
    """Read a Variable, and build of its values what was published.

    :raises NotFoundError: when nothing was published, or not by this version of the package.
    """
    variable = variable_of(what, name)
    text = Variable.get(variable, default=None)
    if not text:
        raise NotFoundError(
            f"nothing was published of the {what} {name!r}",
            hint="Run a DAG with PgClonePublishCatalogOperator on a worker.",
        )
    try:
        unpacker = zlib.decompressobj()
        values = json.loads(unpacker.decompress(base64.b85decode(text), _MOST_BYTES))
        if values["format"] != FORMAT:
            raise ValueError(f"it has the format {values['format']!r}")
        return build(values)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise NotFoundError(
            f"the Variable {variable} of the {what} {name!r} cannot be read: {error}",
            hint="Publish it again, by the version of the package that the API server has.",
        ) from error
