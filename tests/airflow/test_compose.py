"""``docker-compose.yaml``, which needs Docker to run, agrees with itself and with the DAGs."""

import json
import os
import re
import subprocess
from typing import Any

import pytest
import yaml

from airflow_provider_pgclone.options.declared import OPTIONS
from example_dags.demo import shop
from example_dags.demo.environment import OPTIONS_OF_CONNECTIONS
from tests.support import REPOSITORY
from tests.support.fixtures.databases import Server

CONN_ID = re.compile(r"(?:postgres_conn_id|conn_id)=\"(\w+)\"|\bconn\.(\w+)\.")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    return parsed


def airflow_environment(compose: dict[str, Any]) -> dict[str, str]:
    environment: dict[str, str] = compose["services"]["airflow"]["environment"]
    return environment


def connections_of_the_dags() -> set[str]:
    texts = [path.read_text() for path in (REPOSITORY / "example_dags").glob("*.py")]
    return {first or second for text in texts for first, second in CONN_ID.findall(text)}


def test_has_airflow_a_server_and_a_storage(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"airflow", "postgres", "s3"}
    assert all(service["image"] for service in compose["services"].values())


def test_every_service_and_config_that_is_named_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert {config["source"] for config in service.get("configs", [])} <= set(
            compose["configs"]
        )


def test_every_folder_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    volumes = [v for service in compose["services"].values() for v in service.get("volumes", [])]
    assert volumes
    assert all((REPOSITORY / volume.split(":")[0]).is_dir() for volume in volumes)


def test_connections_of_the_dags_are_given_and_lead_to_services(compose: dict[str, Any]) -> None:
    environment = airflow_environment(compose)
    used = connections_of_the_dags()

    assert used == {"prod", "staging", "mask_key"}
    assert environment["AIRFLOW_CONN_MASK_KEY"]
    assert "@postgres:5432/" in environment["AIRFLOW_CONN_PROD"]
    assert environment["AIRFLOW_CONN_STAGING"].endswith(f"@postgres:5432/{shop.STAGING}")


def test_staging_is_guarded_as_in_the_demo(compose: dict[str, Any]) -> None:
    """Else the form of manual_restore would replace production, which is on the same server."""
    given = json.loads(airflow_environment(compose)["AIRFLOW__PGCLONE__CONNECTIONS"])
    assert given == OPTIONS_OF_CONNECTIONS
    assert given["staging"]["restore_over"] == [shop.STAGING]


def test_options_are_those_of_the_package(compose: dict[str, Any]) -> None:
    prefix = "AIRFLOW__PGCLONE__"
    given = {name for name in airflow_environment(compose) if name.startswith(prefix)}
    assert given
    names = {"connections", *(option.name for option in OPTIONS)}
    assert given <= {f"{prefix}{name.upper()}" for name in names}


def test_storage_has_the_bucket_and_the_keys_of_the_connection(compose: dict[str, Any]) -> None:
    environment = airflow_environment(compose)
    aws = json.loads(environment["AIRFLOW_CONN_AWS_DEFAULT"])
    identity = json.loads(compose["configs"]["s3.json"]["content"])["identities"][0]

    assert identity["credentials"] == [{"accessKey": aws["login"], "secretKey": aws["password"]}]
    assert aws["extra"]["endpoint_url"] == "http://s3:8333"
    assert environment["AIRFLOW__PGCLONE__STORAGE_LOCATION"] == "s3://dumps/"
    assert "-bucket=dumps" in compose["services"]["s3"]["command"].split()


def test_server_is_filled_as_in_the_demo(compose: dict[str, Any], server: Server) -> None:
    demo_folder = REPOSITORY / "example_dags" / "demo"
    script = compose["configs"]["fill.sql"]["content"].replace("/demo", str(demo_folder))
    server.run("postgres", f"CREATE DATABASE {shop.PRODUCTION}")
    postgres = server.server

    subprocess.run(
        [postgres.bin_dir / "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", "-"],
        input=script,
        env={
            **os.environ,
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
            "PGDATABASE": shop.PRODUCTION,
        },
        check=True,
        text=True,
    )

    assert shop.count(postgres, shop.PRODUCTION)["users"] == 500
    assert shop.count(postgres, shop.STAGING)["users"] == 40
