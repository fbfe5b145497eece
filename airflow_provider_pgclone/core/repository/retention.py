"""Decides which dumps are kept. It computes this from a list of dumps, without storage."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.keys import DumpKey

Period = Callable[[datetime], object]


@dataclass(frozen=True)
class Retention:
    """Rules for each series. A series is all dumps of one instance, database and config.

    A dump is kept if any rule keeps it. Periods without a dump are not counted, so that nothing
    more is deleted while no dumps are made. ``None`` means that the rule is not used.

    :param keep_last: the number of newest dumps that are kept.
    :param keep_daily: for this number of days, the newest dump of the day is kept, in UTC.
    :param keep_weekly: for this number of ISO weeks, the newest dump of the week is kept.
    :param keep_monthly: for this number of months, the newest dump of the month is kept.
    :param older_than_days: dumps that are not older than this are kept.
    """

    keep_last: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    older_than_days: float | None = None

    def check(self) -> None:
        """Refuse rules that would keep nothing.

        :raises InvalidInputError: when there is no rule.
        """
        if all(rule is None for rule in vars(self).values()):
            raise InvalidInputError(
                "no rule to keep dumps is set",
                hint=f"Set at least one of {', '.join(vars(self))}.",
            )


def expired(dumps: Iterable[Dump], rules: Retention, now: datetime) -> list[Dump]:
    """Return the dumps that no rule keeps, the oldest first.

    The last good dump of each series is always kept. This is the newest verified dump, or the
    newest dump that is not damaged if none was verified. Rules that keep a number of dumps do not
    count damaged ones, so those are deleted, unless ``older_than_days`` keeps them. A series
    without a good dump is left as it is, since a part of a damaged dump may still be of use.
    """
    deleted = [
        dump
        for series in by_series(dumps).values()
        if (kept := _kept(series, rules, now))
        for dump in series
        if dump.key not in kept
    ]
    return sorted(deleted, key=_age)


def by_series(dumps: Iterable[Dump]) -> dict[str, list[Dump]]:
    """Divide dumps by their series; each has its newest dump first."""
    found: dict[str, list[Dump]] = {}
    for dump in sorted(dumps, key=_age, reverse=True):
        found.setdefault(DumpKey.parse(dump.key).series, []).append(dump)
    return found


def _kept(series: Sequence[Dump], rules: Retention, now: datetime) -> set[str]:
    """Return the keys of the dumps in a series that are kept.

    :param series: the dumps, the newest first.
    :return: an empty set if the series has no good dump.
    """
    good = [dump for dump in series if dump.finding != "damaged"]
    verified = [dump for dump in good if dump.is_verified]
    kept = [*(verified or good)[:1], *good[: rules.keep_last or 0]]
    periods = ((rules.keep_daily, _day), (rules.keep_weekly, _week), (rules.keep_monthly, _month))
    for count, period in periods:
        kept += _newest_of_each(good, period)[: count or 0]
    if good and rules.older_than_days is not None:
        start = now - timedelta(days=rules.older_than_days)
        kept += [dump for dump in series if dump.created_at >= start]
    return {dump.key for dump in kept}


def _newest_of_each(dumps: Sequence[Dump], period: Period) -> list[Dump]:
    """Return the newest dump of each period that has any, the newest first."""
    newest: dict[object, Dump] = {}
    for dump in dumps:
        newest.setdefault(period(dump.created_at), dump)
    return list(newest.values())


def _day(time: datetime) -> object:
    return time.date()


def _week(time: datetime) -> object:
    year, week, _ = time.isocalendar()
    return year, week


def _month(time: datetime) -> object:
    return time.year, time.month


def _age(dump: Dump) -> tuple[datetime, str]:
    return dump.created_at, dump.key
