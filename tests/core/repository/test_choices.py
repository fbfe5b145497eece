"""What a person reads of each dump, and that no two read the same."""

from datetime import UTC, datetime, timedelta

from airflow_provider_pgclone.core.repository.choices import labelled
from airflow_provider_pgclone.core.repository.summaries import DumpSummary

AT = datetime(2026, 1, 4, 12, 0, 0, tzinfo=UTC)


def summary(key: str, created_at: datetime) -> DumpSummary:
    return DumpSummary(key, 3 * 2**20, created_at, None, "shop", is_masked=False)


def test_a_label_tells_age_size_database_masks_and_verdict() -> None:
    made = AT - timedelta(hours=10)
    one = DumpSummary(
        "a/shop/x/1.dump", 3 * 2**20, made, "archive", "shop", is_masked=True, left_out=("rows",)
    )
    (choice,) = labelled([one], AT)
    assert choice.label == (
        "10 hours ago, 2026-01-04 02:00:00 UTC, shop, 3.0 MiB, masked, verified, partial"
    )


def test_dumps_of_one_minute_are_told_apart_by_their_seconds() -> None:
    made = [AT - timedelta(seconds=second) for second in (90, 91)]
    labels = [one.label for one in labelled([summary(f"{n}", n) for n in made], AT)]
    assert len(set(labels)) == 2


def test_dumps_of_one_second_are_told_apart_by_their_keys() -> None:
    made = [AT.replace(microsecond=number) for number in (1, 2)]
    choices = labelled([summary(f"key {n.microsecond}", n) for n in made], AT)
    assert [choice.label.rpartition(", ")[2] for choice in choices] == ["key 1", "key 2"]


def test_a_name_in_a_label_cannot_change_the_rest_of_it() -> None:
    one = DumpSummary("a/shop/x/1.dump", 0, AT, None, "shop\n\u202edeksam", is_masked=False)
    (choice,) = labelled([one], AT)
    assert ", shop\\n\\u202edeksam, 0 B, not masked" in choice.label
