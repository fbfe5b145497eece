from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.repository.dumps import Dump
from airflow_provider_pgclone.core.repository.findings import Verdict
from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.core.repository.retention import Retention, expired

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def dump(text: str, finding: Verdict | None = None, series: str = "prod/shop/none") -> Dump:
    """Return a dump of a day and an hour."""
    created_at = datetime.strptime(f"{text}+0000", "%Y-%m-%d %H%z")
    instance, database, config = series.split("/")
    key = str(DumpKey(created_at, instance, database, config))
    return Dump(key, 1, created_at, finding)


def days(*texts: str) -> list[Dump]:
    return [dump(f"{text} 02") for text in texts]


def deleted(dumps: list[Dump], **rules: float) -> list[Dump]:
    return expired(dumps, Retention(**rules), NOW)  # type: ignore[arg-type]


def kept(dumps: list[Dump], **rules: float) -> list[Dump]:
    gone = deleted(dumps, **rules)
    return [dump for dump in dumps if dump not in gone]


def test_without_a_rule_nothing_may_be_deleted() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Retention().check()
    assert caught.value.message == "no rule to keep dumps is set"
    assert caught.value.hint == (
        "Set at least one of keep_last, keep_daily, keep_weekly, keep_monthly, older_than_days."
    )
    Retention(keep_last=0).check()


def test_the_last_ones_are_kept() -> None:
    dumps = days("2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20")
    assert kept(dumps, keep_last=2) == dumps[2:]
    assert deleted(dumps, keep_last=9) == []


def test_each_instance_database_and_config_has_its_own() -> None:
    names = ("prod/shop/none", "prod/shop/anon", "prod/shop_eu/none", "dev/shop/none")
    dumps = [dump(f"2026-11-{day} 02", series=name) for name in names for day in (18, 19)]
    assert kept(dumps, keep_last=1) == dumps[1::2]


def test_of_each_day_the_newest_is_kept_and_days_without_dumps_do_not_count() -> None:
    dumps = [
        *(dump("2026-09-01 00"), dump("2026-09-01 23")),
        *(dump("2026-09-02 00"), dump("2026-11-18 01"), dump("2026-11-18 02")),
    ]
    assert kept(dumps, keep_daily=3) == [dumps[1], dumps[2], dumps[4]]
    assert kept(dumps, keep_daily=2) == [dumps[2], dumps[4]]


def test_a_week_starts_on_monday_also_across_the_new_year() -> None:
    # 2026-12-28 is a Monday; the week goes on until Sunday 2027-01-03.
    sunday, monday, new_year, last = days("2026-12-27", "2026-12-28", "2027-01-01", "2027-01-03")
    assert kept([sunday, monday, new_year, last], keep_weekly=2) == [sunday, last]


def test_of_each_month_the_newest_is_kept() -> None:
    dumps = days("2025-11-30", "2026-10-01", "2026-10-31", "2026-11-01")
    assert kept(dumps, keep_monthly=3) == [dumps[0], dumps[2], dumps[3]]


def test_grandfather_father_and_son_are_kept_together() -> None:
    start = datetime(2026, 1, 1, 2, tzinfo=UTC)
    daily = [
        dump((start + timedelta(days=number)).strftime("%Y-%m-%d %H")) for number in range(324)
    ]
    found = [stored.created_at.strftime("%m-%d") for stored in kept(daily, keep_daily=3)]
    assert found == ["11-18", "11-19", "11-20"]
    all_rules = kept(daily, keep_last=1, keep_daily=3, keep_weekly=3, keep_monthly=3)
    assert [stored.created_at.strftime("%m-%d") for stored in all_rules] == [
        *("09-30", "10-31"),  # and November, which is the newest
        *("11-08", "11-15"),  # Sundays
        *("11-18", "11-19", "11-20"),
    ]


def test_what_is_not_old_enough_is_kept() -> None:
    dumps = days("2026-10-01", "2026-11-10", "2026-11-19")
    assert kept(dumps, older_than_days=30) == dumps[1:]
    assert kept(dumps, older_than_days=30, keep_last=1) == dumps[1:]
    assert kept(dumps, older_than_days=0.5) == [dumps[2]]
    # The second one is this old to the second, which is not older.
    assert kept(dumps, older_than_days=10 + 10 / 24) == dumps[1:]


def test_alone_an_age_deletes_all_but_the_last_good_one() -> None:
    dumps = days("2020-01-01", "2020-01-02", "2020-01-03")
    assert kept(dumps, older_than_days=30) == [dumps[2]]


def test_to_keep_none_keeps_the_last_good_one() -> None:
    dumps = days("2026-11-18", "2026-11-19")
    assert kept(dumps, keep_last=0) == [dumps[1]]
    dumps[0] = dump("2026-11-18 02", "archive")
    assert kept(dumps, keep_last=0) == [dumps[0]]


def test_the_newest_verified_one_stays_beside_those_that_the_rules_keep() -> None:
    dumps = [
        dump("2026-11-01 02", "restore"),
        *(dump("2026-11-02 02", "archive"), dump("2026-11-03 02")),
        *(dump("2026-11-04 02"), dump("2026-11-05 02", "damaged")),
    ]
    assert kept(dumps, keep_last=1) == [dumps[1], dumps[3]]


def test_a_damaged_dump_counts_for_no_rule_and_goes_when_it_is_old_enough() -> None:
    dumps = [
        *(dump("2026-11-17 02"), dump("2026-11-17 03", "damaged")),
        *(dump("2026-11-18 02"), dump("2026-11-19 02", "damaged")),
    ]
    assert kept(dumps, keep_last=2) == [dumps[0], dumps[2]]
    assert kept(dumps, keep_daily=2) == [dumps[0], dumps[2]]
    assert kept(dumps, keep_last=2, older_than_days=2) == [dumps[0], *dumps[2:]]


def test_where_all_are_damaged_all_stay() -> None:
    dumps = [dump("2026-11-17 02", "damaged"), dump("2026-11-18 02", "damaged")]
    assert deleted(dumps, keep_last=1, older_than_days=0) == []


SERIES = ("prod/shop/none", "prod/shop/anon")
FINDINGS: tuple[Verdict | None, ...] = (None, None, "archive", "restore", "damaged")
some_dumps = st.lists(
    st.builds(
        lambda hours, finding, series: dump(
            (NOW - timedelta(hours=hours)).strftime("%Y-%m-%d %H"), finding, series
        ),
        # Many close together, some years ago.
        st.integers(0, 200) | st.integers(0, 30_000),
        st.sampled_from(FINDINGS),
        st.sampled_from(SERIES),
    ),
    max_size=40,
    unique_by=lambda dump: dump.key,
)
count = st.none() | st.integers(0, 6)
some_rules = st.builds(
    Retention,
    keep_last=count,
    keep_daily=count,
    keep_weekly=count,
    keep_monthly=count,
    older_than_days=st.none() | st.floats(0, 400),
).filter(lambda rules: rules != Retention())


def by_series(dumps: list[Dump]) -> list[list[Dump]]:
    return [
        sorted(
            (dump for dump in dumps if dump.key.startswith(f"{name}/")),
            key=lambda dump: dump.created_at,
            reverse=True,
        )
        for name in SERIES
    ]


@settings(deadline=None)
@given(some_dumps, some_rules)
def test_the_last_good_dump_is_never_deleted(dumps: list[Dump], rules: Retention) -> None:
    gone = expired(dumps, rules, NOW)
    for series in by_series(dumps):
        verified = [dump for dump in series if dump.finding in ("archive", "restore")]
        undamaged = [dump for dump in series if dump.finding != "damaged"]
        for good in (verified or undamaged)[:1]:
            assert good not in gone
        if not undamaged:
            assert not set(series) & set(gone)


@settings(deadline=None)
@given(some_dumps, some_rules)
def test_each_dump_is_kept_for_a_reason_and_each_reason_keeps_it(
    dumps: list[Dump], rules: Retention
) -> None:
    """By counting, for each dump, the newer ones that would be kept before it."""
    gone = expired(dumps, rules, NOW)
    for series in by_series(dumps):
        good = [dump for dump in series if dump.finding != "damaged"]
        last = next((dump for dump in good if dump.finding), next(iter(good), None))
        for dump in series:
            newer = [other for other in good if other.created_at > dump.created_at]

            def is_kept_by(
                rule: int | None, form: str, dump: Dump = dump, newer: list[Dump] = newer
            ) -> bool:
                periods = {other.created_at.strftime(form) for other in newer}
                is_newest = dump.created_at.strftime(form) not in periods
                return is_newest and rule is not None and len(periods) < rule

            by_count = dump.finding != "damaged" and (
                is_kept_by(rules.keep_last, "%Y-%m-%d %H")
                or is_kept_by(rules.keep_daily, "%Y-%m-%d")
                or is_kept_by(rules.keep_weekly, "%G-%V")
                or is_kept_by(rules.keep_monthly, "%Y-%m")
            )
            age_days = (NOW - dump.created_at) / timedelta(days=1)
            is_young = rules.older_than_days is not None and age_days <= rules.older_than_days
            expected = by_count or is_young or dump == last or not good
            assert (dump not in gone) == expected


@settings(deadline=None)
@given(some_dumps, some_rules)
def test_pruning_again_deletes_nothing_more(dumps: list[Dump], rules: Retention) -> None:
    gone = expired(dumps, rules, NOW)
    assert expired([dump for dump in dumps if dump not in gone], rules, NOW) == []


@settings(deadline=None)
@given(some_dumps, some_rules, st.randoms(use_true_random=False))
def test_the_order_of_the_dumps_is_of_no_matter(
    dumps: list[Dump], rules: Retention, random: Random
) -> None:
    gone = expired(dumps, rules, NOW)
    random.shuffle(dumps)
    assert expired(dumps, rules, NOW) == gone
    assert gone == sorted(gone, key=lambda dump: (dump.created_at, dump.key))
