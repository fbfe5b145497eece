"""What people are shown runs without the tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPOSITORY


def modules_of(path: Path) -> Iterator[str]:
    """Return the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("folder", ["airflow_provider_pgclone", "example_dags", "bench"])
def test_nothing_but_tests_imports_tests(folder: str) -> None:
    files = sorted((REPOSITORY / folder).rglob("*.py"))
    assert files
    importing = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in files
        for name in modules_of(path)
        if name.partition(".")[0] == "tests"
    ]
    assert importing == []


def test_the_servers_import_nothing_of_the_repository_but_themselves() -> None:
    own = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
    names = [
        name
        for path in (REPOSITORY / "example_dags" / "services").glob("*.py")
        for name in modules_of(path)
        if name.partition(".")[0] in own
    ]
    assert names
    assert all(name.startswith("example_dags.services") for name in names)
