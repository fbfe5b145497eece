"""Fixtures of all tests: an Airflow home of their own, and one of each real server."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A loaded machine takes longer than the 200 ms that an example may take by default.
hypothesis.settings.register_profile("pgclone", deadline=None)
hypothesis.settings.load_profile("pgclone")
# Airflow reads these when it is first imported, which fixtures below and many tests do.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="pgclone-airflow-")
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=_AIRFLOW_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_AIRFLOW_HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=f"{_AIRFLOW_HOME}/logs",
)

pytest_plugins = [
    "tests.support.fixtures.servers",
    "tests.support.fixtures.databases",
    "tests.support.fixtures.hooks",
    "tests.support.fixtures.masked",
    "tests.support.fixtures.airflow",
    "tests.support.fixtures.faulty_storage",
    "tests.support.fixtures.processes",
    "tests.support.fixtures.tasks",
    "tests.support.fixtures.browser",
    "tests.support.fixtures.dumps_page",
    "tests.support.fixtures.service",
    "tests.support.fixtures.shop",
]


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    return Path(_AIRFLOW_HOME)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def open_tmp() -> Iterator[Path]:
    """A folder that the servers' user may enter; pytest's own is for root alone."""
    with tempfile.TemporaryDirectory(prefix="pgclone-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)
