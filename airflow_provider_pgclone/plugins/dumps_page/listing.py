"""Pages of dumps: filtered, the newest first. Manifests are read for the rows of a page alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from airflow_provider_pgclone.core.repository import Dump, DumpKey, DumpSummary
from airflow_provider_pgclone.plugins.dumps_page.sources import StoreSource

State = Literal["verified", "damaged", "unverified"]
# Filters by what a manifest says read this many at once, and so many at most for one page: the page
# then says how far it has looked, and goes on from there.
_BATCH = 50
MOST_READ = 500
# Databases that the overview shows; the list has all dumps.
MOST_DATABASES = 60
MOST_POINTS = 120


@dataclass(frozen=True)
class Filters:
    """Which dumps to show.

    :param text: a part of the key, in any case.
    :param database: ``instance/database``; empty for all.
    :param masked: whether any column is masked; ``None`` for both.
    :param partial: whether something was left out; ``None`` for both.
    """

    text: str = ""
    database: str = ""
    state: State | None = None
    masked: bool | None = None
    partial: bool | None = None

    def takes(self, dump: Dump) -> bool:
        """Tell whether a dump fits by what its listing says."""
        if self.text.casefold() not in dump.key.casefold():
            return False
        if self.database and not dump.key.startswith(f"{self.database}/"):
            return False
        state = "damaged" if dump.finding == "damaged" else "verified"
        return self.state in (None, state if dump.finding else "unverified")

    def takes_summary(self, summary: DumpSummary) -> bool:
        """Tell whether a dump fits by what its manifest says; one that has none fits no filter."""
        if summary.problem:
            return self.masked is None and self.partial is None
        masked = self.masked in (None, summary.is_masked)
        return masked and self.partial in (None, bool(summary.left_out))

    @property
    def reads_manifests(self) -> bool:
        return self.masked is not None or self.partial is not None


@dataclass(frozen=True)
class Page:
    """Some dumps of a listing.

    :param total: how many there are on all pages; ``None`` if that would need their manifests.
    :param after: the key after which the next page starts; ``None`` on the last.
    :param looked_at: how many dumps were looked at for this page.
    """

    rows: Sequence[DumpSummary]
    total: int | None
    after: str | None
    looked_at: int


@dataclass(frozen=True)
class DatabaseOverview:
    """A database, its newest dump, and how many it has."""

    name: str
    newest: DumpSummary
    dumps: int
    size_bytes: int


def page_of(
    source: StoreSource, dumps: Sequence[Dump], filters: Filters, after: DumpKey | None, limit: int
) -> Page:
    """Return a page of dumps.

    :param after: the last key that was looked at before; ``None`` for the first page. New dumps
        do not move the pages after it.
    """
    fitting = [dump for dump in dumps if filters.takes(dump)]
    start = _start(fitting, after)
    if not filters.reads_manifests:
        chosen = fitting[start : start + limit]
        following = chosen[-1].key if start + limit < len(fitting) else None
        return Page(source.summaries(chosen), len(fitting), following, len(chosen))
    rows: list[DumpSummary] = []
    position, stop = start, min(len(fitting), start + MOST_READ)
    while position < stop and len(rows) < limit:
        for summary in source.summaries(fitting[position : min(position + _BATCH, stop)]):
            position += 1
            rows += [summary] if filters.takes_summary(summary) else []
            if len(rows) == limit:
                break
    following = fitting[position - 1].key if position < len(fitting) else None
    return Page(rows, None, following, position - start)


def databases_of(source: StoreSource, dumps: Sequence[Dump]) -> tuple[list[DatabaseOverview], int]:
    """Return the databases with the newest dumps, and how many others there are."""
    groups: dict[str, list[Dump]] = {}
    for dump in dumps:
        groups.setdefault(database_of(dump.key), []).append(dump)
    shown = list(groups.items())[:MOST_DATABASES]
    newest = source.summaries([found[0] for _, found in shown])
    overviews = [
        DatabaseOverview(name, summary, len(found), sum(dump.size_bytes for dump in found))
        for (name, found), summary in zip(shown, newest, strict=True)
    ]
    return overviews, len(groups) - len(shown)


def series_of(
    source: StoreSource, dumps: Sequence[Dump], database: str, newest: int
) -> list[DumpSummary]:
    """Return the newest dumps of a database, the oldest first."""
    found = [dump for dump in dumps if database_of(dump.key) == database][:newest]
    return source.summaries(found)[::-1]


@lru_cache(50_000)
def database_of(key: str) -> str:
    """Return ``instance/database`` of a dump key."""
    parsed = DumpKey.parse(key)
    return f"{parsed.instance}/{parsed.database}"


def _start(dumps: Sequence[Dump], after: DumpKey | None) -> int:
    """Return the position of the first dump that is older than a key, which may be deleted now."""
    if after is None:
        return 0
    low, high = 0, len(dumps)
    while low < high:
        middle = (low + high) // 2
        if DumpKey.parse(dumps[middle].key) < after:
            high = middle
        else:
            low = middle + 1
    return low
