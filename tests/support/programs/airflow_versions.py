"""Runs the tests of what knows Airflow on each Airflow and Python, in environments of their own.

``python -m tests.support.programs.airflow_versions 3.1/3.12 3.3/3.11`` runs some of them. The
environments are kept in ``.matrix``, with what the tests have said.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPOSITORY

FOLDER = REPOSITORY / ".matrix"
AIRFLOWS = ("3.1", "3.2", "3.3")
PYTHONS = ("3.11", "3.12", "3.13")
# What Airflow 3.2 has not bounded, and does not run a DAG with since these came out.
BOUNDS = {"3.2": ("fastapi<0.137", "starlette<1")}
TESTS = (
    *(f"airflow/test_{name}" for name in ("hook", "operators", "example_dags", "cli", "section")),
    *(f"airflow/test_dumps_{name}" for name in ("page", "page_catalog", "listing")),
    "test_layers",
)
_VERSIONS = (
    "import airflow, platform; from importlib.metadata import version; print("
    "airflow.__version__, platform.python_version(), "
    "*map(version, ['apache-airflow-providers-postgres', 'apache-airflow-providers-amazon']), "
    "sep=' | ')"
)


@dataclass(frozen=True)
class Combination:
    """An Airflow and a Python."""

    airflow: str
    python: str

    @property
    def folder(self) -> Path:
        return FOLDER / f"airflow{self.airflow}-python{self.python}"

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(f"{self.folder.suffix}.log")

    def install(self) -> None:
        """Make the environment anew.

        :raises CalledProcessError: when there is no such Python, or the versions do not fit.
        """
        uv = _uv()
        _run([uv, "venv", "--quiet", "--clear", "--python", self.python, str(self.folder)])
        into = ["--quiet", "--python", str(self.interpreter), "--group", "dev", "--editable", "."]
        airflow = [f"apache-airflow~={self.airflow}.0", *BOUNDS.get(self.airflow, ())]
        _run([uv, "pip", "install", *into, *airflow])

    def versions(self) -> str:
        """Return what was installed, as cells of the table."""
        said = subprocess.run(
            [self.interpreter, "-c", _VERSIONS],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "AIRFLOW_HOME": str(self.folder / "airflow")},
        )
        return said.stdout.splitlines()[-1]

    def test(self) -> tuple[bool, str]:
        """Run the tests, and return whether all passed and their last line."""
        argv = [str(self.interpreter), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        with self.log.open("w") as log:
            code = subprocess.run(
                [*argv, *(f"tests/{name}.py" for name in TESTS)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            ).returncode
        return code == 0, self.log.read_text().strip().rpartition("\n")[2].strip("= ")


def main(wanted: Sequence[str]) -> int:
    """Run the combinations, print a line of a table for each, and return how many have failed."""
    chosen = wanted or [f"{airflow}/{python}" for airflow in AIRFLOWS for python in PYTHONS]
    FOLDER.mkdir(exist_ok=True)
    failed = 0
    print("| Airflow | Python | postgres provider | amazon provider | Tests |")
    print("|---|---|---|---|---|", flush=True)
    for name in chosen:
        combination = Combination(*name.split("/"))
        try:
            combination.install()
            cells, (passed, said) = combination.versions(), combination.test()
        except subprocess.CalledProcessError as error:
            cells, passed, said = f"{name} | | |", False, f"{Path(error.cmd[0]).name} failed"
        failed += not passed
        print(f"| {cells} | {said} |", "" if passed else f"see {combination.log}", flush=True)
    return failed


def _uv() -> str:
    beside = Path(sys.executable).parent
    found = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise FileNotFoundError("no uv, which `make test-airflow` installs into .venv")
    return found


def _run(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=True, cwd=REPOSITORY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
