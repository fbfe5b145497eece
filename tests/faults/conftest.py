"""Which of the tests that break things run: a quick choice, or all of them (`make test-faults`)."""

import os
from pathlib import Path

import pytest

from tests.support.fixtures.databases import Server

ALL = "TEST_FAULTS" in os.environ


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs only where TEST_FAULTS is set")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not ALL and item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long: `make test-faults` runs it"))


@pytest.fixture
def log(server: Server) -> Path:
    """The log of the server."""
    return server.server.data_dir.parent / "server.log"
