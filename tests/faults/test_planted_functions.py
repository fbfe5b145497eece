"""The owner of tables plants functions while others read them: none runs with their rights."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import BusyError, PgCloneError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning import plan_masking
from airflow_provider_pgclone.core.reading import snapshot, table_choice
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

PASSWORD = "long enough"
KEY = "a key of sixteen characters"
# The owner's function notes in the server's log who else has run it, and in which database.
SQL = """
DO $$ BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO planter', current_database());
END $$;
CREATE SCHEMA m AUTHORIZATION planter;
SET ROLE planter;
CREATE FUNCTION m.note() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    -- Autovacuum becomes the owner, and CREATE INDEX on a root the owners of its partitions.
    IF 'planter' NOT IN (session_user, current_user) THEN
        RAISE LOG 'planted function ran in % as %', current_database(), session_user;
    END IF;
END $$;
CREATE FUNCTION m.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN $1; END $$;
CREATE TYPE m.mood AS ENUM ('calm', 'wild');
CREATE DOMAIN m.mail AS text;
CREATE FUNCTION m.evil_text(m.mood) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN 'calm'; END $$;
CREATE FUNCTION m.evil_mood(text) RETURNS m.mood IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.note(); RETURN 'calm'::pg_catalog.cstring::m.mood; END $$;
CREATE TABLE m.loot (id int, email text, mood m.mood, mail m.mail);
CREATE TABLE m.parts (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE m.part PARTITION OF m.parts FOR VALUES FROM (0) TO (100000);
INSERT INTO m.loot SELECT n, 'm' || n, 'wild', 'm' || n FROM generate_series(1, 4000) n;
INSERT INTO m.parts SELECT n, 'm' || n FROM generate_series(1, 4000) n;
CREATE TABLE m.decoy (LIKE m.loot);
CREATE INDEX ON m.decoy ((id + m.evil(1)));
RESET ROLE;
CREATE SCHEMA decoy AUTHORIZATION planter;
SET ROLE planter;
CREATE TABLE decoy.loot (LIKE m.loot);
CREATE INDEX ON decoy.loot ((id + m.evil(1)));
RESET ROLE;
ALTER TABLE m.part OWNER TO CURRENT_USER;
"""
# What the owner of a table, a type or a partitioned table is allowed, and how it is undone.
PLANTED = {
    "an index": ("CREATE INDEX i ON m.loot ((id + m.evil(1)))", "DROP INDEX m.i"),
    "a partial index": (
        "CREATE INDEX p ON m.loot (id) WHERE id > m.evil(1)",
        "DROP INDEX m.p",
    ),
    "statistics": (
        "CREATE STATISTICS m.s ON (id + m.evil(1)), email FROM m.loot",
        "DROP STATISTICS m.s",
    ),
    "a check": (
        "ALTER TABLE m.loot ADD CONSTRAINT c CHECK (id > 0 * m.evil(1)) NOT VALID",
        "ALTER TABLE m.loot DROP CONSTRAINT c",
    ),
    "a generated column": (
        "ALTER TABLE m.loot ADD g int GENERATED ALWAYS AS (id + m.evil(1)) STORED",
        "ALTER TABLE m.loot DROP g",
    ),
    "a policy": (
        "ALTER TABLE m.loot ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY y ON m.loot USING (m.evil(1) = 1)",
        "DROP POLICY y ON m.loot; ALTER TABLE m.loot DISABLE ROW LEVEL SECURITY",
    ),
    "a check of a domain": (
        "ALTER DOMAIN m.mail ADD CONSTRAINT d CHECK (m.evil(1) = 1) NOT VALID",
        "ALTER DOMAIN m.mail DROP CONSTRAINT d",
    ),
    "a cast from a type": (
        "CREATE CAST (m.mood AS text) WITH FUNCTION m.evil_text(m.mood) AS IMPLICIT",
        "DROP CAST (m.mood AS text)",
    ),
    "a cast to a type": (
        "CREATE CAST (text AS m.mood) WITH FUNCTION m.evil_mood(text) AS IMPLICIT",
        "DROP CAST (text AS m.mood)",
    ),
    "an index of a partitioned table": (
        "CREATE INDEX r ON m.parts ((id + m.evil(1)))",
        "DROP INDEX m.r",
    ),
    "another schema of the same name": (
        "ALTER SCHEMA m RENAME TO m_old; ALTER SCHEMA decoy RENAME TO m",
        "ALTER SCHEMA m RENAME TO decoy; ALTER SCHEMA m_old RENAME TO m",
    ),
    "another table of the same name": (
        "ALTER TABLE m.loot RENAME TO gone; ALTER TABLE m.decoy RENAME TO loot",
        "ALTER TABLE m.loot RENAME TO decoy; ALTER TABLE m.gone RENAME TO loot",
    ),
    "a new child": (
        "CREATE TABLE m.child () INHERITS (m.loot); CREATE INDEX n ON m.child ((id + m.evil(1)))",
        "DROP TABLE m.child",
    ),
    "a partition key": (
        "CREATE TABLE m.above (LIKE m.loot) PARTITION BY RANGE ((id + m.evil(1))); "
        "ALTER TABLE m.above ATTACH PARTITION m.loot DEFAULT",
        "ALTER TABLE m.above DETACH PARTITION m.loot; DROP TABLE m.above",
    ),
}
MASKS: dict[str, Any] = {
    "m.loot": {"email": "hash", "mood": {"constant": "calm"}},
    "m.parts": {"email": {"sql": "upper(email)"}},
}


@pytest.fixture
def planter(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database of which somebody who is no superuser owns the tables."""
    server.run("postgres", f"CREATE ROLE planter LOGIN PASSWORD '{PASSWORD}'")
    yield make_database(SQL)
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE planter")


def connect_as_planter(server: Server, database: str) -> psycopg.Connection:
    connection = psycopg.connect(
        host=server.server.host,
        port=server.server.port,
        user="planter",
        password=PASSWORD,
        dbname=database,
        autocommit=True,
    )
    connection.execute("SET lock_timeout = '100ms'")
    return connection


def plant_after_plan(
    monkeypatch: pytest.MonkeyPatch, server: Server, database: str, statements: list[str]
) -> list[type[psycopg.Error]]:
    """Have statements run between the plan of each dump and its rows; return what refuses them."""
    refused: list[type[psycopg.Error]] = []

    def plan_then_plant(*arguments: Any) -> Any:
        made = plan_masking(*arguments)
        with connect_as_planter(server, database) as connection:
            for statement in statements:
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    refused.append(type(error))
        return made

    monkeypatch.setattr(snapshot, "plan_masking", plan_then_plant)
    return refused


def ran_in(database: str, said: str) -> str:
    """Return the statement of the first planted function that ran in a database, from a log."""
    found = re.search(rf"\[(\d+)\] LOG:  planted function ran in {database} ", said)
    if found is None:
        return ""
    statement = re.search(rf"\[{found[1]}\] STATEMENT:  ([^\n]*)", said[found.start() :])
    return statement[1] if statement else "a statement without text"


@contextmanager
def planting(server: Server, database: str) -> Iterator[dict[str, int]]:
    """Plant and remove each thing over and over while the block runs; count what was allowed."""
    over = threading.Event()
    allowed = dict.fromkeys(PLANTED, 0)

    def work() -> None:
        with connect_as_planter(server, database) as connection:
            while not over.is_set():
                for name, (plant, undo) in PLANTED.items():
                    with suppress(psycopg.Error):
                        connection.execute(plant.encode())
                        allowed[name] += 1
                    with suppress(psycopg.Error):
                        connection.execute(undo.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield allowed
    finally:
        over.set()
        thread.join()
        with connect_as_planter(server, database) as connection:
            for _, undo in PLANTED.values():  # a victim may have kept the last one from it
                with suppress(psycopg.Error):
                    connection.execute(undo.encode())


def victims(hook: PgCloneHook) -> list[Callable[[], Any]]:
    masks: dict[str, Any] = {
        "masks": MASKS,
        "mask_key": KEY,
        "exclude": ["m.decoy", "decoy.*"],
    }
    return [
        lambda: hook.dump(jobs=2),
        lambda: hook.dump(jobs=2, **masks),
        lambda: hook.dump(jobs=2, checksums=True, exclude=["m.decoy", "decoy.*"]),
        lambda: hook.dump(jobs=2, rows={"m.loot": "mood <> 'calm'"}, **masks),
        lambda: hook.copy(target="copied", method="stream", jobs=2),
        lambda: hook.copy(target="copied", method="stream", jobs=2, **masks),
        lambda: hook.propose_masks(),
    ]


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.long)])
def test_a_race_with_the_owner_of_the_tables(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
) -> None:
    split_small_tables(monkeypatch, 16384)
    start = log.stat().st_size
    hook = make_hook(planter)
    with planting(server, planter) as allowed:
        for _ in range(rounds):
            for victim in victims(hook):
                with suppress(PgCloneError):
                    victim()
    for victim in victims(hook)[:4]:  # what is quick, to see that it is not refused for ever
        victim()
    assert ran_in(planter, log.read_bytes()[start:].decode()) == ""
    assert all(allowed.values()), allowed


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(PLANTED), id="everything"),
        *(pytest.param([name], id=name, marks=pytest.mark.long) for name in PLANTED),
    ],
)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_what_is_planted_between_the_snapshot_and_the_rows_waits_or_does_not_run(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    masked: bool,
) -> None:
    split_small_tables(monkeypatch, 16384)
    start = log.stat().st_size
    plant_after_plan(monkeypatch, server, planter, [PLANTED[name][0] for name in names])
    hook = make_hook(planter)
    more: dict[str, Any] = {"masks": MASKS, "mask_key": KEY} if masked else {}
    key = hook.dump(jobs=2, **more)
    assert hook.inspect(key)["tables"]["m.loot"] == 4000
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_the_function_of_an_owner_runs_if_the_owner_is_trusted(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: it is the locks that keep it from running."""
    split_small_tables(monkeypatch, 16384)
    with connect_as_planter(server, planter) as connection:
        connection.execute(PLANTED["an index"][0].encode())
    start = log.stat().st_size
    make_hook(planter).dump(jobs=2, trusted_owners=["planter"])
    assert f"planted function ran in {planter} as postgres" in log.read_bytes()[start:].decode()


def test_a_role_that_may_only_read_masks_nothing_of_an_owner_who_is_not_trusted(
    planter: str, server: Server, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_small_tables(monkeypatch, 16384)
    server.run(
        "postgres", f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data"
    )
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_READER", f"postgresql://reader:long%20enough@{address}")
    hook = make_hook(planter, postgres_conn_id="reader")
    masks: dict[str, Any] = {"masks": {"m.loot": {"email": "hash"}}, "mask_key": KEY}
    try:
        assert hook.inspect(hook.dump(jobs=2))["tables"]["m.loot"] == 4000
        with pytest.raises(UnsupportedError, match=r"m\.loot cannot be read by a query.* planter"):
            hook.dump(**masks)
        key = hook.dump(**masks, trusted_owners=["planter", server.server.user])
        assert hook.inspect(key)["tables"]["m.loot"] == 4000
        # Where the schema is somebody's who is trusted, locks are enough.
        server.run(planter, "ALTER SCHEMA m OWNER TO postgres")
        if int(server.value("postgres", "SHOW server_version_num")) >= 170000:
            server.run("postgres", "GRANT pg_maintain TO reader")
            assert hook.inspect(hook.dump(**masks))["tables"]["m.loot"] == 4000
        with pytest.raises(UnsupportedError, match="the owner planter of its type"):
            make_hook(planter).dump(masks={"m.loot": {"mail": "null"}})
        with pytest.raises(PgCloneError, match="no role 'planetr', which trusted_owners names"):
            hook.dump(trusted_owners=["planetr"])
    finally:
        server.run("postgres", "DROP ROLE reader")


@contextmanager
def holding_the_loot(server: Server, database: str) -> Iterator[None]:
    """Hold the lock that a dump needs to query a table of somebody else."""
    with server.connect(database) as other, other.transaction():
        other.execute("LOCK TABLE m.loot IN SHARE UPDATE EXCLUSIVE MODE")
        yield


def test_a_table_that_another_dump_holds_is_left_to_pg_dump_or_refused(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    split_small_tables(monkeypatch, 16384)
    monkeypatch.setattr("airflow_provider_pgclone.core.catalog.holding.HOLD_SECONDS", 1)
    hook = make_hook(planter)
    with holding_the_loot(server, planter):
        assert hook.inspect(hook.dump(jobs=2))["tables"]["m.loot"] == 4000
        assert "pg_dump reads 1 tables alone" in caplog.text
        with pytest.raises(BusyError, match=r"the table m\.loot could not be locked"):
            hook.dump(masks=MASKS, mask_key=KEY)
    hook.dump(masks=MASKS, mask_key=KEY)


def test_small_tables_of_others_are_left_to_pg_dump_without_a_warning(
    planter: str,
    server: Server,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    split_small_tables(monkeypatch, 16384)
    monkeypatch.setattr(table_choice, "LARGE_BYTES", 1 << 30)
    hook = make_hook(planter)
    with holding_the_loot(server, planter):
        assert hook.inspect(hook.dump(jobs=2))["tables"]["m.loot"] == 4000
    assert "pg_dump reads" not in caplog.text


def test_a_dump_does_not_wait_for_what_it_would_only_be_faster_with(
    planter: str, server: Server, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_small_tables(monkeypatch, 16384)
    monkeypatch.setattr("airflow_provider_pgclone.core.catalog.holding.HOLD_SECONDS", 3600)
    hook = make_hook(planter)
    with holding_the_loot(server, planter):
        assert hook.inspect(hook.dump(jobs=2))["tables"]["m.loot"] == 4000


@pytest.mark.parametrize("sql", ["public.hide(email)", "email OPERATOR(public.||) 'x'"])
def test_functions_are_not_called_where_others_could_add_better_ones(
    sql: str, planter: str, server: Server, make_hook: MakeHook
) -> None:
    """PostgreSQL chooses a function by the types of its arguments, in each session anew."""
    server.run(
        planter,
        "CREATE FUNCTION public.hide(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS "
        "$$ SELECT '' $$;"
        "CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat);"
        "GRANT CREATE ON SCHEMA public TO planter",
    )
    server.run(planter, "CREATE TABLE mine AS SELECT 'a' AS email")
    hook = make_hook(planter)
    masks = {"public.mine": {"email": {"sql": sql}}}
    message = r"of the schema public, in which planter may create another one"
    with pytest.raises(UnsupportedError, match=message):
        hook.dump(masks=masks)
    server.run(
        planter,
        "REVOKE CREATE ON SCHEMA public FROM planter; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    hook.dump(masks=masks)
