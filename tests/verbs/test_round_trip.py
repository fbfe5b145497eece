"""Databases of all shapes come back as they were, by our restore and by stock pg_restore."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from airflow_provider_pgclone.core.archive.toc import read_toc
from airflow_provider_pgclone.core.postgres.clients import tool_major
from airflow_provider_pgclone.core.reading import page_ranges, table_choice
from airflow_provider_pgclone.core.scheduling import splitting
from tests.support.fixtures.databases import Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.random_databases import Step, databases
from tests.support.fixtures.stock_tools import StockTools
from tests.support.services.postgres_versions import MATRIX

PAGE_BYTES = 8192
EXAMPLES = 200 if MATRIX else 4
# Outside the matrix the examples are always these. Hypothesis would derive them from the code of
# the test and from names of modules: a new name could bring fewer tables than are asked for below.
SEED = 8
SOURCE, BY_US, BY_STOCK = "round_trip", "round_trip_us", "round_trip_stock"


@pytest.mark.timeout(1800)
def test_what_is_dumped_comes_back(
    server: Server, make_hook: MakeHook, local_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[str] = Counter()
    bin_dir = server.server.bin_dir
    tools = StockTools(bin_dir, tool_major(str(bin_dir / "psql")), server.server.uri(BY_STOCK))
    # Each page a range, but no more than these of one table, since each is a COPY.
    monkeypatch.setattr(page_ranges, "PART_BYTES", PAGE_BYTES)
    monkeypatch.setattr(page_ranges, "MAX_RANGES_OF_TABLE", 3)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not MATRIX,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        steps=databases(),
        threshold=st.sampled_from([1, 2 * PAGE_BYTES]),
        small=st.sampled_from([0, splitting.SMALL_BYTES]),
    )
    def round_trip(steps: Sequence[Step], threshold: int, small: int) -> None:
        monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", threshold)
        monkeypatch.setattr(splitting, "SMALL_BYTES", small)
        make(server, steps)
        key = make_hook(SOURCE).dump(jobs=2)
        seen.update(ranges_of(local_storage / key))
        expected = fingerprint(server, SOURCE)
        server.drop(BY_US)
        make_hook(BY_US).restore(key)
        assert fingerprint(server, BY_US) == expected
        server.drop(BY_STOCK)
        server.run("postgres", f"CREATE DATABASE {BY_STOCK} TEMPLATE template0")
        tools.restore("parallel", local_storage / key)
        assert fingerprint(server, BY_STOCK) == expected

    if not MATRIX:
        seed(SEED)(round_trip)
    round_trip()
    assert seen["tables in ranges"] > 2 * EXAMPLES
    assert seen["tables in several ranges"] > EXAMPLES // 2
    assert seen["tables in one stream"] > EXAMPLES


def make(server: Server, steps: Sequence[Step]) -> None:
    server.drop(SOURCE)
    server.run("postgres", f"CREATE DATABASE {SOURCE}")
    with server.connect(SOURCE) as connection:
        for step in steps:
            step.run(connection)


def ranges_of(archive: Path) -> Counter[str]:
    """Count the tables of an archive by how they were read."""
    with archive.open("rb") as file:
        toc = read_toc(iter(lambda: file.read(65536), b""))
    tables = {entry.dump_id for entry in toc.entries if entry.description == "TABLE"}
    data = [entry for entry in toc.entries if entry.description == "TABLE DATA"]
    # The first dependency of a range is not its table.
    ranges = Counter(
        (entry.namespace, entry.tag) for entry in data if entry.dependencies[0] not in tables
    )
    return Counter(
        {
            "tables in ranges": len(ranges),
            "tables in several ranges": sum(count > 1 for count in ranges.values()),
            "tables in one stream": len(data) - ranges.total(),
        }
    )
