"""What a run of the benchmarks can be asked for."""

import pytest

from bench.__main__ import SCALE, USUAL, read_arguments


def test_without_names_all_but_what_scales_is_compared() -> None:
    names, asked = read_arguments([])
    assert names == list(USUAL)
    assert (asked.content.name, asked.million_events, asked.rounds) == ("events", 4.0, 3)


def test_scale_stands_for_three_comparisons() -> None:
    assert read_arguments(["scale", "dump"])[0] == ["dump", *SCALE]


def test_another_database_is_dumped_restored_and_copied() -> None:
    names, asked = read_arguments(["--database", "orders"])
    assert names == ["dump", "restore", "copy"]
    assert asked.content.name == "orders"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["latency", "--database", "orders"], "--database is for dump, restore, copy"),
        (["dumps"], "'dumps' is none of dump, restore"),
        (["--database", "other"], "invalid choice: 'other'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read_arguments(arguments)
    assert problem in capsys.readouterr().err
