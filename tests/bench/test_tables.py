"""What was measured, as JSON and as Markdown."""

import json

import pytest

from bench.tables import AnyTable, as_json, from_json, markdown
from tests.bench.measured import DUMP, MEMORY


@pytest.mark.parametrize("table", [DUMP, MEMORY])
def test_a_table_is_read_as_it_was_written(table: AnyTable) -> None:
    assert from_json(as_json(table)) == table


def test_the_json_has_every_round_and_the_machine() -> None:
    told = json.loads(as_json(DUMP))
    assert [run["seconds"] for run in told["ways"]["this package, 2 jobs"]] == [8.0, 9.0]
    assert told["machine"]["cores"] == 2
    assert told["machine"]["postgres"] == "17.10"
    assert told["tables_bytes"] == 1_090_000_000


def test_a_comparison_shows_medians_and_their_ratio_to_the_first_way() -> None:
    assert DUMP.lines[0] == [
        *("way", "seconds", "ratio", "client CPU s", "PostgreSQL CPU s", "S3 CPU s", "peak MiB")
    ]
    assert DUMP.lines[3] == [
        *("django-pgclone's pg_dump -Fc, aws s3 cp", "25.5", "3.00", "51.0", "3.0", "0.2", "100")
    ]


def test_figures_show_as_many_digits_as_their_column_has() -> None:
    assert MEMORY.lines[1:] == [["all of it", "1,170", "2.0"], ["a tenth", "125", "0.0"]]
    assert markdown(MEMORY.lines).splitlines()[:3] == [
        "| database | dump, MiB | `pg_restore`, s |",
        "| --- | --- | --- |",
        "| all of it | 1,170 | 2.0 |",
    ]
