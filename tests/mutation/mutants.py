"""Makes mutants of a package by mutmut, in a copy of the repository, and runs its tests on them."""

import ast
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.in_mutants import WITH_SERVER
from tests.mutation.packages import Package
from tests.support import REPOSITORY

CORE = Path("airflow_provider_pgclone", "core")
WORK = REPOSITORY / ".mutation"
# The exit codes of pytest when a test fails, and of mutmut's limit of time, as mutmut notes them.
_KILLED = {1, 3, 24, -24, 36, 152, 255}
_COPIED = ("airflow_provider_pgclone", "example_dags", "tests", "docs")
_CONFIGURATION = """
[tool.mutmut]
source_paths = ["airflow_provider_pgclone"]
only_mutate = {files}
also_copy = ["example_dags", "docs"]
pytest_add_cli_args_test_selection = ["tests/core/{tests}"]
pytest_add_cli_args = ["-p", "pytest_timeout", "-p", "tests.mutation.in_mutants"]
on_dependency_change = "ignore"
use_git_change_detection = false
# On a busy machine a test may take many times as long, which must not count as noticing a mutant.
timeout_multiplier = 5.0
timeout_constant = {patience}
"""


@dataclass(frozen=True, order=True)
class Mutant:
    """A mutant that no test has noticed.

    :param where: the file below core, and the function.
    :param was: the lines that were changed, without indentation.
    :param becomes: what they became.
    """

    where: str
    was: str
    becomes: str


@dataclass(frozen=True)
class Outcome:
    """What has become of the mutants that were tried."""

    files: list[str]
    made: int
    tried: int
    survivors: list[Mutant]


def try_mutants(name: str, package: Package, sample: int | None, seed: int) -> Outcome:
    """Run the tests of a package on its mutants.

    :param sample: how many mutants to try, at random; ``None`` tries all.
    """
    folder = WORK / name.replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    _copy_repository(folder, package)
    with contextlib.chdir(folder):
        _forget_configuration()
        every = _every_mutant(package)
        chosen = every
        if sample is not None and sample < len(every):
            chosen = sorted(every, key=lambda one: _drawn(one, seed))[:sample]
        _run_mutmut([] if chosen is every else chosen, package)
        exit_codes = _exit_codes(package)
        survivors = [_described(one) for one in chosen if exit_codes[one] not in _KILLED]
    files = [str(path.relative_to(CORE)) for path in _files(package)]
    return Outcome(files, len(every), len(chosen), survivors)


def _drawn(name: str, seed: int) -> bytes:
    """Return a number at random that stays the mutant's own when other code changes."""
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _copy_repository(folder: Path, package: Package) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis", "_build")
    for name in _COPIED:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    for path in _files(package):
        text = (folder / path).read_text()
        (folder / path).write_text(properties_as_functions(text))
    (folder / "pyproject.toml").write_text(
        (REPOSITORY / "pyproject.toml").read_text()
        + _CONFIGURATION.format(
            files=[str(CORE / pattern) for pattern in package.files],
            tests=package.tests,
            patience=60.0 if package.has_server else 10.0,
        )
    )


def properties_as_functions(source: str) -> str:
    """Return a module whose properties are made after their functions.

    mutmut does not mutate a function that has a decorator.
    """
    lines = source.splitlines()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda node: node.lineno, reverse=True):
        if [ast.unparse(decorator) for decorator in node.decorator_list] == ["property"]:
            assert node.end_lineno is not None
            lines.insert(
                node.end_lineno, f"{' ' * node.col_offset}{node.name} = property({node.name})"
            )
            del lines[node.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def _files(package: Package) -> list[Path]:
    found = [path for pattern in package.files for path in (REPOSITORY / CORE).glob(pattern)]
    return sorted(path.relative_to(REPOSITORY) for path in found)


def _forget_configuration() -> None:
    """Let mutmut read the configuration of the package; it keeps that of the one before."""
    from mutmut.configuration import reset_config

    reset_config()


def _every_mutant(package: Package) -> list[str]:
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    return [
        get_mutant_name(path, name)
        for path in _files(package)
        for name in mutate_file_contents(str(path), path.read_text()).mutant_names
    ]


def _run_mutmut(names: list[str], package: Package) -> None:
    """Run mutmut; it stops if the tests fail without a mutant, or if none can be made to fail."""
    environment = {
        **os.environ,
        WITH_SERVER: "1" if package.has_server else "",
        # Each mutant starts pytest anew, and to look for plugins takes longer than most tests.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    program = Path(sys.executable).with_name("mutmut")
    with Path("mutmut.log").open("w") as log:
        code = subprocess.run(
            [program, "run", *names], env=environment, stdout=log, stderr=subprocess.STDOUT
        ).returncode
    if code != 0:
        raise RuntimeError(f"mutmut failed: see {Path('mutmut.log').absolute()}")


def _exit_codes(package: Package) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in _files(package):
        notes = Path("mutants", f"{path}.meta")
        if notes.exists():
            found |= json.loads(notes.read_text())["exit_code_by_key"]
    return found


def _described(name: str) -> Mutant:
    from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    path = find_mutant(name).path
    function, owner = orig_function_and_class_names_from_key(name)
    changes = get_diff_for_mutant(name, path=path).splitlines()[2:]
    return Mutant(
        f"{Path(path).relative_to(CORE)} {f'{owner}.' if owner else ''}{function}",
        _joined(changes, "-"),
        _joined(changes, "+"),
    )


def _joined(changes: list[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in changes if line.startswith(sign))
