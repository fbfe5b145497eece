"""Databases of others come back as stock pg_dump and pg_restore bring them back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.scheduling import splitting
from example_dags.services import postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.real_schemas import SAMPLES, load, why_missing
from tests.support.fixtures.stock_control import Controlled, control
from tests.support.services.postgres_versions import MATRIX, bin_dir_of

pytestmark = pytest.mark.skipif(not MATRIX, reason="takes minutes: make test-matrix")

CASES = [
    (name, major)
    for major in (14, 18)
    for name, sample in SAMPLES.items()
    if major >= sample.first_major
]
ServerOf = Callable[[int], Server]


@pytest.fixture(scope="module")
def server_of(open_tmp: Path) -> Iterator[ServerOf]:
    """The server of a version, which is started when first asked for."""
    with ExitStack() as stack:
        servers: dict[int, Server] = {}

        def get(major: int) -> Server:
            if major not in servers:
                folder = open_tmp / f"sampled{major}"
                folder.mkdir()
                running = stack.enter_context(postgres_server(folder, bin_dir_of(major)))
                servers[major] = Server(running)
            return servers[major]

        yield get


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "{} on {}".format(*case))
def sampled(
    request: pytest.FixtureRequest, server_of: ServerOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controlled]:
    name, major = request.param
    sample = SAMPLES[name]
    if reason := why_missing(sample):
        pytest.skip(reason)
    server = server_of(major)
    server.run("postgres", f"CREATE DATABASE {name}")
    try:
        load(sample, server, name)
        made = control(server, name, tmp_path_factory.mktemp("stock"))
        assert sum(rows for rows, _ in made.original.tables.values()) >= sample.rows
        yield made
    finally:
        for database in server.names():
            server.drop(database)


@pytest.fixture
def make_sampled_hook(
    sampled: Controlled, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> MakeHook:
    monkeypatch.setattr(splitting, "SMALL_BYTES", 0)  # what is said of large tables holds for all
    return sampled.hooks_on_it(make_hook, monkeypatch)


def test_stock_programs_lose_nothing(sampled: Controlled) -> None:
    assert sampled.by_stock == sampled.original


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_restored_dump_is_what_stock_programs_restore(
    jobs: int, sampled: Controlled, make_sampled_hook: MakeHook
) -> None:
    assert sampled.restored(make_sampled_hook, jobs) == sampled.by_stock


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_copy_by_stream_is_what_stock_programs_restore(
    jobs: int, sampled: Controlled, make_sampled_hook: MakeHook
) -> None:
    assert sampled.copied(make_sampled_hook, jobs) == sampled.by_stock


@pytest.mark.parametrize("way", ["file", "parallel"])
def test_stock_programs_restore_our_dump(
    way: str, sampled: Controlled, make_sampled_hook: MakeHook, local_storage: Path
) -> None:
    restored = sampled.restored_by_stock(make_sampled_hook, way, local_storage)
    assert restored == sampled.by_stock
