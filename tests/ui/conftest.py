"""The tests in a browser take minutes: they start first, beside all others."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "ui" not in item.path.parts)
