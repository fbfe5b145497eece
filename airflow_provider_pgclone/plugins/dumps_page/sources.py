"""Where the page reads stores and targets: storage and servers themselves, or the catalogue."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

from airflow_provider_pgclone.core.repository import Dump, DumpSummary
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.plugins.dumps_page import catalog
from airflow_provider_pgclone.plugins.dumps_page.configuration import Store, Target

# Each part of the page asks for a listing or the state of a target; it is read once for them.
FRESH_SECONDS = 15
# A listing that took long is kept longer, so that listing takes a twentieth of the time at most.
_KEPT_TIMES = 20
# Of one store; a summary is about a kilobyte.
MOST_SUMMARIES = 4000
MOST_TABLES = 1000
_MOST_SOURCES = 32


@dataclass(frozen=True)
class Listing:
    """The dumps of a store, the newest first.

    :param as_of: when they were listed.
    :param left_off: how many older ones the catalogue left off.
    """

    dumps: Sequence[Dump]
    as_of: datetime
    left_off: int = 0


class StoreSource(Protocol):
    """What the page asks of a store."""

    def listing(self, *, fresh: bool = False) -> Listing:
        """Return its dumps; with ``fresh`` not those of some seconds ago."""

    def summaries(self, dumps: Sequence[Dump]) -> list[DumpSummary]:
        """Return the summaries of some of its dumps."""

    def details(self, key: str) -> Mapping[str, Any]:
        """Return what a dump holds.

        :raises NotFoundError: when the store does not have it, or the catalogue has no details.
        """


class LiveStore:
    """A store whose storage the API server reads."""

    def __init__(self, store: Store) -> None:
        self._hook = hook_of(store)
        self._prefix = store.prefix
        self._lock = threading.Lock()
        self._listing: Listing | None = None
        self._read_at = self._took = 0.0
        self._known: OrderedDict[str, DumpSummary] = OrderedDict()

    def listing(self, *, fresh: bool = False) -> Listing:
        with self._lock:  # so that a page that opens lists once
            started, as_of = time.monotonic(), datetime.now(UTC)
            kept = 1 if fresh else max(FRESH_SECONDS, _KEPT_TIMES * self._took)
            if self._listing is None or started - self._read_at > kept:
                self._listing = Listing(self._hook.ls(self._prefix, what="dumps"), as_of)
                self._read_at = time.monotonic()
                self._took = self._read_at - started
            return self._listing

    def summaries(self, dumps: Sequence[Dump]) -> list[DumpSummary]:
        with self._lock:
            known = {dump.key: self._known[dump.key] for dump in dumps if dump.key in self._known}
        found = self._hook.summaries(dumps, known=known)
        with self._lock:
            for summary in found:
                self._known[summary.key] = summary
                self._known.move_to_end(summary.key)
            while len(self._known) > MOST_SUMMARIES:
                self._known.popitem(last=False)
        return found

    def details(self, key: str) -> Mapping[str, Any]:
        return catalog.shortened(self._hook.details(key), MOST_TABLES)


class CatalogStore:
    """A store that a task has published."""

    def __init__(self, store: Store) -> None:
        self._name = store.name

    def listing(self, *, fresh: bool = False) -> Listing:
        found = catalog.read_store(self._name)
        dumps = [
            Dump(one.key, one.size_bytes, one.created_at, one.finding) for one in found.summaries
        ]
        return Listing(dumps, found.published_at, found.left_off)

    def summaries(self, dumps: Sequence[Dump]) -> list[DumpSummary]:
        by_key = {one.key: one for one in catalog.read_store(self._name).summaries}
        return [by_key[dump.key] for dump in dumps if dump.key in by_key]

    def details(self, key: str) -> Mapping[str, Any]:
        return catalog.read_store(self._name).details_of(key)


@lru_cache(_MOST_SOURCES)
def source_of(store: Store) -> StoreSource:
    """Return the source of a store; the same one as long as its configuration stays."""
    return CatalogStore(store) if store.read_from == "catalog" else LiveStore(store)


@dataclass(frozen=True)
class TargetState:
    """What a target holds, as JSON values, and when that was read."""

    current: Mapping[str, Any]
    as_of: datetime


class LiveTarget:
    """A target whose server the API server asks."""

    def __init__(self, target: Target) -> None:
        self._hook = hook_of(target)
        self._lock = threading.Lock()
        self._state: TargetState | None = None
        self._read_at = 0.0

    def state(self, *, fresh: bool = False) -> TargetState:
        with self._lock:
            age = time.monotonic() - self._read_at
            if self._state is None or age > (1 if fresh else FRESH_SECONDS):
                as_of = datetime.now(UTC)
                self._state = TargetState(catalog.state_of_target(self._hook), as_of)
                self._read_at = time.monotonic()
            return self._state


@lru_cache(_MOST_SOURCES)
def _live_target(target: Target) -> LiveTarget:
    return LiveTarget(target)


def state_of(target: Target, *, fresh: bool = False) -> TargetState:
    """Return what a target holds."""
    if target.read_from == "catalog":
        found = catalog.read_target(target.name)
        return TargetState(found.current, found.published_at)
    return _live_target(target).state(fresh=fresh)


def hook_of(entry: Store | Target) -> PgCloneHook:
    """Return the hook on the connection of a store or a target."""
    if isinstance(entry, Target):
        return PgCloneHook(entry.postgres_conn_id, database=entry.database, config=entry.config)
    return PgCloneHook(
        entry.postgres_conn_id,
        entry.storage_location,
        entry.storage_conn_id,
        config=entry.config,
    )
