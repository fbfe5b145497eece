"""What is compared and asked before a restored database is swapped in, and what it lacks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive.manifest import BY_COLUMN, BY_ROW, TableChecksum
from airflow_provider_pgclone.core.archive.toc import TableName, Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.checking.assertions import check_sql
from airflow_provider_pgclone.core.checking.checksums import check_checksums, read_checksums
from airflow_provider_pgclone.core.checking.rows import check_rows
from airflow_provider_pgclone.core.checking.tables import Copied
from airflow_provider_pgclone.core.errors import InvalidInputError, MismatchError, RestoreError
from airflow_provider_pgclone.core.postgres.database import Database
from airflow_provider_pgclone.core.reading import checksums
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.repository.stored_archive import open_archive
from airflow_provider_pgclone.core.storage.local import LocalStorage
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import EVERY_KIND_SQL, split_small_tables
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_tools import stock_archive

# Types whose text depends on the settings of a session.
SETTINGS_SQL = """
CREATE TABLE texts (at timestamptz, day date, span interval, half float8, price money, data bytea,
    kind regclass, record int4range, wide numeric, body json, nothing text);
INSERT INTO texts SELECT now(), '2026-02-03', '1 year 2 mons -3 days', 1.0 / 3, 12.5, 'a\\\\b',
    'texts'::regclass, '[1,5)', 1e40, '{"a":  1}', NULL FROM generate_series(1, 10);
"""


@pytest.mark.parametrize("statements", [EVERY_KIND_SQL, SETTINGS_SQL])
def test_checksums_tell_that_a_restored_database_is_the_same(
    statements: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch)
    database = make_database(statements)
    hook = make_hook(database)
    key = hook.dump(checksums=True)
    tables = hook.inspect(key)["tables"]
    assert len(hook.inspect(key)["checksums"]) == len(tables) > 0
    # As another server may have them.
    server.run("postgres", f"ALTER DATABASE {database} SET DateStyle = 'SQL, DMY'")
    server.run("postgres", f"ALTER DATABASE {database} SET TimeZone = 'Asia/Tokyo'")
    server.run("postgres", f"ALTER DATABASE {database} SET IntervalStyle = 'iso_8601'")
    server.run("postgres", f"ALTER DATABASE {database} SET search_path = pg_catalog")
    hook.restore(key, checksums=True)
    hook.verify(key, level="restore")


def test_a_table_that_is_missing_is_named(server: Server, shop: str) -> None:
    toc = Toc((1, 16), "zstd", (0,) * 7, shop, "17", "17", ())
    rows = {("public", "users"): 500, ("public", "gone"): 5}
    with (
        server.session(shop) as session,
        pytest.raises(RestoreError, match=r'is missing after the restore: .*"public\.gone"'),
    ):
        check_rows(session, toc, rows, "UTF8")


# Which rows are in which partition depends on the numbers that the server has given to the values.
SHADES_SQL = """
CREATE TYPE shade AS ENUM ('red', 'green', 'blue', 'grey');
CREATE TABLE shades (shade shade, n int) PARTITION BY HASH (shade);
CREATE TABLE shades_0 PARTITION OF shades FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE shades_1 PARTITION OF shades FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE shades_2 PARTITION OF shades FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO shades SELECT (enum_range(NULL::shade))[1 + n % 4], n FROM generate_series(1, 9000) n;
"""


@pytest.mark.parametrize("arguments", [[], ["--load-via-partition-root"]])
def test_rows_may_come_back_in_other_partitions(
    arguments: list[str],
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch)
    database = make_database(SHADES_SQL)
    hook = make_hook(database)
    key = hook.dump(checksums=True, pg_dump_args=arguments)
    make_hook(f"{database}_restored").restore(key, checksums=True)
    make_hook(f"{database}_counted").restore(key)
    hook.copy(target=f"{database}_copied", method="stream")
    hook.verify(key, level="restore")
    of_shades = "SELECT shade::text, count(*), sum(n) FROM shades GROUP BY 1 ORDER BY 1"
    expected = server.rows(database, of_shades)
    for made in ("restored", "counted", "copied"):
        assert server.rows(f"{database}_{made}", of_shades) == expected


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET email = 'other' WHERE id = 7",
        "UPDATE orders SET total = total + 1 WHERE id = 9",
        "DELETE FROM orders WHERE id = 1; INSERT INTO orders (user_id, total) VALUES (1, 1)",
    ],
)
def test_a_checksum_tells_one_changed_row(
    change: str, shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key = hook.dump(checksums=True)
    storage = LocalStorage(str(local_storage))
    archive = open_archive(storage, find_dump(storage, key))
    expected = archive.required_manifest.checksums
    assert expected is not None
    with server.session(shop) as session:
        check_checksums(session, archive.toc, expected, "UTF8")
        server.run(shop, change)
        with pytest.raises(RestoreError, match=r"table public\..* does not have the same rows"):
            check_checksums(session, archive.toc, expected, "UTF8")


@pytest.fixture
def false_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dumps note other checksums than their tables have."""

    def read_others(*arguments: Any, **options: Any) -> dict[TableName, TableChecksum]:
        found = read_checksums(*arguments, **options)
        return {name: replace(of, total=str(int(of.total) + 1)) for name, of in found.items()}

    monkeypatch.setattr(checksums, "read_checksums", read_others)


@pytest.mark.usefixtures("false_checksums")
def test_what_differs_from_its_checksum_is_neither_swapped_in_nor_verified(
    shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump(checksums=True)
    server.run(shop, "DELETE FROM orders")
    hook.verify(key)
    with pytest.raises(MismatchError, match=r"table public\..* does not have the same rows"):
        hook.restore(key, checksums=True)
    assert server.value(shop, "SELECT count(*) FROM orders") == 0
    with pytest.raises(MismatchError, match=r"table public\..* does not have the same rows"):
        hook.verify(key, level="restore")
    assert server.names() == {shop}
    assert [dump.finding for dump in hook.ls()] == ["damaged"]


def test_checksums_are_compared_in_their_own_encoding_alone(
    server: Server, make_hook: MakeHook
) -> None:
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'"
    for name, encoding in (("latin", "LATIN1"), ("unicode", "UTF8")):
        server.run("postgres", create.format(name, encoding))
    with server.connect("latin") as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        connection.execute('CREATE TABLE "täble" AS SELECT \'é\' AS "é"')
    key = make_hook("latin").dump(checksums=True)
    make_hook("latin").restore(key, checksums=True)
    make_hook("latin").verify(key, level="restore")
    with pytest.raises(InvalidInputError, match=r"for the encoding LATIN1, but .* is UTF8"):
        make_hook("unicode").restore(key, checksums=True)
    make_hook("unicode").restore(key)
    assert server.value("unicode", 'SELECT "\u00e9" FROM "t\u00e4ble"') == "\u00e9"


def test_checksums_take_few_locks_at_once(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """The lock table of a server holds 64 for each of its 100 sessions."""
    database = make_database("")
    with server.connect(database) as connection:
        for start in range(0, 2000, 500):
            tables = (
                f"CREATE TABLE t{n} (a int PRIMARY KEY, b int UNIQUE, c int UNIQUE, d int UNIQUE)"
                for n in range(start, start + 500)
            )
            connection.execute(";".join(tables).encode())
    hook = make_hook(database)
    assert len(hook.inspect(hook.dump(checksums=True))["checksums"]) == 2000


def checksums_of(
    server: Server, database: str, *tables: str, columns: str = "a, b", hashed: str = BY_COLUMN
) -> list[TableChecksum]:
    names = {("public", table): ("public", table) for table in tables}
    copied = {name: Copied(name, columns) for name in names}
    with server.session(database) as session:
        return list(read_checksums(session, copied, names, "UTF8", hashed=hashed).values())


# Each is the only row of a table.
PAIRS = (
    "'', NULL",
    "NULL, ''",
    "'', ''",
    "NULL, NULL",
    "'a', 'b'",
    "'b', 'a'",
    "'ab', ''",
    "'a,b', NULL",
    "'a', NULL",
    "'NULL', NULL",
    "'\"', ''",
)


def test_no_value_is_taken_for_that_of_another_column(
    server: Server, make_database: MakeDatabase
) -> None:
    tables = [f"t{number}" for number in range(len(PAIRS))]
    database = make_database(
        "".join(
            f"CREATE TABLE {table} (a text, b text); INSERT INTO {table} VALUES ({pair});"
            for table, pair in zip(tables, PAIRS, strict=True)
        )
    )
    found = checksums_of(server, database, *tables)
    assert len({checksum.total for checksum in found}) == len(PAIRS)
    assert {checksum.rows for checksum in found} == {1}


def test_a_row_of_nulls_is_not_null(server: Server, make_database: MakeDatabase) -> None:
    database = make_database(
        "CREATE TYPE pair AS (x int, y int); CREATE TABLE t1 (a pair, b xml); "
        "CREATE TABLE t2 (LIKE t1); INSERT INTO t1 VALUES (NULL, NULL); "
        "INSERT INTO t2 VALUES (ROW(NULL, NULL), NULL)"
    )
    first, second = checksums_of(server, database, "t1", "t2")
    assert first.total != second.total


def test_checksums_call_no_cast_of_a_user(server: Server, make_database: MakeDatabase) -> None:
    database = make_database(
        "CREATE TYPE mood AS ENUM ('happy'); CREATE TABLE t (a mood, b int); "
        "INSERT INTO t VALUES ('happy', 1); CREATE FUNCTION told(mood) RETURNS text LANGUAGE "
        "plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$; "
        "CREATE CAST (mood AS text) WITH FUNCTION told AS IMPLICIT"
    )
    assert checksums_of(server, database, "t")[0].rows == 1


# As every version of PostgreSQL computes them.
KNOWN = {BY_COLUMN: "3489166785317873527", BY_ROW: "-993445552762288731"}


@pytest.mark.parametrize("hashed", KNOWN)
def test_checksums_are_the_same_on_every_version(
    hashed: str, server: Server, make_database: MakeDatabase
) -> None:
    database = make_database(
        "SET TimeZone = 'UTC'; CREATE TABLE t (at timestamptz, day date, span interval, half "
        "float8, third real, price money, data bytea, record int4range, wide numeric, body jsonb, "
        'nothing text, is_it bool, fixed char(5), host inet, list text[], "Ünï, ""x {} %s" text);'
        "INSERT INTO t SELECT '2026-02-03 04:05:06+07', '2026-02-03', '1 year 2 mons -3 days', "
        "1.0 / 3, 1.0 / 3, 12.5, 'a\\\\b', '[1,5)', 1e40 + n, '{\"a\": 1}', NULL, true, 'x', "
        "'10.0.0.1', ARRAY['a', NULL, '\"'], 'ü' || n FROM generate_series(1, 10) n"
    )
    columns = (
        "at, day, span, half, third, price, data, record, wide, body, nothing, is_it, fixed, host, "
        'list, "Ünï, ""x {} %s"'
    )
    (found,) = checksums_of(server, database, "t", columns=columns, hashed=hashed)
    assert found == TableChecksum(10, KNOWN[hashed], hashed)


def test_checksums_do_not_depend_on_the_order_of_rows(
    shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump(checksums=True)
    server.run(shop, "CREATE INDEX by_total ON orders (total)")
    server.run(shop, "CLUSTER orders USING by_total")
    server.run(shop, "DROP INDEX by_total")
    other = hook.dump(checksums=True)
    assert hook.inspect(key)["checksums"] == hook.inspect(other)["checksums"]


def test_checksums_that_were_not_taken_cannot_be_compared(
    shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    with pytest.raises(InvalidInputError, match=f"{key} has no checksums"):
        hook.restore(key, checksums=True)
    with pytest.raises(InvalidInputError, match="no checksum can be taken of the rows of public"):
        hook.dump(checksums=True, pg_dump_args=["--inserts"])
    assert [dump.key for dump in hook.ls()] == [key]


def test_what_must_be_true_is_asked_before_the_swap(
    shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders")
    asked = [
        "SELECT count(*) = 2000 FROM orders",
        "SELECT current_database() LIKE '%temp%' AND 7 % 2 = 1",
    ]
    hook.restore(key, check_sql=asked)
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


@pytest.mark.parametrize("swap", [True, False])
def test_the_target_stays_where_something_is_not_true(
    swap: bool, shop: str, server: Server, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    server.run(shop, "DELETE FROM orders")
    with pytest.raises(RestoreError, match="check_sql number 2"):
        hook.restore(key, check_sql=["SELECT true", "SELECT count(*) = 7 FROM orders"], swap=swap)
    assert server.names() == {shop}
    assert server.value(shop, "SELECT count(*) FROM orders") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) = 7 FROM orders",
        "SELECT NULL::bool",
        "SELECT true WHERE false",
        "SELECT true FROM users",
        "SELECT true, true",
        "SELECT 'true'",
        "SELECT 1",
        "SELECT absent FROM users",
        "DELETE FROM orders RETURNING true",
        "CREATE TABLE made ()",
        "SELECT email::int > 0 FROM users",
        "SELECT email::regrole IS NULL FROM users",
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT min(email) FROM users); END $$",
        "SELECT true; SELECT false",
    ],
)
def test_only_one_row_of_one_true_is_true(statement: str, shop: str, server: Server) -> None:
    own = server.server
    address = {"host": own.host, "port": str(own.port), "user": own.user, "password": own.password}
    with pytest.raises(RestoreError, match="check_sql number 2") as caught:
        check_sql(Database(shop, address), ["SELECT true", statement], Cancellation())
    assert "example.org" not in str(caught.value)
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


def test_a_local_restore_is_asked_as_well(shop: str, server: Server, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    hook.copy(f":{shop}_kept")
    server.run(shop, "DELETE FROM orders")
    with pytest.raises(RestoreError, match="check_sql number 1"):
        hook.restore(f":{shop}_kept", check_sql="SELECT false")
    assert server.value(shop, "SELECT count(*) FROM orders") == 0


BOUND_SQL = """
CREATE PUBLICATION feed FOR TABLE users; COMMENT ON PUBLICATION feed IS 'for the warehouse';
CREATE PUBLICATION all_of_it FOR ALL TABLES;
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER tell ON ddl_command_end EXECUTE FUNCTION told();
COMMENT ON EVENT TRIGGER tell IS 'said';
CREATE SUBSCRIPTION taken CONNECTION 'host=nowhere' PUBLICATION p
    WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION taken IS 'from afar';
CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION pg_trgm IS 'ours';
"""


@pytest.fixture
def clerk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a connection whose user may create databases and little else."""
    server.run("postgres", "CREATE ROLE left_out_clerk LOGIN CREATEDB PASSWORD 'clerk'")
    uri = f"postgresql://left_out_clerk:clerk@{server.server.host}:{server.server.port}/postgres"
    monkeypatch.setenv("AIRFLOW_CONN_CLERK", uri)
    yield "clerk"
    for (name,) in server.rows(
        "postgres", "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) LIKE '%clerk'"
    ):
        server.drop(name)
    for name in server.names():
        server.run(name, "DROP OWNED BY left_out_clerk CASCADE")
    server.run("postgres", "DROP ROLE left_out_clerk")


@pytest.fixture
def bound(server: Server, shop: str) -> Iterator[str]:
    """The shop with what is bound to it."""
    with server.connect(shop) as connection:
        for statement in BOUND_SQL.split(";\n"):
            connection.execute(statement.encode())
        if connection.info.server_version >= 150000:
            connection.execute("CREATE PUBLICATION schemas FOR TABLES IN SCHEMA public")
    yield shop
    server.run(shop, "DROP SUBSCRIPTION taken")


KEPT = "SELECT count(*) FROM pg_publication"


def test_what_is_bound_to_the_original_is_left_out(
    bound: str, server: Server, make_hook: MakeHook
) -> None:
    target = f"{bound}_target"
    subscriptions = "SELECT count(*) FROM pg_subscription"
    publications = server.value(bound, KEPT)
    key = make_hook(bound).dump()
    for wanted in (False, True):
        make_hook(target).restore(key, publications=wanted)
        assert server.value(target, KEPT) == (publications if wanted else 0)
        assert server.value(target, "SELECT count(*) FROM pg_event_trigger") == 1
        make_hook(bound).copy(target=f"{bound}_copy", method="stream", publications=wanted)
        assert server.value(f"{bound}_copy", KEPT) == (publications if wanted else 0)
    # They are those of the whole server.
    assert server.value(target, subscriptions) == 1


def test_the_owner_of_what_is_left_out_does_not_decide_for_the_rest(
    clerk: str, bound: str, server: Server, make_hook: MakeHook
) -> None:
    """A publication and an event trigger are a superuser's, for whom the clerk may not act."""
    for thing in ("TABLE users", "TABLE orders", "VIEW spenders", "FUNCTION told"):
        server.run(bound, f"ALTER {thing} OWNER TO left_out_clerk")
    server.run(bound, "GRANT SELECT ON users TO pg_monitor")
    key = make_hook(bound).dump()
    target = f"{bound}_of_clerk"
    make_hook(target, postgres_conn_id=clerk).restore(key)
    granted = "SELECT has_table_privilege('pg_monitor', 'users', 'SELECT')"
    assert server.value(target, granted)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_user_without_rights_restores_all_else(
    is_ours: bool, clerk: str, bound: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    if is_ours:
        key = make_hook(bound).dump()
    else:  # which is read as one stream
        key = str(stock_archive(server, bound, local_storage).relative_to(local_storage))
    target = f"{bound}_of_clerk"
    make_hook(target, postgres_conn_id=clerk).restore(key)
    assert server.value(target, "SELECT count(*) FROM orders") == 2000
    assert server.value(target, "SELECT count(*) FROM pg_event_trigger") == 0
    assert server.value(target, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'") == 1


def reads(server: Server, database: str, table: str) -> int:
    """Return how many rows of a table were read by scans of it."""
    with server.connect(database) as connection:
        # Those of other sessions are counted when they end.
        query = "SELECT coalesce(seq_tup_read, 0) FROM pg_stat_all_tables WHERE relname = %s"
        (count,) = connection.execute(query, [table]).fetchone() or (0,)
    return int(count)


@pytest.fixture
def counted(make_database: MakeDatabase, server: Server) -> str:
    """A database with a table of 500 rows that nobody has read."""
    if int(server.value("postgres", "SHOW server_version_num")) < 150000:
        pytest.skip("the numbers of PostgreSQL 14 may come too late")
    database = make_database("CREATE TABLE many (n int)")
    server.run(database, "INSERT INTO many SELECT generate_series(1, 500)")
    wait_for_inserted(server, database, 500)
    return database


def wait_for_inserted(server: Server, database: str, rows: int) -> None:
    """Wait until the server has counted what a session inserted, which is soon after its end."""
    inserted = "SELECT n_tup_ins FROM pg_stat_all_tables WHERE relname = 'many'"
    while server.value(database, inserted) != rows:
        pass


def check_many(server: Server, database: str, rows: int) -> None:
    toc = Toc((1, 16), "none", (0,) * 7, database, "", "", ())
    with server.session(database) as session:
        check_rows(session, toc, {("public", "many"): rows}, "UTF8")


def test_a_table_is_not_read_where_the_server_has_counted_its_rows(
    server: Server, counted: str
) -> None:
    check_many(server, counted, 500)
    assert reads(server, counted, "many") == 0


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("DELETE FROM many WHERE n = 1", 499),
        ("TRUNCATE many", 0),
        ("WITH gone AS (DELETE FROM many WHERE n = 1) INSERT INTO many VALUES (501), (502)", 501),
        ("BEGIN; INSERT INTO many VALUES (501); ROLLBACK", 500),
        ("TRUNCATE many; ANALYZE many", 0),
        ("BEGIN; INSERT INTO many VALUES (501); ROLLBACK; ANALYZE many", 500),
        ("BEGIN; INSERT INTO many VALUES (501); ROLLBACK; VACUUM many", 500),
    ],
)
def test_a_table_that_changed_after_its_rows_were_counted_is_read(
    change: str, rows: int, server: Server, counted: str
) -> None:
    with server.connect(counted) as connection:
        for statement in change.split("; "):
            connection.execute(statement.encode())
    check_many(server, counted, rows)
    inserted = server.value(
        counted, "SELECT n_tup_ins FROM pg_stat_all_tables WHERE relname = 'many'"
    )
    for wrong in {rows + 1, inserted} - {rows}:
        with pytest.raises(MismatchError, match=f"has {rows} rows after the restore, but {wrong}"):
            check_many(server, counted, wrong)


def test_a_large_table_is_not_read_because_it_was_analyzed(server: Server, counted: str) -> None:
    """Autovacuum analyzes what is loaded for longer than a minute, and only guesses live rows."""
    rows = 150_500
    server.run(counted, "ALTER TABLE many ALTER n SET STATISTICS 1")
    server.run(counted, f"INSERT INTO many SELECT generate_series(501, {rows})")
    wait_for_inserted(server, counted, rows)
    server.run(counted, "ANALYZE many")
    check_many(server, counted, rows)
    # ANALYZE itself counts as no scan.
    assert reads(server, counted, "many") == 0
    server.run(counted, "TRUNCATE many")
    server.run(counted, "ANALYZE many")
    with pytest.raises(MismatchError, match=f"has 0 rows after the restore, but {rows}"):
        check_many(server, counted, rows)


def test_a_lost_row_is_told_where_the_server_has_counted(server: Server, counted: str) -> None:
    with pytest.raises(MismatchError, match="has 500 rows after the restore, but 501"):
        check_many(server, counted, 501)
