"""Names of others in errors and in the log."""

import ast
import logging
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.visible import get_log, visible_lines, visible_text

CORE = Path(__file__).parents[2] / "airflow_provider_pgclone"
NAME = "shop\x1b[2J\r\u202e.\udcff"
SHOWN = "shop\\x1b[2J\\r\\u202e.\\udcff"


def test_what_is_invisible_is_shown_in_one_line() -> None:
    assert visible_text(f"on\n{NAME}\t") == f"on\\n{SHOWN}\\t"


@pytest.mark.parametrize("text", ["", "Größe 数据库", "a \\ b"])
def test_what_is_visible_stays(text: str) -> None:
    assert visible_text(text) == visible_lines(text) == text


def test_spaces_of_other_widths_stay_in_messages_alone() -> None:
    assert visible_lines("«\u00a0on\u00a0»\tx") == "«\u00a0on\u00a0»\tx"
    assert visible_text("a\u00a0b") == "a\\xa0b"


def test_a_name_cannot_make_a_line_of_its_own() -> None:
    assert visible_lines("a\nb\n  c\n\td\n\ne") == "a\n  b\n  c\n  \td\n  \n  e"
    again = visible_lines(visible_lines(f"{NAME}\n{NAME}"))
    assert again == f"{SHOWN}\n  {SHOWN}"


def test_errors_show_what_is_invisible() -> None:
    error = InvalidInputError(f"the table {NAME}\nis odd", hint=f"Rename {NAME}.")
    assert (error.message, error.hint) == (f"the table {SHOWN}\n  is odd", f"Rename {SHOWN}.")
    assert str(error) == f"{error.message}. {error.hint}"
    assert error.args == (error.message, error.hint)


def test_the_log_shows_what_is_invisible(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = get_log("airflow_provider_pgclone.somewhere")
    log.debug("%s", "not shown")
    log.info("%s has %d rows, %r", NAME, 7, "\n")
    log.warning("100 %")
    (first, second) = caplog.records
    assert [one.msg for one in caplog.records] == [first.getMessage(), "100 %"]
    assert first.getMessage() == f"{SHOWN} has 7 rows, '\\n'"
    assert (first.name, first.levelno) == ("airflow_provider_pgclone.somewhere", logging.INFO)
    assert (first.funcName, second.getMessage()) == (
        "test_the_log_shows_what_is_invisible",
        "100 %",
    )


def test_no_module_has_a_log_of_another_kind() -> None:
    for path in CORE.rglob("*.py"):
        if path == CORE / "core" / "visible.py":
            continue
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
        assert "getLogger" not in names, path


@pytest.mark.parametrize(("end", "stop"), [("", "."), (".", ""), ("?", ""), (")", ".")])
def test_a_hint_follows_one_full_stop(end: str, stop: str) -> None:
    error = InvalidInputError(f"is the server running{end}", hint="Start it.")
    assert str(error) == f"is the server running{end}{stop} Start it."
