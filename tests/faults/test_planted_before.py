"""What the owner of tables has planted before a dump: nothing of it runs with others' rights."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import PgCloneError
from tests.faults.test_planted_functions import (
    KEY,
    PASSWORD,
    connect_as_planter,
    plant_after_plan,
)
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

START = """
CREATE SCHEMA m AUTHORIZATION planter;
GRANT CREATE ON DATABASE {database} TO planter;
SET ROLE planter;
CREATE FUNCTION m.note() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    -- Autovacuum becomes the owner, and CREATE INDEX on a root the owners of its partitions.
    IF 'planter' NOT IN (session_user, current_user) THEN
        RAISE LOG 'planted function ran in % as %', current_database(), session_user;
    END IF;
END $$;
CREATE FUNCTION m.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN $1; END $$;
CREATE FUNCTION m.differ(text, text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN $1 IS DISTINCT FROM $2; END $$;
CREATE FUNCTION m.apart(int, int) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN $1 - $2; END $$;
CREATE TABLE m.loot (id int, email text);
INSERT INTO m.loot SELECT n, 'm' || n FROM generate_series(1, 2000) n;
"""
DOMAIN = "CREATE DOMAIN m.d AS int CHECK (m.evil(1) = 1); "
HASH: dict[str, Any] = {"masks": {"m.loot": {"email": "hash"}}, "mask_key": KEY}
BY_SQL: dict[str, Any] = {
    "masks": {"m.loot": {"email": {"sql": "(SELECT count(*)::text FROM m.vips)"}}}
}
FAMILY = "CREATE TABLE m.vips (id int); "
PLANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "domain in an index": (DOMAIN + "CREATE INDEX ON m.loot ((id::m.d))", {}),
    "domain in statistics": (
        DOMAIN + "CREATE STATISTICS m.s ON ((id::m.d)), email FROM m.loot",
        {},
    ),
    "domain in an array": (DOMAIN + "CREATE INDEX ON m.loot (((ARRAY[id])::m.d[]))", {}),
    "domain in a check": (
        "CREATE DOMAIN m.t AS text CHECK (m.evil(1) = 1); "
        "ALTER TABLE m.loot ADD CHECK ((email::m.t) IS NOT NULL)",
        HASH,
    ),
    "negator of an operator": (
        "CREATE OPERATOR m.<% (FUNCTION = pg_catalog.textne, LEFTARG = text, RIGHTARG = text, "
        "NEGATOR = OPERATOR(m.>%)); "
        "CREATE OPERATOR m.>% (FUNCTION = m.differ, LEFTARG = text, RIGHTARG = text, "
        "NEGATOR = OPERATOR(m.<%)); "
        "ALTER TABLE m.loot ADD CONSTRAINT c CHECK (email OPERATOR(m.<%) 'x')",
        HASH,
    ),
    "statistics of a partitioned table": (
        "CREATE TABLE m.par (id int PRIMARY KEY, email text) PARTITION BY RANGE (id); "
        "CREATE TABLE m.p1 PARTITION OF m.par FOR VALUES FROM (0) TO (9999); "
        "INSERT INTO m.par SELECT n, 'm' || n FROM generate_series(1, 2000) n; "
        "ALTER TABLE m.loot ADD FOREIGN KEY (id) REFERENCES m.par; "
        "CREATE STATISTICS m.s ON (id + m.evil(1)), email FROM m.par",
        {"rows": {"m.par": "id < 500"}, "follow_fks": True},
    ),
    "index of an excluded partition": (
        "CREATE TABLE m.par (id int PRIMARY KEY, email text) PARTITION BY RANGE (id); "
        "CREATE TABLE m.p1 PARTITION OF m.par FOR VALUES FROM (0) TO (9999); "
        "CREATE TABLE m.p2 PARTITION OF m.par FOR VALUES FROM (9999) TO (99999); "
        "INSERT INTO m.par SELECT n, 'm' || n FROM generate_series(1, 2000) n; "
        "ALTER TABLE m.loot ADD FOREIGN KEY (id) REFERENCES m.par; "
        "CREATE INDEX ON m.p2 ((id + m.evil(1)))",
        {"exclude": ["m.p2"], "rows": {"m.par": "email < 'm5'"}, "follow_fks": True},
    ),
    "index of an excluded parent without conditions": (
        "CREATE TABLE m.par (id int PRIMARY KEY); INSERT INTO m.par SELECT generate_series(1, 2000)"
        "; ALTER TABLE m.loot ADD FOREIGN KEY (id) REFERENCES m.par; "
        "CREATE INDEX ON m.par ((id + m.evil(1)))",
        {**HASH, "exclude": ["m.par"], "follow_fks": True},
    ),
    "index of an excluded child": (
        FAMILY + "CREATE SCHEMA z; CREATE TABLE z.kid () INHERITS (m.vips); "
        "CREATE INDEX ON z.kid ((id + m.evil(1)))",
        {"exclude_schemas": ["z"], "rows": {"m.loot": "id IN (SELECT id FROM m.vips)"}},
    ),
    "index of a child of a table in a mask": (
        FAMILY + "CREATE TABLE m.kid () INHERITS (m.vips); "
        "CREATE INDEX ON m.kid ((id + m.evil(1)))",
        BY_SQL,
    ),
    "index of a partition of a table in a mask": (
        "CREATE TABLE m.vips (id int) PARTITION BY RANGE (id); "
        "CREATE TABLE m.v1 PARTITION OF m.vips FOR VALUES FROM (0) TO (9999); "
        "CREATE INDEX ON m.v1 ((id + m.evil(1)))",
        {**BY_SQL, "exclude": ["m.v1"]},
    ),
    "range of a multirange": (
        "CREATE TYPE m.r AS RANGE (subtype = int4, subtype_diff = m.apart, "
        "multirange_type_name = m.mr); ALTER TABLE m.loot ADD p m.mr; "
        "UPDATE m.loot SET p = m.mr(m.r(id, id + 2)); ANALYZE m.loot",
        {"rows": {"m.loot": "p @> 5"}},
    ),
}


@pytest.fixture
def planter(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database in which somebody who is no superuser owns a schema."""
    server.run("postgres", f"CREATE ROLE planter LOGIN PASSWORD '{PASSWORD}'")
    database = make_database("SELECT 1")
    server.run(database, START.replace("{database}", database))
    yield database
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE planter")


@pytest.mark.parametrize("name", PLANTED)
def test_nothing_runs(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    split_small_tables(monkeypatch, 16384)
    statements, arguments = PLANTED[name]
    with connect_as_planter(server, planter) as connection:
        connection.execute(statements.encode())
    start = log.stat().st_size
    hook = make_hook(planter)
    if not arguments:  # pg_dump reads the table; all that would query it is refused
        assert hook.inspect(hook.dump(jobs=2))["tables"]["m.loot"] == 2000
        arguments = HASH
    with pytest.raises(PgCloneError, match="planter"):
        hook.dump(jobs=2, **arguments)
    with suppress(PgCloneError):
        hook.propose_masks()
    with suppress(PgCloneError):
        hook.dump(checksums=True)
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_the_key_of_a_parent_from_which_a_partition_is_being_detached_is_not_computed(
    planter: str, server: Server, make_hook: MakeHook, log: Path
) -> None:
    with connect_as_planter(server, planter) as connection:
        connection.execute(
            "CREATE TABLE m.above (id int, email text) PARTITION BY RANGE ((id + m.evil(1)));"
            "CREATE TABLE m.part PARTITION OF m.above FOR VALUES FROM (0) TO (100000)"
        )
        with connect_as_planter(server, planter) as reader, reader.transaction():
            reader.execute("SELECT count(*) FROM m.above")
            connection.execute("SET statement_timeout = '200ms'; SET lock_timeout = 0")
            with suppress(psycopg.errors.QueryCanceled):
                connection.execute("ALTER TABLE m.above DETACH PARTITION m.part CONCURRENTLY")
    pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
    assert server.value(planter, pending) == 1
    start = log.stat().st_size
    hook = make_hook(planter)
    calls: list[Callable[[], object]] = [
        lambda: hook.dump(policy="classified", keep=["*"]),
        lambda: hook.dump(**HASH),
        lambda: hook.propose_masks(),
    ]
    for call in calls:
        with suppress(PgCloneError):
            call()
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_the_owner_of_a_schema_cannot_put_another_table_in_the_place_of_one_that_is_not_theirs(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor the owner of the database, whose schema public is."""
    split_small_tables(monkeypatch, 16384)
    server.run(
        planter,
        f"ALTER DATABASE {planter} OWNER TO planter; "
        "ALTER SCHEMA public OWNER TO pg_database_owner; CREATE TABLE public.users AS "
        "SELECT n AS id, md5(n::text) AS email FROM generate_series(1, 3000) n",
    )
    start = log.stat().st_size
    statements = (
        "ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public; "
        "CREATE TABLE public.users (id int, email text); "
        "CREATE INDEX ON public.users ((id + m.evil(1)))"
    )
    refused = plant_after_plan(monkeypatch, server, planter, [statements])
    hook = make_hook(planter)
    masks = {"public.users": {"email": "hash"}}
    for arguments in ({}, {"masks": masks, "mask_key": KEY}):
        key = hook.dump(jobs=2, **arguments)  # type: ignore[arg-type]
        assert hook.inspect(key)["tables"]["public.users"] == 3000
    assert refused == [psycopg.errors.LockNotAvailable, psycopg.errors.LockNotAvailable]
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_a_cast_of_somebody_between_other_types_stops_no_mask(
    planter: str, server: Server, make_hook: MakeHook
) -> None:
    with connect_as_planter(server, planter) as connection:
        connection.execute(
            "CREATE TYPE m.money AS (amount int); CREATE FUNCTION m.tomoney(text) RETURNS m.money "
            "LANGUAGE sql AS 'SELECT ROW(1)::m.money'; "
            "CREATE CAST (text AS m.money) WITH FUNCTION m.tomoney(text)"
        )
    make_hook(planter).dump(**HASH)


def test_checksums_ask_nothing_of_tables_that_are_left_out(
    planter: str, server: Server, make_hook: MakeHook
) -> None:
    server.run(planter, "CREATE TABLE public.ours AS SELECT 1 AS n")
    hook = make_hook(planter)
    hook.dump(checksums=True, exclude=["m.*"])
    hook.dump(checksums=True, schemas=["public"])


FAR = {
    "satisfies_hash_partition in an index": (
        "CREATE TABLE m.trap (id int) PARTITION BY HASH ((id + m.evil(1))); "
        "DO $$ BEGIN EXECUTE format('CREATE INDEX ON m.loot ((satisfies_hash_partition(%s, 4, 0, "
        "1)))', 'm.trap'::regclass::oid); END $$",
        {},
    ),
    "satisfies_hash_partition in a check": (
        "CREATE TABLE m.trap (id int) PARTITION BY HASH ((id + m.evil(1))); "
        "DO $$ BEGIN EXECUTE format('ALTER TABLE m.loot ADD CHECK (email IS NOT NULL AND "
        "satisfies_hash_partition(%s, 4, 0, 1) IS NOT NULL)', 'm.trap'::regclass::oid); END $$",
        HASH,
    ),
    "domain_in": (
        DOMAIN + "DO $$ BEGIN EXECUTE format('ALTER TABLE m.loot ADD CHECK (email IS NOT NULL AND "
        "domain_in(''1''::cstring, %s, -1) IS NOT NULL)', 'm.d'::regtype::oid); END $$",
        HASH,
    ),
    "table_to_xml": (
        "CREATE TABLE m.trap (id int); CREATE INDEX ON m.trap ((id + m.evil(1))); "
        "DO $$ BEGIN EXECUTE format('ALTER TABLE m.loot ADD CHECK (email IS NOT NULL AND "
        "table_to_xml(%s::oid::regclass, true, true, '''') IS NOT NULL)', "
        "'m.trap'::regclass::oid); END $$",
        HASH,
    ),
    "to_json of a type with a cast": (
        "CREATE TYPE m.mood AS ENUM ('a'); CREATE FUNCTION m.mj(m.mood) RETURNS json IMMUTABLE "
        "LANGUAGE plpgsql AS $$ BEGIN PERFORM m.note(); RETURN '1'; END $$; "
        "CREATE CAST (m.mood AS json) WITH FUNCTION m.mj(m.mood); "
        "ALTER TABLE m.loot ADD CHECK (email IS NOT NULL AND to_json('a'::m.mood) IS NOT NULL)",
        HASH,
    ),
    "materialized view in a condition": (
        "CREATE MATERIALIZED VIEW m.mv AS SELECT 1 AS id; CREATE INDEX ON m.mv ((id + m.evil(1)))",
        {"rows": {"m.loot": "id IN (SELECT id FROM m.mv) OR id < 100"}},
    ),
    "cast of a row": (
        "CREATE FUNCTION m.rt(m.loot) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM m.note(); RETURN 'x'; END $$; "
        "CREATE CAST (m.loot AS text) WITH FUNCTION m.rt(m.loot)",
        {"masks": {"m.loot": {"email": {"sql": "md5(loot::text)"}}}},
    ),
}


@pytest.mark.parametrize("name", FAR)
def test_nothing_runs_that_a_builtin_function_reaches(
    planter: str, server: Server, make_hook: MakeHook, log: Path, name: str
) -> None:
    statements, arguments = FAR[name]
    with connect_as_planter(server, planter) as connection:
        connection.execute(statements.encode())
    start = log.stat().st_size
    hook = make_hook(planter)
    with pytest.raises(PgCloneError, match=r"planter|pg_catalog"):
        hook.dump(**(arguments or HASH))
    with suppress(PgCloneError):
        hook.propose_masks()
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_the_schema_of_a_type_cannot_be_exchanged(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mask names the type, and its schema belongs to the owner of the database."""
    server.run(
        planter,
        f"ALTER DATABASE {planter} OWNER TO planter; ALTER SCHEMA public OWNER TO "
        "pg_database_owner; CREATE DOMAIN public.mail AS text; CREATE SCHEMA ours; "
        "CREATE TABLE ours.users AS SELECT n AS id, ('u' || n)::public.mail AS email "
        "FROM generate_series(1, 100) n",
    )
    start = log.stat().st_size
    statements = (
        "ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public; "
        "CREATE DOMAIN public.mail AS text CHECK (m.evil(1) = 1)"
    )
    refused = plant_after_plan(monkeypatch, server, planter, [statements])
    make_hook(planter).dump(masks={"ours.users": {"email": "hash"}}, mask_key=KEY)
    assert refused == [psycopg.errors.LockNotAvailable]
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_ordinary_checks_of_others_do_not_refuse_masks(
    planter: str, server: Server, make_hook: MakeHook
) -> None:
    with connect_as_planter(server, planter) as connection:
        connection.execute(
            "CREATE TYPE m.mood AS ENUM ('calm', 'wild'); "
            "CREATE TABLE m.people (id int PRIMARY KEY, email text, born date, mood m.mood, "
            "made timestamptz DEFAULT now(), "
            "CHECK (email IS NULL OR length(email) < 200 AND email !~ '^ '), "
            "CHECK (email IS NULL OR made <= now() AND date_trunc('day', made) <= made), "
            "CHECK (email IS NULL OR mood IN ('calm', 'wild')), "
            "CHECK (email IS NULL OR concat(email, id) <> '')); "
            "CREATE UNIQUE INDEX ON m.people (lower(email)); "
            "INSERT INTO m.people SELECT n, 'p' || n, '2000-01-01', 'calm' "
            "FROM generate_series(1, 100) n"
        )
    key = make_hook(planter).dump(masks={"m.people": {"email": "email"}}, mask_key=KEY)
    assert make_hook(planter).inspect(key)["tables"]["m.people"] == 100


def test_partitions_of_a_referenced_table_may_be_excluded(
    planter: str, server: Server, make_hook: MakeHook
) -> None:
    with connect_as_planter(server, planter) as connection:
        connection.execute(
            "CREATE TABLE m.par (id int PRIMARY KEY) PARTITION BY RANGE (id); "
            "CREATE TABLE m.p1 PARTITION OF m.par FOR VALUES FROM (0) TO (10); "
            "CREATE TABLE m.p2 PARTITION OF m.par FOR VALUES FROM (10) TO (20); "
            "INSERT INTO m.par SELECT generate_series(1, 15); "
            "CREATE TABLE m.kid (p int REFERENCES m.par); INSERT INTO m.kid VALUES (1)"
        )
    make_hook(planter).dump(exclude=["m.p2"])
