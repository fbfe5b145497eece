"""How Airflow is set up for the demo: by environment variables alone."""

import json
import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from example_dags.demo import shop
from example_dags.demo.folders import EXAMPLE_DAGS
from example_dags.services import PostgresServer, free_ports

# By its connection only staging is replaced, and only by masked dumps: production is on the same
# server, and the form of manual_restore takes any name.
OPTIONS_OF_CONNECTIONS = {"staging": {"restore_over": [shop.STAGING], "require_masked": True}}

# What the Dumps page shows.
DUMPS_PAGE = {
    "stores": {
        "Shop": {
            "postgres_conn_id": "prod",
            "dag": "nightly_masked_dump",
            "verify_dag": "verify_dump",
        }
    },
    "targets": {
        "Staging": {
            "postgres_conn_id": "staging",
            "database": shop.STAGING,
            "dag": "manual_restore",
        }
    },
}


def connections(server: PostgresServer, mask_key: str) -> dict[str, str]:
    """Return the connections of the example DAGs by their ids, as JSON or URIs."""
    return {
        "prod": server.uri(shop.PRODUCTION),
        "staging": server.uri(shop.STAGING),
        "mask_key": f"generic://:{mask_key}@",
    }


def connection_variables(connections: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for connections, by their ids."""
    return {f"AIRFLOW_CONN_{conn_id.upper()}": value for conn_id, value in connections.items()}


def airflow_environment(folder: Path, server: PostgresServer) -> dict[str, str]:
    """Return the variables for an Airflow with the example DAGs, its files below ``folder``."""
    home, dumps = folder / "airflow", folder / "dumps"
    dumps.mkdir(exist_ok=True)
    # psql, for the task that calls it, and airflow itself, which standalone calls by name.
    programs = [sysconfig.get_path("scripts"), str(server.bin_dir), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(programs),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__PGCLONE__CONNECTIONS": json.dumps(OPTIONS_OF_CONNECTIONS),
        "AIRFLOW__PGCLONE__STORAGE_LOCATION": str(dumps),
        "AIRFLOW__PGCLONE__PG_BIN_DIR": str(server.bin_dir),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE_DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


def web_environment(port: int, path: str = "") -> dict[str, str]:
    """Return the variables for a web interface on the loopback interface, open without login.

    :param path: what the URL has after the port, such as ``/airflow``.
    """
    url = f"http://127.0.0.1:{port}{path}"
    worker_log_port, triggerer_log_port = free_ports(2)
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__PGCLONE__DUMPS_PAGE": json.dumps(DUMPS_PAGE),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer_log_port),
    }
