"""How programs and sessions reach a database: by the same parameters, and none that is secret."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.rules.key import with_key
from airflow_provider_pgclone.core.postgres.clients import connection_arguments
from airflow_provider_pgclone.core.postgres.database import Database


def test_parameters_reach_programs_by_the_variables_of_libpq() -> None:
    database = Database(
        "shop",
        {
            "host": "db",
            "password": "secret",
            "sslmode": "verify-full",
            "target_session_attrs": "read-write",
            "require_auth": "scram-sha-256",
            "keepalives_idle": "60",
        },
    )
    assert database.environment() == {
        "PGHOST": "db",
        "PGPASSWORD": "secret",
        "PGSSLMODE": "verify-full",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGDATABASE": "shop",
        "PGAPPNAME": "airflow-provider-pgclone",
    }


def test_quiet_connections_of_sessions_and_programs_say_that_they_go_on() -> None:
    """A firewall would drop them; the system waits for two hours."""
    by_default = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
    given = {"keepalives_idle": "9", "tcp_user_timeout": "7000"}
    for parameters in ({}, given):
        expected = {**by_default, **parameters}
        database = Database("a=b", {"host": "db", "password": "secret", **parameters})
        in_session = database.session_parameters()
        assert in_session == {"host": "db", "password": "secret", **expected}
        *_, argument = connection_arguments(database)
        assert argument.startswith("--dbname=")
        assert conninfo_to_dict(argument.removeprefix("--dbname=")) == {"dbname": "a=b", **expected}


@pytest.mark.parametrize("parameter", ["service", "dbname", "sslpassword", "no_such_parameter"])
def test_a_parameter_that_programs_cannot_be_given_is_refused(parameter: str) -> None:
    """A service file wins over a program's variables, but not over psycopg's parameters."""
    with pytest.raises(InvalidInputError, match=f"'{parameter}' has no environment variable"):
        Database("shop", {parameter: "x"}).environment()


@pytest.mark.parametrize("parameter", ["password", "sslpassword", "options", "oauth_client_secret"])
def test_a_repr_shows_no_secret(parameter: str) -> None:
    shown = repr(Database("shop", {"host": "db", parameter: "canary"}))
    assert "canary" not in shown
    assert "'host': 'db'" in shown


def test_settings_and_secrets_come_beside_the_options_of_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c role=dumper")
    database = Database("shop")
    more = database.with_settings({"statement_timeout": "0"})
    assert more.parameters["options"] == "-c role=dumper -c statement_timeout=0"
    assert with_key(database, "k" * 64).parameters["options"].endswith(" -c role=dumper")
    given = Database("shop", {"options": "-c role=other"}).with_settings({})
    assert given.parameters["options"] == "-c role=other"
