"""What the pages say beside their Python: commands, JSON, links, the map of decisions."""

import json
import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, REPOSITORY, examples, links, tables

TARGETS = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
_MAKE = re.compile(r"^\$ make ([\w.-]+)", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def test_the_targets_of_make_that_pages_name_exist() -> None:
    named = {
        (name_of(page), target)
        for page in PAGES
        for example in examples(page, "console")
        for target in _MAKE.findall(example.text)
    }
    assert {target for _, target in named} >= {"demo", "test", "ui"}
    assert not [(page, target) for page, target in named if target not in TARGETS]


def test_make_help_names_each_target_for_people() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    shown = set(re.findall(r'@echo "make ([\w-]+)', makefile))
    assert set(phony.split()) - shown <= {"help", "pytest", "format"}
    assert shown <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    assert not [target for target in links(page) if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_of_the_pages_is_read(page: Path) -> None:
    for example in examples(page, "json"):
        json.loads(example.text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_line_of_a_table_has_as_many_cells_as_its_header(page: Path) -> None:
    """Otherwise GitHub and Sphinx add cells, or leave out what the header has no cell for."""
    assert not [
        f"{name_of(page)}:{number}"
        for (_, header), *lines in tables(page)
        for number, cells in lines
        if cells != header
    ]


def test_the_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) < 120


def test_the_map_names_files_that_exist() -> None:
    """So that whoever moves a file sees that the map does."""
    package = REPOSITORY / "airflow_provider_pgclone"
    named = re.findall(
        r"`([\w./-]+/[\w./-]*|\w+\.py)`", (REPOSITORY / "CONTRIBUTING.md").read_text()
    )
    named = [name for name in named if not name.startswith(("docs/_build", "/"))]
    assert len(named) > 30
    roots = (REPOSITORY, package, package / "core")
    assert not [name for name in named if not any((root / name).exists() for root in roots)]
