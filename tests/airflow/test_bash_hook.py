"""The environment in which a Bash script works on a restored database."""

import subprocess
from typing import Any

import pytest

from airflow_provider_pgclone.task_groups import bash_hook
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.service import UseService

ASKS = "SELECT current_database(), current_setting('application_name'), current_setting('work_mem')"


@pytest.fixture
def a_service_elsewhere(use_service: UseService) -> None:
    """The worker has a service, whose values psql prefers to its variables."""
    use_service(host="192.0.2.1", port=1, sslmode="prefer", sslcrl="/etc/ssl/root.crl")


@pytest.fixture
def waiting(shop: str, make_hook: MakeHook) -> str:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    return str(hook.temp_database)


def environment(waiting: str, connection: str, **arguments: Any) -> dict[str, str]:
    hook = bash_hook("work", "psql", **arguments)
    task: Any = hook.make(temp_database=waiting, postgres_conn_id=connection)
    found: dict[str, str] = task.get_env({})
    return found


@pytest.mark.usefixtures("a_service_elsewhere")
def test_what_the_worker_and_the_task_set_for_libpq_stays_unless_it_says_where(
    waiting: str, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ssl/root.crt")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "9")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"):
        monkeypatch.setenv(name, "elsewhere")
    given = {"PGAPPNAME": "mine", "PGOPTIONS": "-c work_mem=7MB", "PGHOSTADDR": "192.0.2.1"}
    found = environment(waiting, postgres_connection, env=given)
    assert found["PGSSLROOTCERT"] == "/etc/ssl/root.crt"
    assert found["PGCONNECT_TIMEOUT"] == "9"
    assert (found["PGAPPNAME"], found["PGOPTIONS"]) == ("mine", "-c work_mem=7MB")
    assert found["PGDATABASE"] == waiting
    assert found["PGSSLCRL"] == "/etc/ssl/root.crl"
    assert not found.keys() & {"PGSERVICE", "PGHOSTADDR"}
    assert "elsewhere" not in found.values()


@pytest.mark.usefixtures("a_service_elsewhere")
def test_psql_connects_to_the_restored_database(
    server: Server, waiting: str, postgres_connection: str
) -> None:
    psql = server.server.bin_dir / "psql"
    found = environment(waiting, postgres_connection, env={"PGOPTIONS": "-c work_mem=7MB"})
    said = subprocess.run(
        [psql, "-XAtc", ASKS], env=found, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == f"{waiting}|airflow-provider-pgclone|7MB"


def test_where_the_worker_connects_stays_where_the_task_says_another_place(
    server: Server,
    waiting: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of = server.server
    monkeypatch.setenv("AIRFLOW_CONN_HOST_ALONE", f"postgresql://{of.host}/")
    worker = {"PGPORT": str(of.port), "PGUSER": of.user, "PGPASSWORD": of.password}
    for name, value in worker.items():
        monkeypatch.setenv(name, value)
    elsewhere = dict.fromkeys([*worker, "PGHOST", "PGSERVICE", "PGSERVICEFILE"], "elsewhere")
    found = environment(waiting, "host_alone", env={**elsewhere, "PGAPPNAME": "mine"})
    assert {name: found[name] for name in worker} == worker
    assert (found["PGHOST"], found["PGAPPNAME"]) == (of.host, "mine")
    assert "elsewhere" not in found.values()
    left_out = "PGHOST, PGPASSWORD, PGPORT, PGSERVICE, PGSERVICEFILE, PGUSER of env"
    logged = capsys.readouterr().out
    assert f"does not get {left_out}" in logged
    assert "elsewhere" not in logged


def test_a_script_gets_what_the_service_says_even_without_the_variables_of_the_worker(
    server: Server, waiting: str, use_service: UseService, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = server.server
    monkeypatch.setenv("AIRFLOW_CONN_HOST_ALONE", f"postgresql://{of.host}/")
    use_service(host="192.0.2.1", port=of.port, user=of.user, password=of.password)
    found = environment(waiting, "host_alone", append_env=False)
    said = subprocess.run(
        [of.bin_dir / "psql", "-XAtc", "SELECT current_database()"],
        env=found,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == waiting
