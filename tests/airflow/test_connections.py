"""Ways to reach a server: by TLS, with odd passwords, and with tokens that do not last."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import botocore.signers
import pytest
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ServerError
from airflow_provider_pgclone.core.postgres.clients import connection_arguments, tool_environment
from airflow_provider_pgclone.core.postgres.database import Database
from airflow_provider_pgclone.core.postgres.session import connect
from airflow_provider_pgclone.hooks import PgCloneHook, connections
from airflow_provider_pgclone.hooks.connections import get_connection, server_of
from example_dags.services import NOBODY, postgres_server
from tests.support.fixtures.databases import SHOP_SQL, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.fingerprint import fingerprint

PASSWORDS = (
    """it's "quoted" """,
    r"back\slash\\ and\n",
    " spaces  around ",
    "über ñ 密码 🔑",
    "a:b:c/d@e?f#g=h&i%40%",
    "$HOME `id` ; | > *",
)
ROLE = "cloner"


def set_connection(patch: pytest.MonkeyPatch, name: str, **fields: object) -> None:
    """Make an Airflow connection of the given fields."""
    patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def run_psql(bin_dir: Path, database: Database) -> subprocess.CompletedProcess[str]:
    """Run psql as a dump runs it."""
    return subprocess.run(
        [bin_dir / "psql", "--no-psqlrc", "-Atc", "SELECT 42", *connection_arguments(database)],
        env={**os.environ, **tool_environment(database)},
        capture_output=True,
        text=True,
    )


# TLS


@dataclass(frozen=True)
class TlsServer:
    """A server that takes TLS connections alone, its certificate, and that of somebody else."""

    server: Server
    certificate: Path
    other_certificate: Path


@pytest.fixture(scope="module")
def tls(open_tmp: Path) -> Iterator[TlsServer]:
    folder, certificates = open_tmp / "tls", open_tmp / "certificates"
    folder.mkdir()
    certificates.mkdir()
    certificate, key = make_certificate(certificates / "server")
    other, _ = make_certificate(certificates / "other")
    settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    with postgres_server(folder, settings=settings) as running:
        rules = running.data_dir / "pg_hba.conf"
        rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        running.stop()
        running.start()
        yield TlsServer(Server(running), certificate, other)


def make_certificate(path: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that is its own authority, and its key."""
    certificate, key = path.with_suffix(".crt"), path.with_suffix(".key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    if os.geteuid() == 0:
        os.chown(key, NOBODY, NOBODY)
    return certificate, key


@pytest.fixture
def tls_hook(
    tls: TlsServer, local_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], PgCloneHook]:
    """A hook on the shop of that server, which trusts the given authority."""

    def make(authority: Path) -> PgCloneHook:
        running = tls.server.server
        set_connection(
            monkeypatch,
            "tls",
            conn_type="postgres",
            host="localhost",
            port=running.port,
            login=running.user,
            password=running.password,
            schema="shop",
            extra={"sslmode": "verify-full", "sslrootcert": str(authority)},
        )
        return PgCloneHook("tls", str(local_storage), pg_bin_dir=str(running.bin_dir))

    tls.server.drop("shop")
    tls.server.run("postgres", "CREATE DATABASE shop")
    tls.server.run("shop", SHOP_SQL)
    return make


def test_a_dump_and_a_restore_go_through_tls(
    tls: TlsServer,
    tls_hook: Callable[[Path], PgCloneHook],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch, 16 * 1024)
    hook = tls_hook(tls.certificate)
    before = fingerprint(tls.server, "shop")
    key = hook.dump(jobs=2)
    tls.server.run("shop", "TRUNCATE users CASCADE")
    hook.restore(key, jobs=2)
    assert fingerprint(tls.server, "shop") == before
    assert tls.server.value("shop", "SELECT count(*) FROM orders") == 2000


def test_another_authority_is_refused_before_anything_is_made(
    tls: TlsServer, tls_hook: Callable[[Path], PgCloneHook], local_storage: Path
) -> None:
    key = tls_hook(tls.certificate).dump()
    before = tls.server.names()
    hook = tls_hook(tls.other_certificate)
    told = r"cannot connect .*certificate verify failed"
    with pytest.raises(ServerError, match=told):
        hook.dump()
    with pytest.raises(ServerError, match=told):
        hook.restore(key)
    with pytest.raises(ServerError, match=told):
        hook.copy(":copied")
    assert [dump.key for dump in hook.ls()] == [key]
    assert tls.server.names() == before
    ok, said = hook.test_connection()
    assert (ok, said.count("certificate verify failed")) == (False, 1)


@pytest.mark.parametrize(("trusted", "code"), [(True, 0), (False, 2)])
def test_programs_look_at_the_certificate_as_well(
    trusted: bool, code: int, tls: TlsServer, tls_hook: Callable[[Path], PgCloneHook]
) -> None:
    tls_hook(tls.certificate if trusted else tls.other_certificate)
    done = run_psql(tls.server.server.bin_dir, server_of(get_connection("tls")).named("shop"))
    assert done.returncode == code, done.stderr
    assert ("certificate verify failed" in done.stderr) is not trusted


# Passwords


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    """A role that may create databases and owns the database ``shop_of_role``."""
    server.run("postgres", f"CREATE ROLE {ROLE} LOGIN CREATEDB")
    server.run("postgres", f"CREATE DATABASE shop_of_role OWNER {ROLE}")
    server.run("shop_of_role", f"SET ROLE {ROLE}; {SHOP_SQL}")
    yield ROLE
    for database in server.names():
        server.drop(database)
    server.run("postgres", f"DROP ROLE {ROLE}")


def set_password(server: Server, password: str) -> None:
    with server.connect("postgres") as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(password))
        )


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_of_any_characters_reaches_every_program(
    password: str,
    role: str,
    server: Server,
    local_storage: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    split_small_tables(monkeypatch, 16 * 1024)
    set_password(server, password)
    address = {"host": server.server.host, "port": server.server.port}
    set_connection(
        monkeypatch, "odd", conn_type="postgres", login=role, password=password, **address
    )
    hook = PgCloneHook(
        "odd",
        str(local_storage),
        database="shop_of_role",
        pg_bin_dir=str(server.server.bin_dir),
    )
    before = fingerprint(server, "shop_of_role")
    hook.restore(hook.dump(jobs=2), jobs=2)
    assert fingerprint(server, "shop_of_role") == before


def test_a_password_is_asked_for_at_each_session(role: str, server: Server) -> None:
    address = {"host": server.server.host, "port": str(server.server.port), "user": role}
    passwords = ["first"]
    database = Database("postgres", address, password=lambda: passwords[-1])
    for password in ("first", "second"):
        passwords.append(password)
        set_password(server, password)
        with connect(database, Cancellation()) as session:
            assert session.connection.info.user == role
        done = run_psql(server.server.bin_dir, database)
        assert (done.stdout.strip(), done.stderr) == ("42", "")
    assert "second" not in repr(database)


# Tokens


@dataclass
class Tokens:
    """Stands in for the signature of AWS, which no server here would take: the role's password.

    Everything else is Airflow's and boto3's own.
    """

    server: Server
    asked: list[str] = field(default_factory=list)

    def sign(self, client: object, host: str, port: int, user: str, region: str = "") -> str:
        token = f"token {len(self.asked) + 1} of {user} at {host}:{port}"
        set_password(self.server, token)
        self.asked.append(token)
        return token


@pytest.fixture
def iam_connection(role: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a connection that has no password but tokens."""
    set_connection(
        monkeypatch,
        "keys",
        conn_type="aws",
        login="AKIAIOSFODNN7EXAMPLE",
        password="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        extra={"region_name": "eu-west-1"},
    )
    set_connection(
        monkeypatch,
        "iam",
        conn_type="postgres",
        host=server.server.host,
        port=server.server.port,
        login=role,
        password="not this",
        extra={"iam": True, "aws_conn_id": "keys"},
    )
    return "iam"


@pytest.fixture
def tokens(iam_connection: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    made = Tokens(server)
    monkeypatch.setattr(
        botocore.signers, "generate_db_auth_token", lambda *arguments: made.sign(*arguments)
    )
    return made


@pytest.fixture
def iam_hook(iam_connection: str, server: Server, local_storage: Path) -> PgCloneHook:
    return PgCloneHook(
        iam_connection,
        str(local_storage),
        database="shop_of_role",
        pg_bin_dir=str(server.server.bin_dir),
    )


def test_a_token_of_aws_is_what_the_server_is_given(
    iam_connection: str, role: str, server: Server
) -> None:
    database = server_of(get_connection(iam_connection))
    token = database.environment()["PGPASSWORD"]
    address = f"{server.server.host}:{server.server.port}"
    assert token.startswith(f"{address}/?Action=connect&DBUser={role}&")
    assert "X-Amz-Signature=" in token
    assert database.session_parameters()["password"] == token
    assert "password" not in database.parameters
    assert "X-Amz" not in repr(database)


def test_a_token_is_taken_by_each_call_when_it_first_connects(
    tokens: Tokens, iam_hook: PgCloneHook, local_storage: Path
) -> None:
    local_storage.mkdir()
    assert iam_hook.ls() == []
    assert tokens.asked == []
    key = iam_hook.dump()
    assert len(tokens.asked) == 1
    iam_hook.restore(key)
    assert len(tokens.asked) == 2


def test_a_session_that_is_opened_late_gets_another_token(
    tokens: Tokens, iam_hook: PgCloneHook, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(server, "shop_of_role")
    key = iam_hook.dump()
    monkeypatch.setattr(connections, "TOKEN_SECONDS", 0)
    iam_hook.restore(key, jobs=1)
    assert len(tokens.asked) > 4
    assert fingerprint(server, "shop_of_role") == before


def test_a_token_that_cannot_be_had_is_told(
    iam_hook: PgCloneHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_connection(monkeypatch, "keys", conn_type="aws", extra={"profile_name": "no_such"})
    with pytest.raises(ServerError, match=r"no IAM token for the connection 'iam'.*no_such"):
        iam_hook.dump()
    ok, said = iam_hook.test_connection()
    assert not ok
    assert said.startswith("server: no IAM token for the connection 'iam'")
