"""Dumps: what is in them, and that none that failed is ever listed."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotFoundError,
    StorageError,
    ToolError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.reading import table_choice
from example_dags.services import PostgresServer, S3Server
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.servers import BUCKET, unfinished_uploads


def contents(postgres: PostgresServer, archive: Path) -> str:
    """Return what stock pg_restore would run."""
    argv = [str(postgres.bin_dir / "pg_restore"), "--file=-", str(archive)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_dump_is_a_stock_archive_compressed_with_zstd(
    postgres: PostgresServer, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = make_hook(shop).dump(instance="prod")
    assert key.startswith(f"prod/{shop}/none/")
    argv = [str(postgres.bin_dir / "pg_restore"), "--list", str(local_storage / key)]
    listing = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "Compression: zstd" in listing
    assert "user500@example.org" in contents(postgres, local_storage / key)


def test_the_instance_is_the_connection_by_default(shop: str, make_hook: MakeHook) -> None:
    assert make_hook(shop).dump().startswith(f"pg/{shop}/none/")


def test_a_dump_is_listed_with_its_size_and_time(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    first, second = hook.dump(instance="prod"), hook.dump(instance="prod")
    listed = hook.ls("prod/")
    assert [dump.key for dump in listed] == [second, first]
    assert listed[0].size_bytes == (local_storage / second).stat().st_size
    assert listed[0].created_at > listed[1].created_at


def test_excluded_tables_keep_their_structure_and_lose_their_rows(
    postgres: PostgresServer, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = make_hook(shop).dump(exclude=["public.ord*"])
    text = contents(postgres, local_storage / key)
    assert "CREATE TABLE public.orders" in text
    assert "COPY public.orders" not in text
    assert "COPY public.users" in text


def test_an_excluded_partitioned_table_takes_its_partitions_along(
    postgres: PostgresServer, make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    database = make_database(
        """
        CREATE TABLE events (day int, secret text) PARTITION BY RANGE (day);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
        CREATE SCHEMA "old ""x"; CREATE TABLE "old ""x"."Part 2" PARTITION OF events
            FOR VALUES FROM (10) TO (20);
        INSERT INTO events VALUES (1, 'canary-one'), (11, 'canary-two');
        """
    )
    key = make_hook(database).dump(exclude=["events"])
    assert "canary" not in contents(postgres, local_storage / key)


def test_schemas_are_chosen_and_left_out(
    postgres: PostgresServer, make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    database = make_database(
        "CREATE SCHEMA a; CREATE TABLE a.one (x int); CREATE SCHEMA b; CREATE TABLE b.two (x int)"
    )
    hook = make_hook(database)
    only = contents(postgres, local_storage / hook.dump(schemas=["a"]))
    without = contents(postgres, local_storage / hook.dump(exclude_schemas=["a"]))
    assert "a.one" in only
    assert "b.two" not in only
    assert "b.two" in without
    assert "a.one" not in without


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"exclude": ["public.typo"]}, "'public.typo'"),
        ({"schemas": ["typo"]}, "'typo'"),
        ({"exclude_schemas": ["typo*"]}, "'typo*'"),
        ({"pg_dump_args": ["--file=x"]}, "'--file=x'"),
        ({"pg_dump_args": ["otherdb"]}, "'otherdb'"),
    ],
)
def test_content_that_cannot_be_is_refused_before_anything_is_written(
    content: dict[str, list[str]], named: str, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    with pytest.raises(InvalidInputError, match=named.replace("*", r"\*")):
        make_hook(shop).dump(**content)  # type: ignore[arg-type]
    assert not list(local_storage.rglob("*.dump"))


def test_an_extra_argument_reaches_pg_dump(
    postgres: PostgresServer, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = make_hook(shop).dump(pg_dump_args=["--schema-only"])
    assert "COPY public.users" not in contents(postgres, local_storage / key)


def test_a_database_name_may_have_any_characters(
    server: Server, postgres: PostgresServer, make_hook: MakeHook, local_storage: Path
) -> None:
    name = "dbname=x 'q' \"d\" ü"
    server.run("postgres", 'CREATE DATABASE "dbname=x \'q\' ""d"" ü"')
    server.run(name, SHOP_SQL)
    hook = make_hook(name)
    key = hook.dump(instance="prod")
    assert re.match(r"prod/dbname_x__q___d___-[0-9a-f]{8}/none/", key)
    server.run(name, "TRUNCATE users CASCADE")
    hook.restore(key, reversible=True)
    assert server.value(name, "SELECT count(*) FROM users") == 500
    hook.restore(":pre")
    assert server.value(name, "SELECT count(*) FROM users") == 0


def test_databases_of_like_names_have_dumps_of_their_own(
    server: Server, make_hook: MakeHook
) -> None:
    keys = {}
    for name in ("sales_eu", "sales.eu", "顧客", "注文"):
        server.run("postgres", f'CREATE DATABASE "{name}"')
        server.run(name, f"CREATE TABLE own AS SELECT '{name}' AS name")
        keys[name] = make_hook(name).dump(instance="prod")
    assert make_hook("").prune("prod", keep_last=1, temp_databases=False).deleted == ()
    for name, key in keys.items():
        prefix = key.rpartition("/none/")[0]
        assert make_hook("restored").restore(prefix) == key
        assert server.value("restored", "SELECT name FROM own") == name


def test_a_pg_dump_that_is_killed_leaves_nothing_in_s3(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    s3: S3Server,
    s3_connection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 1 << 40)  # pg_dump has the rows itself
    database = make_database(
        "CREATE EXTENSION pgcrypto; CREATE TABLE noise AS "
        "SELECT gen_random_bytes(1024) AS noise FROM generate_series(1, 150000)"
    )

    hook = make_hook(
        database, storage_location=f"s3://{BUCKET}/killed/", storage_conn_id=s3_connection
    )

    def kill_once_uploading() -> None:
        while not unfinished_uploads(s3, "killed/"):
            pass
        for pid in running("pg_dump"):
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_once_uploading)
    killer.start()
    with pytest.raises(ToolError, match="pg_dump was killed by SIGKILL"):
        hook.dump()
    killer.join()
    assert hook.ls() == []
    assert not unfinished_uploads(s3, "killed/")


def test_a_missing_bucket_is_named(shop: str, make_hook: MakeHook, s3_connection: str) -> None:
    hook = make_hook(shop, storage_location="s3://no-such/x/", storage_conn_id=s3_connection)
    with pytest.raises(NotFoundError, match="the bucket 'no-such' does not exist"):
        hook.dump()


def test_a_bucket_that_refuses_is_named(
    shop: str, make_hook: MakeHook, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG",
        '{"conn_type": "aws", "login": "nobody", "password": "wrong", '
        f'"extra": {{"endpoint_url": "{s3.endpoint_url}", "region_name": "us-east-1"}}}}',
    )
    hook = make_hook(shop, storage_location=f"s3://{BUCKET}/", storage_conn_id="wrong")
    with pytest.raises(StorageError, match=f"s3://{BUCKET}/ refused a request"):
        hook.dump()


def test_a_missing_database_is_named(make_hook: MakeHook) -> None:
    with pytest.raises(NotFoundError, match="'no_such'"):
        make_hook("no_such").dump()


def test_a_pg_dump_that_is_too_old_says_which_is_needed(
    shop: str, make_hook: MakeHook, tmp_path: Path
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.1'\n")
    program.chmod(0o755)
    with pytest.raises(UnsupportedError, match="Install the client of PostgreSQL 17"):
        make_hook(shop, pg_bin_dir=str(tmp_path)).dump()


@pytest.mark.parametrize("setting", ["statement_timeout", "transaction_timeout"])
def test_timeouts_of_the_database_do_not_end_a_pg_dump_that_is_slow_to_start(
    setting: str, server: Server, shop: str, make_hook: MakeHook, tmp_path: Path
) -> None:
    if not server.value("postgres", f"SELECT count(*) FROM pg_settings WHERE name = '{setting}'"):
        pytest.skip("the server is older than the setting")
    server.run("postgres", f"ALTER DATABASE {shop} SET {setting} TO '200ms'")
    real = server.server.bin_dir
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" != --version ]; then {real}/psql -Xqc "SELECT pg_sleep(0.4)" <&- >&2'
        f' || exit 1; fi\nexec {real}/pg_dump "$@"\n'
    )
    program.chmod(0o755)
    assert make_hook(shop, pg_bin_dir=str(tmp_path)).dump()
