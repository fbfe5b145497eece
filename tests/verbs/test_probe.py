"""What a test of a connection tells of servers and storages, good and bad."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_pgclone.core import probe
from airflow_provider_pgclone.core.errors import ToolError
from airflow_provider_pgclone.core.probe import PROBE_PREFIX
from example_dags.services import S3Server, standby_server
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.servers import BUCKET

PASSWORD = "of-this-role-alone"
SetConnection = Callable[..., None]


@pytest.fixture
def set_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> SetConnection:
    """Make the connection ``pg`` that of a role, with options in its extra."""

    def put(login: str, password: str = PASSWORD, **options: object) -> None:
        connection = {
            "conn_type": "postgres",
            "host": server.server.host,
            "port": server.server.port,
            "login": login,
            "password": password,
            "extra": {"pgclone": options},
        }
        monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(connection))

    return put


@pytest.fixture
def make_role(server: Server) -> Iterator[Callable[..., str]]:
    """Make roles that are gone after the test, with all that they were granted in postgres."""
    made: list[str] = []

    def make(name: str, rights: str = "") -> str:
        server.run("postgres", f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {rights}")
        made.append(name)
        return name

    yield make
    for database in server.names():
        server.drop(database)
    for name in made:
        server.run("postgres", f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def reader_connection(s3: S3Server, s3_connection: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an Airflow connection that may list and read the buckets, and nothing else."""
    connection = {
        "conn_type": "aws",
        "login": s3.reader_access_key,
        "password": s3.secret_key,
        "extra": {"endpoint_url": s3.endpoint_url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_READER", json.dumps(connection))
    return "reader"


def test_a_good_connection_tells_what_was_found(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    ok, said = make_hook(shop).test_connection()
    assert ok, said
    version = server.value(shop, "SHOW server_version")
    assert f"server: PostgreSQL {version} at {server.server.host}:{server.server.port}" in said
    assert f"in {server.server.bin_dir}" in said
    assert f"database: '{shop}', " in said
    assert "rights: may create databases and end sessions." in said
    assert f"storage: {local_storage} can be listed, written to, read from" in said
    assert server.server.password not in said
    assert list(local_storage.iterdir()) == []


def test_nothing_stays_in_a_bucket(
    shop: str, make_hook: MakeHook, s3: S3Server, s3_connection: str
) -> None:
    location = f"s3://{BUCKET}/probed/"
    hook = make_hook(shop, storage_location=location, storage_conn_id=s3_connection)
    ok, said = hook.test_connection()
    assert ok, said
    assert f"storage: {location} can be listed, written to" in said
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=f"probed/{PROBE_PREFIX}")
    assert listed["KeyCount"] == 0


def test_without_a_storage_location_the_server_alone_is_tried(
    shop: str, make_hook: MakeHook
) -> None:
    ok, said = make_hook(shop, storage_location=None).test_connection()
    assert ok, said
    assert "storage: no storage_location is configured" in said


def test_a_database_that_is_not_there_is_one_to_restore(
    make_hook: MakeHook, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok, said = make_hook("no_such").test_connection()
    assert ok, said
    assert "database: 'no_such' does not exist; a restore will create it." in said
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "False")
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_COPY", "False")
    assert make_hook("no_such").test_connection() == (
        False,
        "database: database 'no_such' does not exist. Check the name of the database, and the "
        "server that the connection names.",
    )


def test_a_wrong_password_is_told_once_and_not_shown(
    server: Server, shop: str, make_hook: MakeHook, set_connection: SetConnection
) -> None:
    make_hook(shop)  # its connection is replaced
    set_connection(server.server.user, "not-this-one")
    ok, said = make_hook(shop).test_connection()
    assert not ok
    assert said.startswith("server: cannot connect to database 'postgres'")
    assert said.count("password authentication failed") == 1
    assert "not-this-one" not in said


def test_a_server_that_is_not_there_is_told_with_the_storage_that_is_not(
    shop: str, make_hook: MakeHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    hook = make_hook(shop, storage_location=str(tmp_path / "file" / "dumps"))
    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgresql://someone:secret@127.0.0.1:1/")
    ok, said = hook.test_connection()
    assert not ok
    server_line, storage_line = said.splitlines()
    assert "server: cannot connect to database 'postgres'" in server_line
    assert storage_line.startswith("storage: it cannot be listed: the storage folder")
    assert "secret" not in said


def test_a_role_that_may_not_create_databases_can_dump_only(
    shop: str,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    server: Server,
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_dumper", "IN ROLE pg_read_all_data")
    hook = make_hook(shop)
    set_connection(role)
    assert hook.test_connection() == (
        False,
        f"rights: the user '{role}' may not create databases. "
        f'Grant it: ALTER ROLE "{role}" CREATEDB. '
        "If the connection is for dumps only, set allow_restore and allow_copy to false.",
    )
    set_connection(role, allow_restore=False, allow_copy=False)
    ok, said = hook.test_connection()
    assert ok, said
    assert "rights: dumps only, since restores and copies are not allowed." in said
    assert hook.dump()


def test_a_target_of_somebody_else_is_told(
    shop: str,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    server: Server,
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_creator", "CREATEDB IN ROLE pg_read_all_data")
    hook = make_hook(shop)
    set_connection(role)
    ok, said = hook.test_connection()
    assert not ok
    assert said.startswith(f"target: the user '{role}' may not rename database '{shop}', which")
    # Not GRANT: the owner is a superuser.
    assert said.endswith(
        f'. Give the database to the user: ALTER DATABASE "{shop}" OWNER TO "{role}".'
    )
    owner = make_role("probe_owner", "")
    server.run("postgres", f'ALTER DATABASE "{shop}" OWNER TO {owner}')
    ok, said = hook.test_connection()
    assert not ok
    assert said.endswith(f'. Grant it: GRANT "{owner}" TO "{role}".')


def test_sessions_that_cannot_be_ended_are_told(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    server: Server,
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_owner", "CREATEDB IN ROLE pg_read_all_data")
    name = make_database(SHOP_SQL)
    server.run(name, f'ALTER DATABASE "{name}" OWNER TO {role}')
    hook = make_hook(name)
    set_connection(role)
    ok, said = hook.test_connection()
    assert ok, said
    assert "but may end only sessions of its own roles" in said


UNREADABLE_SQL = (
    SHOP_SQL
    + """
CREATE SCHEMA audit; CREATE TABLE audit.events (id int);
CREATE TABLE secured (id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
SELECT lo_from_bytea(60000 + n, 'x') FROM generate_series(1, 5) n;
GRANT SELECT ON LARGE OBJECT 60005 TO PUBLIC;
"""
)


def test_what_a_dump_could_not_read_is_told_by_name_and_number(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    server: Server,
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_reader")
    name = make_database(UNREADABLE_SQL)
    server.run(name, f"GRANT SELECT ON users, secured TO {role}")
    hook = make_hook(name)
    dumps = {"allow_restore": False, "allow_copy": False}
    set_connection(role, **dumps)
    ok, said = hook.test_connection()
    assert not ok
    assert said.startswith(f"database: '{name}', ")
    assert f"the user '{role}' cannot read " in said
    assert "tables (2 of 4: audit.events, public.orders)" in said
    assert "sequences (1 of 1: public.orders_id_seq)" in said
    assert "tables with row level security (1: public.secured)" in said
    assert "large objects (4 of 5: 60001, 60002, 60003, 1 more)" in said
    assert "Grant pg_read_all_data to the user" in said
    assert "Give the user BYPASSRLS" in said
    assert "If the connection is not for dumps, set allow_dump to false." in said
    set_connection(role, allow_dump=False, **dumps)
    ok, said = hook.test_connection()
    assert ok, said

    server.run(name, f"GRANT SELECT ON orders, orders_id_seq TO {role}")
    set_connection(
        role,
        **dumps,
        exclude=["secured"],
        exclude_schemas=["audit"],
        pg_dump_args=["--no-blobs"],
    )
    ok, said = hook.test_connection()
    assert ok, said
    assert hook.dump()


@pytest.mark.parametrize(
    ("made", "message", "hint"),
    [
        (
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
            "row-level security",
            "tables with row level security (1: public.users). Give the user BYPASSRLS",
        ),
        (
            "SELECT lo_from_bytea(60001, 'x')",
            "60001",
            "large objects (1 of 1: 60001). Grant SELECT on each large object",
        ),
    ],
)
def test_a_dump_that_lacks_a_right_says_which_and_what_to_do(
    made: str,
    message: str,
    hint: str,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_reader", "IN ROLE pg_read_all_data")
    hook = make_hook(make_database(f"{SHOP_SQL}; {made}"))
    set_connection(role)
    with pytest.raises(ToolError) as raised:
        hook.dump()
    assert message in raised.value.message
    assert f"The user of the connection cannot read {hint}" in str(raised.value.hint)


def test_nothing_that_can_be_read_is_told(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_nobody")
    hook = make_hook(make_database(SHOP_SQL))
    set_connection(role, allow_restore=False, allow_copy=False)
    ok, said = hook.test_connection()
    assert not ok
    assert "cannot read sequences (1 of 1: public.orders_id_seq), tables (2 of 2: " in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"exclude": ["no_such"]}, "no table of database '{}' matches the exclude pattern"),
        ({"schemas": ["publc"]}, "matches 'publc'. Did you mean 'public'?"),
        ({"trusted_owners": ["no_such"]}, "no role 'no_such', which trusted_owners names"),
        ({"jobs": "many"}, "jobs 'many' is not a whole number"),
    ],
)
def test_options_that_would_fail_a_dump_are_told(
    options: dict[str, object],
    told: str,
    shop: str,
    make_hook: MakeHook,
    server: Server,
    set_connection: SetConnection,
) -> None:
    hook = make_hook(shop)
    set_connection(server.server.user, server.server.password, **options)
    ok, said = hook.test_connection()
    assert not ok
    assert told.format(shop) in said


def test_tables_of_owners_who_are_not_trusted_are_told(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    make_role: Callable[..., str],
    server: Server,
    set_connection: SetConnection,
) -> None:
    role = make_role("probe_untrusting", "IN ROLE pg_read_all_data")
    owner = make_role("probe_other")
    name = make_database(SHOP_SQL)
    server.run(name, f"ALTER TABLE users OWNER TO {owner}")
    hook = make_hook(name)
    only_dumps = {"allow_restore": False, "allow_copy": False}
    set_connection(role, **only_dumps)
    ok, said = hook.test_connection()
    assert ok, said
    assert f"; of 1 of its tables, such as public.users of {owner}, masks and checksums" in said
    set_connection(role, **only_dumps, trusted_owners=[owner])
    ok, said = hook.test_connection()
    assert (ok, "trusted_owners" in said) == (True, False)


SHORT = "too short"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"require_signed": True}, "signing key: require_signed needs the signing key"),
        (
            {"require_signed": True, "signing_key_conn_id": "no_such"},
            "signing key: the connection 'no_such' does not exist",
        ),
        ({"signing_key": SHORT}, "signing key: the signing key has fewer than 16 characters"),
        ({"mask_key_conn_id": "no_such"}, "masks: the connection 'no_such' does not exist"),
        ({"restore_over": []}, "restore_over: restore_over allows no database"),
        ({"restore_over": ["postgres", "template*"], "create_target": False}, "restore_over: "),
        ({"restore_over": ["template1"]}, "restore_over: restore_over allows no database"),
    ],
)
def test_guards_that_nothing_can_satisfy_are_told(
    options: dict[str, object],
    told: str,
    shop: str,
    make_hook: MakeHook,
    server: Server,
    set_connection: SetConnection,
) -> None:
    hook = make_hook(shop)
    set_connection(server.server.user, server.server.password, **options)
    ok, said = hook.test_connection()
    assert not ok
    assert said.startswith(told)
    assert SHORT not in said


def test_guards_that_contradict_each_other_are_told(
    shop: str,
    make_hook: MakeHook,
    server: Server,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = make_hook(shop)
    monkeypatch.setenv("AIRFLOW__PGCLONE__RESTORE_OVER", "shop_*")
    set_connection(server.server.user, server.server.password, restore_over=["staging"])
    ok, said = hook.test_connection()
    assert not ok
    assert "the extra 'pgclone' of connection 'pg' sets it to ['staging']" in said
    assert "sets it to ['shop_*']" in said
    set_connection(server.server.user, server.server.password, restore_over=["shop_eu"])
    ok, said = hook.test_connection()
    assert ok, said
    assert "restore_over: it allows 'shop_eu'." in said
    set_connection(server.server.user, server.server.password, allow_restore=False)
    ok, said = hook.test_connection()
    assert ok, said


def test_a_maintenance_database_that_refuses_is_told(
    shop: str, make_hook: MakeHook, postgres_connection: str
) -> None:
    ok, said = make_hook(shop, maintenance_database="no_such").test_connection()
    assert not ok
    assert said == (
        "maintenance database: database 'no_such' does not exist. Restores and copies need it; "
        "grant CONNECT on it, or set maintenance_database."
    )


def test_a_client_that_is_older_than_the_server_is_told(
    shop: str, server: Server, make_hook: MakeHook, tmp_path: Path
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.9'\n")
    program.chmod(0o755)
    ok, said = make_hook(shop, pg_bin_dir=str(tmp_path)).test_connection()
    assert not ok
    assert said.startswith("client: pg_dump 14 is older than the server, which is PostgreSQL 1")
    assert "Install the client of PostgreSQL" in said


def test_a_client_that_is_not_whole_is_told(
    shop: str, server: Server, make_hook: MakeHook, tmp_path: Path
) -> None:
    (tmp_path / "pg_dump").symlink_to(server.server.bin_dir / "pg_dump")
    ok, said = make_hook(shop, pg_bin_dir=str(tmp_path)).test_connection()
    assert (ok, said.partition(". ")[0]) == (False, f"client: no program psql in {tmp_path}")


def test_a_server_of_another_version_is_told(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "NEWEST_SERVER", 13)
    ok, said = make_hook(shop).test_connection()
    assert not ok
    assert "is not supported; 14 to 13 are supported" in said


def test_a_standby_is_for_dumps_alone(
    shop: str,
    server: Server,
    make_hook: MakeHook,
    open_tmp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    with standby_server(server.server, folder) as standby:
        hook = make_hook(shop)
        monkeypatch.setenv("AIRFLOW_CONN_PG", standby.uri(""))
        assert hook.test_connection() == (
            False,
            "primary: the server is a standby. Connect to its primary.",
        )
        monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_RESTORE", "False")
        monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_COPY", "False")
        ok, said = hook.test_connection()
        assert ok, said


def test_a_bucket_that_does_not_exist_is_told(
    shop: str, make_hook: MakeHook, s3_connection: str
) -> None:
    hook = make_hook(shop, storage_location="s3://no-such/", storage_conn_id=s3_connection)
    assert hook.test_connection() == (
        False,
        "storage: it cannot be listed: the bucket 'no-such' does not exist. Create it, or correct "
        "storage_location.",
    )


def test_a_bucket_that_may_only_be_read_is_for_restores_alone(
    shop: str, make_hook: MakeHook, reader_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = f"s3://{BUCKET}/"
    hook = make_hook(shop, storage_location=location, storage_conn_id=reader_connection)
    ok, said = hook.test_connection()
    assert not ok
    assert said.startswith(f"storage: it cannot be written to: '{PROBE_PREFIX}")
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALLOW_DUMP", "False")
    ok, said = hook.test_connection()
    assert ok, said
    assert f"storage: {location} can be listed; writing was not tried" in said


def test_a_storage_that_changes_what_is_written_is_told_and_cleaned(
    shop: str, make_hook: MakeHook, local_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_pgclone.core.storage.local import LocalStorage

    monkeypatch.setattr(LocalStorage, "read", lambda *arguments: iter([b"something else"]))
    ok, said = make_hook(shop).test_connection()
    assert not ok
    assert "storage: it cannot be read from: " in said
    assert list(local_storage.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"postgres_conn_id": "no_such"}, "the connection 'no_such' does not exist"),
        ({"config": "no_such"}, "the configuration 'no_such' does not exist"),
        ({"storage_location": "ftp://x"}, "storage: 'ftp://x' is not a storage location"),
        (
            {"storage_location": f"s3://{BUCKET}/", "storage_conn_id": "no_such"},
            "the connection 'no_such' does not exist",
        ),
    ],
)
def test_what_is_not_there_is_told_and_not_raised(
    arguments: dict[str, str], told: str, shop: str, make_hook: MakeHook
) -> None:
    ok, said = make_hook(shop, **arguments).test_connection()
    assert not ok
    assert said.startswith(told)
