"""What a person reads before a swap, without any database."""

from datetime import UTC, datetime, timedelta

from airflow_provider_pgclone.core.comparing.difference import SHOWN_TABLES, Comparison, Side
from airflow_provider_pgclone.core.comparing.tables import RowCount

AT = datetime(2026, 1, 4, 12, 0, 0, tzinfo=UTC)
KEY = "prod_masked/shop/none/2026-01-04-02-00-00-000000.dump"


def compared(
    now: dict[str, RowCount] | None, after: dict[str, RowCount], **more: object
) -> Comparison:
    return Comparison(
        target="shop_staging",
        now=None
        if now is None
        else Side("shop_staging", since=AT - timedelta(days=3), size_bytes=2**20, tables=now),
        after=Side(
            "shop_staging__temp_1",
            key=KEY,
            dumped_at=AT - timedelta(hours=10),
            since=AT - timedelta(seconds=5),
            size_bytes=2**21,
            tables=after,
        ),
        **more,  # type: ignore[arg-type]
    )


def rows(**counts: int) -> dict[str, RowCount]:
    return {name: RowCount(count) for name, count in counts.items()}


def test_the_largest_differences_come_first_and_unknown_ones_before_them() -> None:
    before = {**rows(same=5, few=10, gone=7, many=0), "unknown": RowCount(None, is_estimate=True)}
    later = {**rows(same=5, few=9, new=3, many=1000), "unknown": RowCount(8)}
    found = compared(before, later)
    assert [change.name for change in found.changes] == [
        *("unknown", "many", "gone", "new", "few", "same"),
    ]
    text = found.markdown(AT)
    assert "| many | 0 | 1,000 | +1,000 |" in text
    assert "| gone | 7 | – | -7, the table goes |" in text
    assert "| new | – | 3 | +3, a new table |" in text
    assert "| unknown | unknown | 8 | unknown |" in text
    assert "| same |" not in text
    assert "1 table with the same number of rows." in text


def test_an_estimate_is_marked_and_never_counts_as_the_same() -> None:
    text = compared({"events": RowCount(100, is_estimate=True)}, rows(events=100)).markdown(AT)
    assert "| events | about 100 | 100 | about +0 |" in text
    assert "are estimates of the server" in text


def test_a_number_and_an_estimate_are_an_estimate() -> None:
    assert str(RowCount(5) + RowCount(1000, is_estimate=True)) == "about 1,005"
    assert str(RowCount(5) + RowCount(None, is_estimate=True)) == "unknown"


def test_ages_and_sizes_and_the_dump_are_told() -> None:
    text = compared(rows(users=1), rows(users=2), is_masked=True).markdown(AT)
    assert text.startswith(f"**shop_staging** is replaced by the dump {KEY}.\n")
    assert "| Restored from | unknown |" in text
    assert "| Dumped | unknown | 2026-01-04 02:00:00 UTC, 10 hours ago |" in text
    assert "| There since | 2026-01-01 12:00:00 UTC, 3 days ago |" in text
    assert "| Size | 1.0 MiB | 2.0 MiB |" in text
    assert "| Rows | 1 | 2 |" in text
    assert "Columns are masked." in text


def test_what_becomes_of_the_present_database_is_told() -> None:
    kept = compared({}, {}, kept="shop_staging__pre", dropped=["shop_staging__pre"]).markdown(AT)
    assert "What it holds now is kept as shop_staging&#95;&#95;pre." in kept
    assert "The database shop_staging&#95;&#95;pre, kept by an earlier restore, is dropped." in kept
    assert "**What it holds now is dropped.**" in compared({}, {}).markdown(AT)
    assert "does not exist; the swap makes it" in compared(None, rows(users=1)).markdown(AT)


def test_a_dump_that_lacks_something_or_is_not_masked_says_so() -> None:
    left_out = ("exclude=['public.events']",)
    text = compared({}, {}, is_masked=False, left_out=left_out, note="it is gone").markdown(AT)
    assert "**Nothing is masked.**" in text
    assert "may not have all of its database: exclude=" in text
    assert "- It is gone." in text


def test_names_of_tables_are_no_markup() -> None:
    text = compared(rows(**{"a|b <img> [x](y)": 1}), {}).markdown(AT)
    assert "a|b" not in text
    assert "<img>" not in text
    assert "](y)" not in text


def test_thousands_of_tables_are_not_all_shown() -> None:
    many = rows(**{f"table_{number}": number + 1 for number in range(3000)})
    text = compared(many, {}).markdown(AT)
    assert f"{3000 - SHOWN_TABLES:,} tables with smaller differences." in text
    assert text.count("\n") < 100
