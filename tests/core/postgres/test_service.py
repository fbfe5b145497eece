"""Programs get what a service of libpq says as sessions do, and not the service itself."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import (
    Database,
    connect,
    connection_arguments,
    run_child,
    tool_environment,
)
from tests.support.fixtures.databases import Server
from tests.support.fixtures.service import UseService


def psql(server: Server, database: Database) -> str:
    """Run psql as the package runs programs, and return what it says."""
    said: list[str] = []
    argv = [
        *(str(server.server.bin_dir / "psql"), "--no-psqlrc", "--tuples-only", "--no-align"),
        *("--command", "SELECT current_user, inet_server_port(), current_setting('work_mem')"),
        *connection_arguments(database),
    ]
    with run_child(
        argv,
        environment=tool_environment(database),
        cancellation=Cancellation(),
        on_stderr=said.append,
        stdout=True,
    ) as child:
        output = b"".join(child.output()).decode()
        child.wait()
    return output.strip() or "\n".join(said)


def test_a_program_uses_tls_where_the_service_tells_sessions_to(
    server: Server, use_service: UseService
) -> None:
    """The server has no TLS, so who connects has not heeded the service."""
    use_service(sslmode="require")
    of = server.server
    given = {"host": of.host, "port": str(of.port), "user": of.user, "password": of.password}
    assert "does not support SSL" in psql(server, Database("postgres", given))
    assert psql(server, Database("postgres", {**given, "sslmode": "prefer"})).startswith(of.user)


@pytest.mark.parametrize("of_connection", [("host",), ("host", "user", "password"), ()])
def test_a_program_gets_from_the_service_what_the_connection_leaves_out(
    server: Server, use_service: UseService, of_connection: tuple[str, ...]
) -> None:
    of = server.server
    known = {"host": of.host, "port": str(of.port), "user": of.user, "password": of.password}
    elsewhere = dict.fromkeys(of_connection, "elsewhere")
    use_service(**{**known, **elsewhere, "dbname": "elsewhere", "options": "-c work_mem=7MB"})
    database = Database("postgres", {keyword: known[keyword] for keyword in of_connection})
    with connect(database, Cancellation()) as session:
        (size,) = session.fetch_row("SELECT current_setting('work_mem')")
    assert psql(server, database) == f"{of.user}|{of.port}|{size}" == f"{of.user}|{of.port}|7MB"
    assert of.password not in " ".join(connection_arguments(database))


def test_the_service_wins_over_variables_as_it_does_for_sessions(
    use_service: UseService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "9")
    use_service(port=5432, sslmode="verify-full", application_name="theirs", keepalives_idle=3)
    found = Database("shop", {"host": "db", "user": "me"}).environment()
    assert found == {
        "PGHOST": "db",
        "PGUSER": "me",
        "PGPORT": "5432",
        "PGSSLMODE": "verify-full",
        "PGCONNECT_TIMEOUT": "9",
        "PGDATABASE": "shop",
        "PGAPPNAME": "airflow-provider-pgclone",
    }


def test_programs_and_sessions_get_what_the_service_says_of_sockets(
    use_service: UseService,
) -> None:
    use_service(keepalives=0, keepalives_idle=3, tcp_user_timeout=7000)
    said = {"keepalives": "0", "keepalives_idle": "3", "tcp_user_timeout": "7000"}
    database = Database("shop", {"host": "db", "keepalives_idle": "4"})
    *_, argument = connection_arguments(database)
    of_program = conninfo_to_dict(argument.removeprefix("--dbname="))
    of_session = database.session_parameters()
    for key, value in {**said, "keepalives_idle": "4"}.items():
        assert of_program[key] == of_session[key] == value


def test_a_parameter_of_a_service_that_programs_cannot_be_given_is_refused(
    use_service: UseService,
) -> None:
    use_service(sslpassword="canary")
    with pytest.raises(InvalidInputError, match="'sslpassword' has no environment") as caught:
        Database("shop", {"host": "db"}).environment()
    assert "service that PGSERVICE names" in str(caught.value)
    assert "canary" not in str(caught.value)
