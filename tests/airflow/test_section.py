"""The section of Airflow's config, as Airflow itself reads and shows it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow.configuration import conf as shown_conf
from airflow.providers_manager import ProvidersManager

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnknownOptionError,
)
from airflow_provider_pgclone.options import SECRETS
from airflow_provider_pgclone.settings import configuration_source, section_source
from example_dags.services import PostgresServer
from tests.support import REPOSITORY
from tests.support.fixtures.hooks import MakeHook

KEY = "0012345678901234567890"


@pytest.fixture
def command(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(KEY)
    return f"cat {path}"


@pytest.mark.parametrize("name", SECRETS)
def test_the_page_of_the_configuration_hides_secrets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{name.upper()}", KEY)
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS", json.dumps({"nightly": {name: KEY}}))
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCE", "prod")
    manager: Any = ProvidersManager  # it has no types in every version
    manager().initialize_providers_configuration()  # as the API server does
    shown = shown_conf.as_dict(display_source=True, display_sensitive=False)
    assert KEY not in json.dumps(shown, default=str)
    assert shown["pgclone"]["instance"] == ("prod", "env var")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_the_output_of_a_command(
    name: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{name.upper()}_CMD", command)
    assert section_source().values == {name: KEY}


def test_a_secret_of_digits_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__MASK_KEY", KEY)
    assert section_source().values == {"mask_key": KEY}


def test_a_secret_may_be_in_a_secrets_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = "tests.airflow.test_section.Backend"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__WORKERS__SECRETS_BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__PGCLONE__MASK_KEY_SECRET", "of/masks")
    assert section_source().values == {"mask_key": f"{KEY} of/masks"}


class Backend:
    """What Airflow asks for the secrets of its configuration."""

    def get_config(self, key: str) -> str:
        return f"{KEY} {key}"


def test_configurations_may_be_the_output_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "configs"
    path.write_text(json.dumps({"nightly": {"instance": "prod"}}))
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS_CMD", f"cat {path}")
    assert configuration_source("nightly").values == {"instance": "prod"}
    assert section_source().values == {}


def test_the_section_guards_a_connection_that_other_users_share(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = {"pg": {"allow_dump": False, "instance": "guarded"}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(connections))
    with pytest.raises(NotAllowedError, match=r"dump .* connection 'pg' in the key connections"):
        make_hook(shop).dump()
    assert "connections" not in section_source().values
    connections["pg"]["allow_dump"] = True
    connections["other"] = {"allow_dump": False}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(connections))
    assert make_hook(shop).dump().startswith("guarded/")
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_DUMP", "false")
    with pytest.raises(NotAllowedError, match="the section"):
        make_hook(shop).dump()


def test_the_section_guards_a_bucket_by_its_connection(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = json.dumps({"aws_default": {"allow_dump": False}})
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", connections)
    with pytest.raises(NotAllowedError, match="'aws_default'"):
        make_hook(shop, storage_location="s3://dumps/").dump()


@pytest.mark.parametrize(("written", "asked"), [("prod", "Prod"), ("Staging", "staging")])
def test_the_case_of_a_connection_id_lifts_no_guard(
    written: str,
    asked: str,
    shop: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for conn_id in ("PROD", "STAGING"):  # Airflow finds them in any case
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", os.environ["AIRFLOW_CONN_PG"])
    connections = {written: {"allow_restore": False, "restore_over": [], "instance": "guarded"}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(connections))
    hook = make_hook(shop, postgres_conn_id=asked)
    key = hook.dump()
    assert key.startswith("guarded/")
    with pytest.raises(NotAllowedError, match=f"connection '{written}' .* sets allow_restore"):
        hook.restore(key)
    with pytest.raises(NotAllowedError, match=r"'copied' .*restore_over"):
        make_hook(shop).copy(target="copied", target_postgres_conn_id=asked)
    assert "none for" not in caplog.text


def test_the_case_of_a_bucket_lifts_no_guard(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_S3", '{"conn_type": "aws"}')
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", '{"S3": {"allow_dump": false}}')
    for location in ("s3://dumps/", "S3://dumps/"):
        with pytest.raises(NotAllowedError, match="'S3'"):
            make_hook(shop, storage_location=location, storage_conn_id="s3").dump()


def test_ids_of_connections_that_differ_in_case_only_are_refused(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = {"prod": {"allow_restore": False}, "Prod": {}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(connections))
    with pytest.raises(InvalidInputError, match="has both 'prod' and 'Prod'"):
        make_hook(shop).ls()


def test_a_connection_id_in_another_case_is_told_if_it_does_not_exist(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", '{"prod": {}}')
    with pytest.raises(NotFoundError, match=r"'Prod' does not exist.*Did you mean 'prod'\?"):
        make_hook(shop, postgres_conn_id="Prod").ls()


def test_a_connection_id_that_is_misspelled_in_the_section_is_told(
    shop: str,
    make_hook: MakeHook,
    postgres_connection: str,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    local_storage.mkdir()
    monkeypatch.setenv("AIRFLOW_CONN_PROD_DB", os.environ["AIRFLOW_CONN_PG"])
    connections = json.dumps({"prod-db": {"allow_dump": False}, "other": {"allow_dump": False}})
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", connections)
    hook = make_hook(shop, postgres_conn_id="prod_db")
    hook.ls()
    told = "has options for the connection 'prod-db', which does not exist, and none for 'prod_db'"
    assert told in caplog.text
    assert "'other'" not in caplog.text
    with pytest.raises(NotFoundError, match="'prod_dbs' does not exist") as raised:
        make_hook(shop, postgres_conn_id="prod_dbs").ls()
    assert "Did you mean 'prod-db'?" in str(raised.value.hint)

    caplog.clear()
    monkeypatch.setenv("AIRFLOW_CONN_PROD_DB2", os.environ["AIRFLOW_CONN_PG"])
    for ids in (["prod_db2"], ["prod_db", "prod-db"]):
        given = json.dumps({one: {"instance": "x"} for one in ids})
        monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", given)
        hook.ls()
    assert "does not exist" not in caplog.text


@pytest.mark.parametrize(
    ("connections", "error"),
    [
        ('{"pg": {"alow_dump": false}}', UnknownOptionError),
        ('{"pg": 1}', InvalidInputError),
        ("[]", InvalidInputError),
        ("no json", InvalidInputError),
    ],
)
def test_what_the_section_gives_a_connection_is_checked(
    connections: str,
    error: type[Exception],
    shop: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", connections)
    with pytest.raises(error, match="connections"):
        make_hook(shop).ls()


def test_a_look_for_postgreshook_does_not_keep_it_from_ignoring_our_key() -> None:
    code = (
        "import importlib.util; from airflow_provider_pgclone.plugins import connection_extra;"
        "connection_extra.install(); connection_extra.install();"
        "name = connection_extra.POSTGRES_HOOK_MODULE;"
        "assert importlib.util.find_spec(name) and importlib.util.find_spec(name);"
        "from airflow.providers.postgres.hooks.postgres import PostgresHook;"
        "assert 'pgclone' in PostgresHook.ignored_extra_options"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


GUARDED = {"allow_restore": False, "restore_over": ["staging"], "storage_location": "/dumps"}
# Since 3.2 Airflow's program asks this package for commands when it starts. That of 3.1 refuses the
# extra.
ASKS_FOR_COMMANDS = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2)


def test_airflow_tests_a_guarded_connection(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgresHook must not hand the guards of the section and of the extra to libpq."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps({"guarded": GUARDED}))
    connection = {
        "conn_type": "postgres",
        "host": postgres.host,
        "port": postgres.port,
        "login": postgres.user,
        "password": postgres.password,
        "schema": "postgres",
        "extra": {"connect_timeout": 10, **({"pgclone": GUARDED} if ASKS_FOR_COMMANDS else {})},
    }
    monkeypatch.setenv("AIRFLOW_CONN_GUARDED", json.dumps(connection))
    argv = [sys.executable, "-m", "airflow", "connections", "test", "guarded"]
    run = subprocess.run(argv, capture_output=True, text=True, cwd=REPOSITORY, env=os.environ)
    assert (run.returncode, "Connection success!" in run.stdout) == (0, True), run.stdout
