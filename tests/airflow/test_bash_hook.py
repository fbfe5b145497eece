"""The environment in which a Bash script works on a restored database."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.task_groups import bash_hook
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

ASKS = "SELECT current_database(), current_setting('application_name'), current_setting('work_mem')"


@pytest.fixture
def a_service_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has a service, whose values psql prefers to its variables."""
    path = tmp_path / "pg_service.conf"
    path.write_text("[elsewhere]\nhost=192.0.2.1\nport=1\n")
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    monkeypatch.setenv("PGSERVICEFILE", str(path))


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
