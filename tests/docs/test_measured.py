"""The tables and pictures of what was measured are those that the measured JSON gives."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.pages import blocks, digest, picture_name, places, read_tables, with_tables
from bench.pictures import IMAGES, MEASURED, PAGES
from tests.bench.measured import DUMP, MEMORY, run
from tests.docs.pages import README

TABLES = read_tables(MEASURED)
WRITE = "run python -m bench.pictures"
BLOCK = "before\n\n<!-- measured: dump-events -->\n<!-- end -->\n\nafter\n"
LINE = "| a | b |\n|---|---|\n| so much <!-- measured: dump-events --> | 1 s |\n| c | d |\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_the_numbers_that_were_measured(page: Path) -> None:
    text = page.read_text()
    assert with_tables(text, TABLES, PAGES[page]) == text, WRITE


def test_each_table_that_was_measured_has_a_place_and_a_picture() -> None:
    placed = {name for page in PAGES for name in blocks(page.read_text())}
    assert placed >= {"dump-events", "restore-orders", "copy-indexes", "large-table", "fleet"}
    assert set(TABLES) <= placed
    for name, table in TABLES.items():
        picture = IMAGES / picture_name(name)
        assert picture.exists(), WRITE
        assert digest(table) in picture.read_text(), WRITE


def test_no_picture_is_left_of_a_table_that_is_gone() -> None:
    drawn = {path.name for path in IMAGES.glob(picture_name("*"))}
    assert drawn == {picture_name(name) for name in TABLES}


def test_the_first_page_names_only_tables_that_have_a_place_elsewhere() -> None:
    placed = {name for page in PAGES for name in blocks(page.read_text())}
    assert places(README.read_text()) == {"dump-events", "restore-events"}
    assert places(README.read_text()) <= placed


def test_a_block_gets_its_table_and_keeps_what_is_around_it() -> None:
    text = with_tables(BLOCK, {"dump-events": DUMP, "memory": MEMORY}, "images")
    assert text.startswith("before\n\n<!-- measured: dump-events -->\n\nDump of the database")
    assert text.endswith("images/bench-dump-events.svg)\n\n<!-- end -->\n\nafter\n")
    assert "2 cores, 1.09 GB of tables, PostgreSQL 17.10, medians of 2 rounds" in text
    assert "| this package, 2 jobs | 8.5 | 1.00 |" in text
    assert with_tables(text, {"dump-events": DUMP}, "images") == text


def test_a_line_gets_its_seconds_and_keeps_its_table() -> None:
    text = with_tables(LINE, {"dump-events": DUMP}, "images")
    assert text.splitlines() == [
        *("| a | b |", "|---|---|"),
        "| 1.09 GB dumped <!-- measured: dump-events --> | 8.5 s | 8.5 s | 25.5 s |",
        "| c | d |",
    ]


@pytest.mark.parametrize("text", [BLOCK, LINE])
def test_what_was_not_measured_stays(text: str) -> None:
    assert with_tables(text, {"memory": MEMORY}, "images") == text


@pytest.mark.parametrize("text", [BLOCK, LINE])
def test_another_number_is_another_page(text: str) -> None:
    """So that a number that somebody types fails."""
    ways = {**DUMP.ways, "this package, 2 jobs": [run(8.2), run(9.0)]}
    one, other = (
        with_tables(text, {"dump-events": table}, "images")
        for table in (DUMP, replace(DUMP, ways=ways))
    )
    assert one != other


def test_a_line_of_a_way_that_is_missing_is_refused() -> None:
    ways = {"this package, 2 jobs": [run(8.0)]}
    with pytest.raises(ValueError, match="the table dump-events has no way 'pg_dump -Fc --comp"):
        with_tables(LINE, {"dump-events": replace(DUMP, ways=ways)}, "images")
