"""Restores: what they keep, what they refuse, and that a failed one leaves the target as it was."""

import logging
import os
import signal
import threading
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    BusyError,
    InvalidInputError,
    NotFoundError,
    PgCloneError,
    RestoreError,
    ToolError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.replacing.locks import target_lock
from airflow_provider_pgclone.core.replacing.marker import BIRTHMARK_CONNECTION_LIMIT
from tests.support.fixtures.children import running
from tests.support.fixtures.databases import REFUSED_SQL, MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook


def users(server: Server, database: str) -> int:
    return int(server.value(database, "SELECT count(*) FROM users"))


def test_a_key_restores_what_was_dumped(server: Server, shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 10; CREATE TABLE later ()")
    assert hook.restore(key) == key
    assert users(server, shop) == 500
    assert server.value(shop, "SELECT to_regclass('later')") is None
    assert hook.temp_database is None


@pytest.mark.parametrize("method", ["dump", "copy"])
def test_lines_that_are_a_part_of_names_are_not_messages_of_pg_restore(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, method: str
) -> None:
    name = "x\npg_restore: error: boom\nlaunching item 3 x"
    database = make_database(
        f'CREATE TABLE "{name}" (id int PRIMARY KEY); INSERT INTO "{name}" VALUES (1);'
        "CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2)"
    )
    hook = make_hook(database)
    if method == "dump":
        make_hook("named_so").restore(hook.dump())
    else:
        hook.copy(target="named_so", method="stream")
    assert users(server, "named_so") == 2
    assert server.value("named_so", f'SELECT count(*) FROM "{name}"') == 1


def test_errors_beside_such_names_are_found(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database(f'{REFUSED_SQL}; CREATE TABLE "x\npg_restore: done" (id int)')
    hook = make_hook(database)
    key = hook.dump()
    with pytest.raises(RestoreError, match="users"):
        hook.restore(key)
    assert users(server, database) == 1


def test_a_prefix_restores_the_newest_under_it(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.dump(instance="prod")
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 10")
    newest = hook.dump(instance="prod")
    assert hook.restore(f"prod/{shop}") == newest
    assert users(server, shop) == 10


def test_a_prefix_means_whole_parts(server: Server, shop: str, make_hook: MakeHook) -> None:
    make_hook(shop).dump(instance="prod")
    with pytest.raises(NotFoundError, match=f"no dump under 'prod/{shop[:-1]}'"):
        make_hook(shop).restore(f"prod/{shop[:-1]}")


def test_a_restore_makes_a_target_that_does_not_exist_and_says_so(
    server: Server, shop: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_hook(shop).dump()
    with caplog.at_level(logging.INFO):
        make_hook("shop_new").restore(key, reversible=True)
    assert "the new database 'shop_new', which did not exist" in caplog.text
    assert users(server, "shop_new") == 500
    assert "shop_new__pre" not in server.names()


def test_a_reversible_restore_keeps_before_and_after(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 10")
    hook.restore(key, reversible=True)
    server.run(shop, "DELETE FROM orders; DELETE FROM users")
    assert hook.restore(":pre") == ":pre"
    assert users(server, shop) == 10
    assert hook.restore(":post") == ":post"
    assert users(server, shop) == 500
    assert server.names() == {shop, f"{shop}__pre", f"{shop}__post"}


def test_a_restore_that_is_not_reversible_drops_before_and_after(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, reversible=True)
    hook.restore(key)
    assert server.names() == {shop}


def test_a_second_reversible_restore_renews_before_and_after(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, reversible=True)
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 7")
    hook.restore(key, reversible=True)
    assert users(server, f"{shop}__pre") == 7
    assert users(server, f"{shop}__post") == 500
    assert server.names() == {shop, f"{shop}__pre", f"{shop}__post"}


def test_any_local_database_can_be_restored_and_stays(
    server: Server, shop: str, make_hook: MakeHook, make_database: MakeDatabase
) -> None:
    other = make_database("CREATE TABLE users (id int); INSERT INTO users VALUES (1)")
    make_hook(shop).restore(f":{other}")
    assert users(server, shop) == 1
    assert server.names() == {shop, other}


def test_a_database_of_somebody_else_is_not_taken_for_pre(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", f"CREATE DATABASE {shop}__pre")
    hook = make_hook(shop)
    key = hook.dump()
    with pytest.raises(UnsupportedError, match=f"'{shop}__pre' exists and was not created"):
        hook.restore(key, reversible=True)
    hook.restore(key)
    assert f"{shop}__pre" in server.names()


def test_the_databases_own_properties_survive(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(
        "postgres",
        f"""
        DROP ROLE IF EXISTS "App Owner"; CREATE ROLE "App Owner" LOGIN;
        DROP ROLE IF EXISTS reader; CREATE ROLE reader;
        ALTER DATABASE {shop} OWNER TO "App Owner";
        REVOKE CONNECT ON DATABASE {shop} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {shop} TO reader WITH GRANT OPTION;
        ALTER DATABASE {shop} SET search_path TO "$user", public, 'odd, name';
        ALTER DATABASE {shop} SET app.greeting TO 'it''s "fine"';
        ALTER ROLE reader IN DATABASE {shop} SET work_mem TO '7MB';
        ALTER DATABASE {shop} CONNECTION LIMIT 17;
        COMMENT ON DATABASE {shop} IS 'the shop''s own';
        """,
    )
    hook = make_hook(shop)
    before = properties(server, shop)
    key = hook.dump()
    hook.restore(key, reversible=True)
    assert properties(server, shop) == before
    hook.restore(":pre")
    assert properties(server, shop) == before
    hook.copy(f":{shop}_copy")
    assert properties(server, f"{shop}_copy") == before
    for name in (f"{shop}_copy", f"{shop}__pre", f"{shop}__post", shop):
        server.drop(name)
    server.run("postgres", 'DROP ROLE reader; DROP ROLE "App Owner"')


def properties(server: Server, database: str) -> list[tuple[object, ...]]:
    """Read them anew, not by the package's own query."""
    return server.rows(
        "postgres",
        f"""
        SELECT pg_get_userbyid(datdba), datconnlimit,
            (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(datacl) item),
            encoding, datcollate,
            -- The line below the owner's own comment says where the database comes from.
            split_part(shobj_description(d.oid, 'pg_database'), E'\nairflow-provider-pgclone-', 1),
            (SELECT array_agg(setrole::regrole || setconfig::text ORDER BY setrole)
             FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = '{database}'
        """,
    )


def test_the_owners_of_tables_are_kept_where_the_server_has_them(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(
        shop,
        "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk; ALTER TABLE users OWNER TO clerk;"
        "GRANT SELECT ON orders TO clerk",
    )
    hook = make_hook(shop)
    key = hook.dump()
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'users'"
    may_read = "SELECT has_table_privilege('clerk', 'orders', 'SELECT')"
    hook.restore(key)
    assert (server.value(shop, owner), server.value(shop, may_read)) == ("clerk", True)
    hook.restore(key, no_owner=True)
    assert (server.value(shop, owner), server.value(shop, may_read)) == ("postgres", True)
    hook.restore(key, no_acl=True, no_owner=True)
    assert not server.value(shop, may_read)
    server.run("postgres", "DROP ROLE clerk")
    make_hook(f"{shop}_elsewhere").restore(key)
    assert server.value(f"{shop}_elsewhere", owner) == "postgres"
    with pytest.raises(RestoreError, match='role "clerk" does not exist'):
        hook.restore(key, no_owner=False)


def test_the_swap_waits_for_hooks_and_then_takes_their_work_along(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    assert hook.restore(key, swap=False, reversible=True) == key
    temp = hook.temp_database
    assert temp is not None
    server.run(temp, "UPDATE users SET email = 'masked' || id")
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 10")
    assert hook.swap(temp) == shop
    assert server.value(shop, "SELECT email FROM users WHERE id = 3") == "masked3"
    assert users(server, f"{shop}__pre") == 10
    # As in django-pgclone, :post is what was restored, before hooks.
    post = server.value(f"{shop}__post", "SELECT email FROM users WHERE id = 3")
    assert post == "user3@example.org"
    assert server.names() == {shop, f"{shop}__pre", f"{shop}__post"}


def test_a_database_that_waits_for_its_swap_can_be_dropped(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False, reversible=True)
    temp = hook.temp_database
    assert temp is not None
    hook.drop_temp(temp)
    assert server.names() == {shop}
    hook.drop_temp(temp)
    with pytest.raises(NotFoundError, match=temp):
        hook.swap(temp)


def test_a_database_that_waits_is_dropped_although_another_restore_of_the_target_runs(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    temp = hook.temp_database
    assert temp is not None
    with server.session("postgres") as session, target_lock(session, shop, wait_seconds=0):
        hook.drop_temp(temp)
    assert server.names() == {shop}


@pytest.mark.parametrize("verb", ["swap", "drop_temp"])
def test_only_databases_of_a_restore_are_swapped_or_dropped(
    verb: str, server: Server, shop: str, make_hook: MakeHook, make_database: MakeDatabase
) -> None:
    other = make_database("CREATE TABLE users (id int)")
    with pytest.raises(InvalidInputError, match=f"'{other}' is not"):
        getattr(make_hook(shop), verb)(other)
    assert other in server.names()


def test_a_retry_replaces_what_its_earlier_attempt_left(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, swap=False, reversible=True, maker="dag/task", run="one")
    first = hook.temp_database
    hook.restore(key, swap=False, maker="dag/other task", run="one")
    other = hook.temp_database
    hook.restore(key, swap=False, maker="dag/task", run="two")
    assert server.names() == {shop, other, hook.temp_database}
    assert first not in server.names()


def test_what_a_dead_attempt_left_is_dropped_and_nothing_else(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    """A maker that was killed before it could mark its database leaves only a birthmark."""
    newborn, foreign = f"{shop}__temp_00000000", f"{shop}__temp_11111111"
    server.run("postgres", f"CREATE DATABASE {foreign}")
    limit = f"CONNECTION LIMIT {BIRTHMARK_CONNECTION_LIMIT}"
    server.run("postgres", f"CREATE DATABASE {newborn} {limit}")
    hook = make_hook(shop)
    hook.restore(hook.dump())
    assert server.names() == {shop, foreign}


def test_a_swap_is_done_even_where_the_old_database_cannot_be_dropped(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    """Were it to fail then, a retry would keep the new database as the one before."""
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, swap=False)
    assert hook.temp_database is not None
    server.run("postgres", f"ALTER DATABASE {shop} IS_TEMPLATE true")
    assert hook.swap(hook.temp_database) == shop
    kept = "SELECT datname FROM pg_database WHERE datistemplate AND datname LIKE 'shop%'"
    old = server.value("postgres", kept)
    server.run("postgres", f'ALTER DATABASE "{old}" IS_TEMPLATE false')
    hook.restore(key)
    assert server.names() == {shop}


def test_a_retry_after_the_swap_keeps_the_database_before_it(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    """A task that is lost right after its commit runs again, on what it swapped in itself."""
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders; DELETE FROM users WHERE id > 7")
    for _ in range(2):
        hook.restore(key, reversible=True, maker="dag/task", run="one")
        assert users(server, f"{shop}__pre") == 7
    hook.restore(key, reversible=True, maker="dag/task", run="two")
    assert users(server, f"{shop}__pre") == 500
    assert server.names() == {shop, f"{shop}__pre", f"{shop}__post"}


def test_rights_that_are_revoked_before_the_swap_stay_revoked(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", f"ALTER DATABASE {shop} SET work_mem TO '7MB'")
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    server.run("postgres", f"ALTER DATABASE {shop} RESET work_mem")
    server.run("postgres", f"REVOKE CONNECT ON DATABASE {shop} FROM PUBLIC")
    assert hook.temp_database is not None
    hook.swap(hook.temp_database)
    assert server.value(shop, "SHOW work_mem") != "7MB"
    may_connect = f"SELECT has_database_privilege('public', '{shop}', 'connect')"
    assert not server.value(shop, may_connect)


def test_settings_of_the_target_do_not_get_in_the_way_of_loading_it(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    for setting in ("default_transaction_read_only TO on", "statement_timeout TO 1"):
        server.run("postgres", f"ALTER DATABASE {shop} SET {setting}")
    hook.restore(key)
    assert server.names() == {shop}


def test_rights_of_a_role_that_the_server_lacks_are_left_out(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(shop, 'CREATE ROLE "Gone soon"; GRANT SELECT ON users TO "Gone soon"')
    key = make_hook(shop).dump()
    server.drop(shop)
    server.run("postgres", 'DROP ROLE "Gone soon"')
    make_hook(shop).restore(key)
    assert users(server, shop) == 500


def test_hooks_meet_the_rights_and_settings_of_the_target(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(
        "postgres",
        f"ALTER DATABASE {shop} SET work_mem TO '7MB'; REVOKE ALL ON DATABASE {shop} FROM PUBLIC",
    )
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False, reversible=True)
    assert hook.temp_database is not None
    for name in server.names():
        assert server.value(name, "SHOW work_mem") == "7MB"
        assert not server.value(
            name, f"SELECT has_database_privilege('public', '{name}', 'connect')"
        )


def test_the_maintenance_database_is_no_source(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    with pytest.raises(InvalidInputError, match="'postgres' is the maintenance database"):
        make_hook(shop).restore(":postgres")
    with pytest.raises(InvalidInputError, match="'postgres' is the maintenance database"):
        make_hook("postgres").copy(":x")


def test_a_truncated_archive_leaves_the_target_untouched(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    archive = local_storage / hook.dump(instance="prod")
    whole = archive.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        archive.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises((ArchiveError, RestoreError), match=r"end|pg_restore"):
            hook.restore("prod")
        assert users(server, shop) == 500
        assert server.names() == {shop}


def test_a_file_that_is_no_archive_is_refused(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    archive = local_storage / hook.dump(instance="prod")
    archive.write_bytes(b"-- PostgreSQL database dump\n" * 100)
    with pytest.raises(ArchiveError, match="not a custom-format archive"):
        hook.restore("prod")


def test_an_archive_newer_than_pg_restore_says_what_to_install(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path, tmp_path: Path
) -> None:
    if server.value("postgres", "SELECT current_setting('server_version_num')::int") < 170000:
        pytest.skip("its archives are read by PostgreSQL 15")
    for name in ("pg_dump", "pg_restore"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho '(PostgreSQL) 15.1'\n")
        program.chmod(0o755)
    key = make_hook(shop).dump()
    with pytest.raises(UnsupportedError, match="Install the client of PostgreSQL 17"):
        make_hook(shop, pg_bin_dir=str(tmp_path)).restore(key)


def test_a_pg_restore_that_does_nothing_and_says_all_is_well_is_not_believed(
    server: Server, shop: str, make_hook: MakeHook, tmp_path: Path
) -> None:
    key = make_hook(shop).dump()
    for name in ("pg_dump", "pg_restore"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho '(PostgreSQL) 18.1'\n")
        program.chmod(0o755)
    with pytest.raises(RestoreError, match="pg_restore has ended without a word"):
        make_hook(shop, pg_bin_dir=str(tmp_path)).restore(key)
    assert users(server, shop) == 500
    assert server.names() == {shop}


def test_an_error_of_pg_restore_fails_the_restore_and_shows_no_rows(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """A constraint that the data breaks, as on a server whose check function has changed."""
    source = make_database(REFUSED_SQL)
    hook = make_hook(source)
    key = hook.dump()
    with pytest.raises(RestoreError, match="violates check constraint") as raised:
        hook.restore(key)
    assert "secret" not in str(raised.value)
    assert users(server, source) == 1
    assert server.names() == {source}


def test_a_killed_pg_restore_leaves_the_target_untouched(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(
        "CREATE TABLE users AS SELECT n AS id FROM generate_series(1, 1000) n;"
        "CREATE MATERIALIZED VIEW slow AS SELECT count(*) FROM generate_series(1, 30000000)"
    )
    hook = make_hook(source)
    key = hook.dump()

    def kill() -> None:
        while not (pids := running("pg_restore")):
            pass
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ToolError, match="pg_restore was killed by SIGKILL"):
        hook.restore(key)
    killer.join()
    assert users(server, source) == 1000
    assert server.names() == {source}


@pytest.mark.parametrize("maintenance_database", ["postgres", "template1"])
def test_two_restores_of_one_target_do_not_run_at_once(
    maintenance_database: str, server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    with server.connect(maintenance_database) as holder:
        digest = sha256(f"airflow-provider-pgclone:{shop}".encode()).digest()
        key_of_lock = int.from_bytes(digest[:8], "big", signed=True)
        holder.execute("SELECT pg_advisory_lock(%s)", [key_of_lock])
        with pytest.raises(BusyError, match=f"'{shop}' is running"):
            hook.restore(key)
        assert server.names() == {shop}
    hook.restore(key, wait_seconds=60)  # a session that was closed takes a moment to end


@pytest.mark.parametrize(
    ("setup", "cleanup", "named"),
    [
        (
            "BEGIN; INSERT INTO users VALUES (0, 'x'); PREPARE TRANSACTION 'half_done'",
            "ROLLBACK PREPARED 'half_done'",
            "prepared transactions: half_done",
        ),
        (
            "SELECT pg_create_logical_replication_slot('follower', 'pgoutput')",
            "SELECT pg_drop_replication_slot('follower')",
            "replication slots: follower",
        ),
        (
            "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere' PUBLICATION p "
            "WITH (connect = false)",
            "ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed",
            "subscriptions: feed",
        ),
    ],
)
def test_a_target_with_something_bound_to_it_is_refused_by_name(
    setup: str, cleanup: str, named: str, server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    run_each(server, shop, setup)
    try:
        with pytest.raises(UnsupportedError, match=named):
            hook.restore(key)
        assert server.names() == {shop}
    finally:
        run_each(server, shop, cleanup)


def run_each(server: Server, database: str, statements: str) -> None:
    with server.connect(database) as connection:
        for statement in statements.split(";"):
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("postgres", "'postgres' is the maintenance database"),
        ("template1", "'template1' is a template"),
        ("x" * 64, "has 64 bytes"),
        ("ü" * 32, "has 64 bytes"),
    ],
)
def test_targets_that_cannot_be_are_refused(
    target: str, named: str, shop: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    with pytest.raises(InvalidInputError, match=named):
        make_hook(target).restore(key)


def test_a_name_without_room_for_its_kept_databases_is_refused(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    name = "x" * 60
    server.run("postgres", f"CREATE DATABASE {name}")
    key = make_hook(shop).dump()
    with pytest.raises(InvalidInputError, match=r"has 6[56] bytes"):
        make_hook(name).restore(key, reversible=True)
    make_hook(name).restore(key)
    assert users(server, name) == 500


@pytest.mark.parametrize(
    ("key", "error", "named"),
    [
        ("prod/no/none/2026-01-01-00-00-00-000000.dump", NotFoundError, "prod/no/none"),
        ("prod/no", NotFoundError, "no dump under 'prod/no'"),
        ("prod/no/none/yesterday.dump", InvalidInputError, "is not a dump key"),
        ("pr od", InvalidInputError, "no dump key starts with"),
        ("", InvalidInputError, "neither a dump key nor a prefix"),
        (":no_such", NotFoundError, "'no_such'"),
        (":pre", NotFoundError, "__pre"),
    ],
)
def test_keys_that_do_not_exist_are_named(
    key: str, error: type[PgCloneError], named: str, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.dump()
    with pytest.raises(error, match=named):
        hook.restore(key)


def test_a_user_who_may_not_create_databases_is_told(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_hook(shop).dump()
    server.run("postgres", "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN PASSWORD 'pw'")
    uri = server.server.uri("").replace(f"postgres:{server.server.password}@", "clerk:pw@")
    monkeypatch.setenv("AIRFLOW_CONN_PG", uri)
    try:
        with pytest.raises(UnsupportedError, match="'clerk' may not create databases"):
            make_hook(shop).restore(key)
        server.run("postgres", "ALTER ROLE clerk CREATEDB")
        with pytest.raises(UnsupportedError, match="'clerk' may not rename"):
            make_hook(shop).restore(key)
        make_hook(f"{shop}_of_clerk").restore(key)
        make_hook(f"{shop}_of_clerk").restore(key, reversible=True)
        assert users(server, f"{shop}_of_clerk__post") == 500
    finally:
        monkeypatch.setenv("AIRFLOW_CONN_PG", server.server.uri(""))
        for name in server.names() - {shop}:
            server.drop(name)
        server.run("postgres", "DROP ROLE clerk")


def test_a_user_with_few_rights_swaps_while_others_are_connected(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a managed service: it may create databases and end sessions, and owns the target."""
    server.run(
        "postgres",
        "CREATE ROLE manager LOGIN PASSWORD 'long enough' CREATEDB; "
        "GRANT pg_signal_backend TO manager; CREATE ROLE visitor LOGIN PASSWORD 'long enough'; "
        f"ALTER DATABASE {shop} OWNER TO manager",
    )
    key = make_hook(shop).dump()
    admin = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_PG", f"postgresql://manager:long%20enough@{admin}")
    visitor = psycopg.connect(f"postgresql://visitor:long%20enough@{admin}{shop}")
    try:
        make_hook(shop).restore(key)
        with pytest.raises(psycopg.OperationalError):
            visitor.execute("SELECT 1")
        make_hook(shop).copy(f":{shop}_copy")
        assert users(server, f"{shop}_copy") == 500
    finally:
        visitor.close()
        for name in (shop, f"{shop}_copy"):
            server.drop(name)
        server.run("postgres", "DROP ROLE manager; DROP ROLE visitor")


def test_a_session_on_the_target_is_ended_by_the_swap(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    with server.connect(shop) as client:
        client.execute("BEGIN")
        client.execute("LOCK TABLE users")
        # The lock would hold a dump or a DROP TABLE up; the swap does not ask for it.
        hook.restore(key)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
