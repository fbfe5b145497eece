"""Types, schemas and keys that SQL of users names or needs, and who could plant something there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from tests.faults.test_planted_functions import (
    PASSWORD,
    connect_as_planter,
    plant_after_plan,
)
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

MINE = "CREATE TABLE public.mine AS SELECT n AS id, 'u' || n AS email FROM generate_series(1, 9) n;"
# A role that is not trusted owns these types, but neither the schema nor a table.
TYPES = f"""
{MINE}
CREATE SCHEMA types;
GRANT USAGE, CREATE ON SCHEMA types TO planter;
SET ROLE planter;
CREATE TYPE types.mood AS ENUM ('1', '2');
CREATE DOMAIN types.short AS text;
CREATE TYPE types.both AS (a types.short, b int);
CREATE FUNCTION types.note() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF 'planter' NOT IN (session_user, current_user) THEN
        RAISE LOG 'planted function ran in % as %', current_database(), session_user;
    END IF;
END $$;
CREATE FUNCTION types.tell(types.mood) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM types.note(); RETURN '1'; END $$;
CREATE FUNCTION types.tell_all(types.mood[]) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM types.note(); RETURN '1'; END $$;
CREATE FUNCTION types.fits(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM types.note(); RETURN true; END $$;
RESET ROLE;
CREATE DOMAIN types.ours AS text CHECK (types.fits(VALUE));
CREATE TABLE public.shorts (short types.short);
CREATE TABLE public.optout AS SELECT '2'::types.mood AS code;
"""
CHECK = "ALTER DOMAIN types.short ADD CHECK (types.fits(VALUE))"
CAST = "CREATE CAST (types.mood AS text) WITH FUNCTION types.tell(types.mood)"
CAST_OF_ARRAYS = "CREATE CAST (types.mood[] AS text) WITH FUNCTION types.tell_all(types.mood[])"


def mask(sql: str) -> dict[str, Any]:
    return {"masks": {"public.mine": {"email": {"sql": sql}}}}


NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "domain": (CHECK, mask("left(email, 1)::types.short")),
    "domain before a literal": (CHECK, mask("types . \"short\" 'x' || left(email, 1)")),
    "domain in a condition": (CHECK, {"rows": {"public.mine": "CAST(email AS Types.Short) <> ''"}}),
    "domain in a composite type": (CHECK, mask("(ROW(left(email, 1), 1)::types.both)::text")),
    "domain in an array": (CHECK, mask("(ARRAY[left(email, 1)]::types.short[])[1]")),
    "array by its own name": (CHECK, mask("(ARRAY[left(email, 1)]::types._short)[1]")),
    "domain in a row of a table": (CHECK, mask("(ROW(left(email, 1))::public.shorts)::text")),
    "domain of somebody trusted": ("SELECT", mask("left(email, 1)::types.ours")),
    "cast": (CAST, mask("('1'::types.mood)::text || left(email, 1)")),
    "cast of an array": (CAST_OF_ARRAYS, mask("('{1}'::types.mood[])::text || left(email, 1)")),
    "cast of an array of a column": (
        CAST_OF_ARRAYS,
        {"rows": {"public.mine": "id::text <> ALL (SELECT ARRAY[code]::text FROM public.optout)"}},
    ),
}


@pytest.fixture
def typed(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    server.run("postgres", f"CREATE ROLE planter LOGIN PASSWORD '{PASSWORD}'")
    yield make_database(TYPES)
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE planter")


@pytest.fixture
def reader(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection of a role that may only read, and so keeps nobody from making a cast."""
    server.run(
        "postgres", f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data"
    )
    address = server.server.uri("").partition("@")[2]
    monkeypatch.setenv("AIRFLOW_CONN_READER", f"postgresql://reader:long%20enough@{address}")
    yield "reader"
    server.run("postgres", "DROP ROLE reader")


@pytest.mark.parametrize("name", NAMED)
def test_types_that_sql_names_run_nothing(
    typed: str, server: Server, make_hook: MakeHook, log: Path, name: str
) -> None:
    statement, arguments = NAMED[name]
    with connect_as_planter(server, typed) as connection:
        connection.execute(statement.encode())
    start = log.stat().st_size
    with pytest.raises(UnsupportedError, match=r"types\..* planter "):
        make_hook(typed).dump(**arguments)
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_what_a_type_that_sql_names_could_call_is_told(typed: str, make_hook: MakeHook) -> None:
    hook = make_hook(typed)
    mood = mask("left(email, 1) || ('1'::types.mood)::text")
    for arguments, message in (
        (mask("left(email, 1)::types.short"), r"names the type types\.short, .* owner planter of"),
        (mask("left(email, 1)::types.ours"), r"mine\.email names calls the function types\.fits"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            hook.dump(**arguments)
        hook.dump(**arguments, trusted_owners=["planter"])
    hook.dump(**mood)  # it has no cast, and nobody can make one meanwhile
    # A table is no type where it is read.
    hook.dump(rows={"public.mine": "id < (SELECT 5 + count(*) FROM public.shorts)"})


def test_a_cast_cannot_be_made_for_a_column_that_only_a_condition_reads(
    typed: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    reader: str,
) -> None:
    start = log.stat().st_size
    refused = plant_after_plan(monkeypatch, server, typed, [CAST])
    rows = {"public.mine": "id NOT IN (SELECT code::text::int FROM public.optout)"}
    message = r"public\.optout\.code is masked, or read by .* the owner planter of its type types"
    with pytest.raises(UnsupportedError, match=message):
        make_hook(typed, postgres_conn_id=reader).dump(rows=rows)
    assert refused == []
    key = make_hook(typed).dump(rows=rows)  # who may lock keeps others from making a cast
    assert make_hook(typed).inspect(key)["tables"]["public.mine"] == 8
    assert refused == [psycopg.errors.LockNotAvailable]
    assert "planted function ran" not in log.read_bytes()[start:].decode()


@pytest.mark.parametrize("row", ["moods", '"moods" . *', "m"])
def test_a_cast_cannot_be_made_for_a_column_of_whole_rows(
    typed: str,
    server: Server,
    make_hook: MakeHook,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    reader: str,
    row: str,
) -> None:
    server.run(
        typed,
        "CREATE TABLE public.moods AS SELECT 1 AS id, 'u' AS email, '1'::types.mood AS mood; "
        "CREATE FUNCTION types.tell_json(types.mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM types.note(); RETURN '1'; END $$; "
        "ALTER FUNCTION types.tell_json OWNER TO planter",
    )
    start = log.stat().st_size
    cast = "CREATE CAST (types.mood AS json) WITH FUNCTION types.tell_json(types.mood)"
    refused = plant_after_plan(monkeypatch, server, typed, [cast])
    sql = f"to_jsonb({row}) ->> 'email'"
    if row == "m":
        sql = f"(SELECT {sql} FROM public.moods AS m WHERE m.id = moods.id)"
    masks = {"public.moods": {"email": {"sql": sql}}}
    with pytest.raises(UnsupportedError, match=r"public\.moods\.mood is masked, or read by"):
        make_hook(typed, postgres_conn_id=reader).dump(masks=masks)
    make_hook(typed).dump(masks=masks)
    assert refused == [psycopg.errors.LockNotAvailable]
    masks = {"public.moods": {"email": {"sql": "left(moods.email, 1)"}}}
    make_hook(typed, postgres_conn_id=reader).dump(masks=masks)
    assert "planted function ran" not in log.read_bytes()[start:].decode()


def test_keys_are_not_compared_by_operators_of_others(
    typed: str, server: Server, make_hook: MakeHook, log: Path, reader: str
) -> None:
    server.run(
        typed,
        "CREATE SCHEMA planted AUTHORIZATION planter; CREATE EXTENSION citext SCHEMA planted; "
        "CREATE TABLE above (code planted.citext PRIMARY KEY, kept bool); "
        "CREATE TABLE below (code planted.citext REFERENCES above); "
        "INSERT INTO above VALUES ('a', true), ('b', false); INSERT INTO below VALUES ('A'), ('B')",
    )
    start = log.stat().st_size
    message = (
        r"key below_code_fkey of public\.below compares by the operator planted\.=, and planter"
    )
    options: list[dict[str, Any]] = [
        {"follow_fks": True},
        {"rows": {"public.above": "kept", "public.below": "ctid = '(0,1)'"}},
    ]
    for more in options:
        arguments = {"rows": {"public.above": "kept"}, **more}
        hook = make_hook(typed)
        hook.dump(**arguments)  # locks keep the schema
        with pytest.raises(UnsupportedError, match=message):
            make_hook(typed, postgres_conn_id=reader).dump(**arguments)
        for kind, name in (
            ("OPERATOR", "planted.= (planted.citext, planted.citext)"),
            ("FUNCTION", "planted.citext_eq(planted.citext, planted.citext)"),
        ):
            server.run(typed, f"ALTER {kind} {name} OWNER TO planter")
            with pytest.raises(UnsupportedError, match=message):
                hook.dump(**arguments)
            hook.dump(**arguments, trusted_owners=["planter"])
            server.run(typed, f"ALTER {kind} {name} OWNER TO postgres")
        hook.dump(masks={"public.mine": {"email": "null"}}, exclude=["public.below"])
    assert "planted function ran" not in log.read_bytes()[start:].decode()


@pytest.fixture
def trusted(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database with a schema of a role that has members."""
    server.run(
        "postgres",
        "CREATE ROLE app_owner; CREATE ROLE alice IN ROLE app_owner; CREATE ROLE stranger",
    )
    yield make_database(
        f"{MINE} CREATE SCHEMA app AUTHORIZATION app_owner; CREATE FUNCTION app.hide(text) RETURNS "
        "text IMMUTABLE LANGUAGE sql AS $$ SELECT left($1, 1) $$"
    )
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE alice, app_owner, stranger")


def test_members_of_a_trusted_role_may_create_by_it(
    trusted: str, server: Server, make_hook: MakeHook
) -> None:
    masks = {"public.mine": {"email": {"sql": "app.hide(email)"}}}
    hook, ours = make_hook(trusted), ["app_owner"]
    hook.dump(masks=masks, trusted_owners=ours)
    server.run(trusted, "GRANT CREATE ON SCHEMA app TO postgres, app_owner")
    hook.dump(masks=masks, trusted_owners=ours)
    with pytest.raises(UnsupportedError, match="in which app_owner may create"):
        hook.dump(masks=masks)
    server.run(trusted, "REVOKE CREATE ON SCHEMA app FROM app_owner")
    with pytest.raises(UnsupportedError, match="in which app_owner may create"):
        hook.dump(masks=masks)
    for grantee, named in (("alice", "alice"), ("stranger", "stranger"), ("PUBLIC", "alice")):
        server.run(trusted, f"GRANT CREATE ON SCHEMA app TO {grantee}")
        with pytest.raises(UnsupportedError, match=f"in which {named} may create"):
            hook.dump(masks=masks, trusted_owners=ours)
        server.run(trusted, f"REVOKE CREATE ON SCHEMA app FROM {grantee}")
    hook.dump(masks=masks, trusted_owners=ours)


def test_the_owner_of_the_database_creates_where_the_schema_is_theirs(
    trusted: str, server: Server, make_hook: MakeHook
) -> None:
    server.run(
        trusted,
        "ALTER SCHEMA app OWNER TO pg_database_owner; "
        "GRANT CREATE ON SCHEMA app TO pg_database_owner; "
        f"ALTER DATABASE {trusted} OWNER TO stranger",
    )
    masks = {"public.mine": {"email": {"sql": "app.hide(email)"}}}
    with pytest.raises(UnsupportedError, match="in which stranger may create"):
        make_hook(trusted).dump(masks=masks)
    make_hook(trusted).dump(masks=masks, trusted_owners=["stranger"])
