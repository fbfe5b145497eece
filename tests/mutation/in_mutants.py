"""A plugin of pytest that is loaded where tests run on mutants."""

import gc
import os

import hypothesis
import pytest

WITH_SERVER = "MUTATION_WITH_SERVER"
_SERVERS = {"postgres", "s3"}

# The same examples each time, so that the same mutants survive.
hypothesis.settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    deadline=None,
    # A failure is enough: nobody reads the smallest example of it.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("mutation")


def pytest_configure() -> None:
    # pytest collects garbage ten times at its end, which takes a second with Airflow in memory.
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a server, unless they are asked for, and run quick ones first.

    The first test that fails ends the run, and mutmut gives the tests in no order.
    """
    if not os.environ.get(WITH_SERVER):
        without = [item for item in items if not _SERVERS & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=[item for item in items if item not in without])
        items[:] = without
    items.sort(key=_has_many_examples)


def _has_many_examples(item: pytest.Item) -> bool:
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
