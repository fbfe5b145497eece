"""Which lines are those of pg_restore itself, and what it says in them."""

import re

import pytest

from airflow_provider_pgclone.core.executing.own_lines import OwnLines, is_unmarked


def test_the_mark_is_the_color_that_the_program_is_told_to_use() -> None:
    """``pg_logging_init()`` in logging.c reads both variables, by these names."""
    own_lines = OwnLines()
    assert own_lines.environment["PG_COLOR"] == "always"
    word = own_lines.environment["PG_COLORS"].removeprefix("locus=")
    assert own_lines.mark == f"\x1b[{word}m"
    assert len(own_lines.environment) == 2


def test_the_mark_cannot_be_guessed() -> None:
    marks = {OwnLines().mark for _ in range(100)}
    assert len(marks) == 100
    assert all(re.fullmatch(r"\x1b\[[0-9a-f]{32}m", mark) for mark in marks)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{mark}pg_restore: \x1b[0merror: bad: worse", "error: bad: worse"),
        ("\x1b[0m{mark}pg_restore:\x1b[0m connecting", "connecting"),
        (
            "{mark}pg_restore: pg_restore: \x1b[0m  a pg_restore: b \x1b[0m",
            "a pg_restore: b \x1b[0m",
        ),
        ("{mark}error", "error"),
        ("{mark}", ""),
        ("{mark}pg_restore: \x1b[0ma {mark}b", "a {mark}b"),
        ("pg_restore: error: bad", None),
        ("\x1b[01mpg_restore: \x1b[0merror: bad", None),
        ("", None),
    ],
)
def test_only_a_line_with_the_mark_is_its_own(line: str, text: str | None) -> None:
    own_lines = OwnLines()
    expected = None if text is None else text.format(mark=own_lines.mark)
    assert own_lines.read(line.format(mark=own_lines.mark)) == expected
    assert own_lines.read(line.format(mark=OwnLines().mark)) is None


@pytest.mark.parametrize(
    ("line", "is_so"),
    [("pg_restore: error", True), (" pg_restore: error", False), ("pg_restore error", False)],
)
def test_a_line_without_a_mark_is_known_by_its_begin(line: str, is_so: bool) -> None:
    assert is_unmarked(line) is is_so
