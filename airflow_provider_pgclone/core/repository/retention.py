"""Which dumps are kept: pure, from the dumps and the rules to those that no rule keeps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.keys import DumpKey

Period = Callable[[datetime], object]


@dataclass(frozen=True)
class Retention:
    """Rules for each series, which is the dumps of one instance, database and config.

    A dump is kept where any rule keeps it. Periods without a dump do not count, so that nothing
    more is deleted while no dumps are made. ``None`` means that there is no such rule.

    :param keep_last: how many are kept, the newest.
    :param keep_daily: for how many days the newest is kept, in UTC.
    :param keep_weekly: for how many ISO weeks.
    :param keep_monthly: for how many months.
    :param older_than_days: dumps that are not older are kept.
    """

    keep_last: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    older_than_days: float | None = None

    def check(self) -> None:
        """Refuse to delete dumps of which nobody has said which to keep.

        :raises InvalidInputError: where there is no rule.
        """
        if all(rule is None for rule in vars(self).values()):
            raise InvalidInputError(
                "no rule says which dumps to keep",
                hint=f"Set at least one of {', '.join(vars(self))}.",
            )


def expired(dumps: Iterable[Dump], rules: Retention, now: datetime) -> list[Dump]:
    """Return the dumps that no rule keeps, the oldest first.

    Of each series the last good dump is kept in any case: the newest that was verified, or, where
    none was, the newest that is not damaged. Rules that keep a number of dumps count none that is
    damaged: those are deleted, once they are old enough. But a series without a good dump is left
    as it is, since of what is damaged something may be saved.
    """
    found: dict[str, list[Dump]] = {}
    for dump in sorted(dumps, key=_age, reverse=True):
        found.setdefault(DumpKey.parse(dump.key).series, []).append(dump)
    deleted = [
        dump
        for series in found.values()
        if (kept := _kept(series, rules, now))
        for dump in series
        if dump.key not in kept
    ]
    return sorted(deleted, key=_age)


def _kept(series: Sequence[Dump], rules: Retention, now: datetime) -> set[str]:
    """Return the keys of a series that are kept.

    :param series: the newest first.
    :return: empty where none is good.
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
