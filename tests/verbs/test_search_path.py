"""No session of ours runs a function or an operator that somebody put into its search path."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from example_dags.services import postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

# What a planted function does: it notes who ran it, in the log, which outlives the transaction.
NOTE = "RAISE LOG 'planted function ran as %', session_user;"
TYPES = ("text", "name", "oid", '"char"', "integer", "boolean", "smallint", "bigint")


def planted_sql(schema: str) -> str:
    """Return SQL that plants operators and functions of PostgreSQL's names in a schema."""
    statements = [
        f"CREATE OR REPLACE FUNCTION {schema}.note() RETURNS void LANGUAGE plpgsql AS $$"
        f"BEGIN {NOTE} END $$",
        f"CREATE OR REPLACE FUNCTION {schema}.shobj_description(oid, text) RETURNS text "
        f"LANGUAGE plpgsql AS $$ BEGIN PERFORM {schema}.note(); "
        "RETURN pg_catalog.shobj_description($1, $2::name); END $$",
        f"CREATE OR REPLACE FUNCTION {schema}.pg_get_userbyid(oid) RETURNS name "
        f"LANGUAGE plpgsql AS $$ BEGIN PERFORM {schema}.note(); "
        "RETURN pg_catalog.pg_get_userbyid($1); END $$",
        f"CREATE OR REPLACE FUNCTION {schema}.format(text, text, text) RETURNS text "
        f"LANGUAGE plpgsql AS $$ BEGIN PERFORM {schema}.note(); "
        "RETURN pg_catalog.format($1, $2, $3); END $$",
    ]
    for number, left in enumerate(TYPES):
        for right in {left, "text"}:
            name = f"same_{number}_{'own' if right == left else 'text'}"
            statements += [
                f"CREATE OR REPLACE FUNCTION {schema}.{name}({left}, {right}) RETURNS boolean "
                f"LANGUAGE plpgsql AS $$ BEGIN PERFORM {schema}.note(); "
                "RETURN $1::text OPERATOR(pg_catalog.=) $2::text; END $$",
                f"CREATE OPERATOR {schema}.= (FUNCTION = {schema}.{name}, LEFTARG = {left}, "
                f"RIGHTARG = {right})",
            ]
    return ";".join(statements)


@pytest.fixture(scope="module")
def logging_server(open_tmp: Path) -> Iterator[Server]:
    """A server of its own that logs every statement, with its session and its program."""
    folder = open_tmp / "logging"
    folder.mkdir()
    settings = {
        "log_statement": "all",
        "log_line_prefix": "%c|%a|%d|",
        "log_replication_commands": "off",
        "lc_messages": "C",
    }
    with postgres_server(folder, settings=settings) as server:
        yield Server(server)


@pytest.fixture
def log(logging_server: Server) -> Path:
    return logging_server.server.data_dir.parent / "server.log"


@pytest.fixture
def hostile(
    logging_server: Server, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database whose path finds planted operators first, and a maintenance database likewise."""
    server = logging_server
    monkeypatch.setenv(f"AIRFLOW_CONN_{postgres_connection.upper()}", server.server.uri(""))
    monkeypatch.setenv("AIRFLOW__PGCLONE__PG_BIN_DIR", str(server.server.bin_dir))
    server.run("postgres", "CREATE DATABASE app")
    server.run(
        "app",
        "CREATE TABLE users AS SELECT n AS id, 'user' || n AS name FROM generate_series(1, 50) n;"
        "CREATE TABLE events AS SELECT n AS id FROM generate_series(1, 5000) n",
    )
    for database, schema in (("app", "evil"), ("postgres", "public")):
        server.run(database, f"CREATE SCHEMA IF NOT EXISTS {schema}; {planted_sql(schema)}")
        server.run("postgres", f"ALTER DATABASE {database} SET search_path = {schema}, pg_catalog")
    yield "app"
    server.run("postgres", "ALTER DATABASE postgres RESET search_path")
    server.run("postgres", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for name in server.names():
        server.drop(name)


def run_all_verbs(make_hook: MakeHook, database: str) -> None:
    hook = make_hook(database, maintenance_database="postgres")
    masks = {"public.users": {"name": "hash"}}
    hook.dump(jobs=2, exclude=["public.events"], checksums=True)
    key = hook.dump(jobs=2, masks=masks, mask_key="a key of sixteen characters")
    hook.propose_masks()
    hook.verify(key, level="restore")
    hook.restore(key, reversible=True, check_sql="SELECT count(*) = 50 FROM public.users")
    hook.copy(target="by_stream", method="stream", exclude=["public.events"])
    hook.copy(target="by_template", method="template")
    hook.restore(":pre")
    hook.restore(key, swap=False)
    assert hook.temp_database is not None
    hook.drop_temp(hook.temp_database)
    hook.ls(what="local")
    hook.prune("*", keep_last=1)
    ok, said = hook.test_connection()
    assert ok, said


def statements_of_sessions(text: str) -> dict[tuple[str, str], list[str]]:
    """Return the statements of each session of a log, by its id and its program."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in text.splitlines():
        match = re.match(
            r"([0-9a-f.]+)\|([^|]*)\|[^|]*\|LOG:  (?:statement|execute [^:]*): (.*)", line
        )
        if match:
            found[match[1], match[2]].append(match[3])
    return found


def test_no_verb_runs_what_the_path_of_a_database_finds_first(
    hostile: str, make_hook: MakeHook, log: Path
) -> None:
    start = log.stat().st_size
    run_all_verbs(make_hook, hostile)
    said = log.read_bytes()[start:].decode()
    assert "LOG:  planted function ran" not in said


def test_the_planted_operators_run_where_the_path_is_not_emptied(
    hostile: str, logging_server: Server, log: Path
) -> None:
    """The control: without an empty path the test before would fail."""
    for database in (hostile, "postgres"):
        start = log.stat().st_size
        logging_server.rows(database, "SELECT oid FROM pg_database WHERE datname = 'app'::name")
        assert "LOG:  planted function ran as postgres" in log.read_bytes()[start:].decode()


def test_every_session_empties_its_path_by_its_first_statement(
    hostile: str, make_hook: MakeHook, log: Path
) -> None:
    start = log.stat().st_size
    run_all_verbs(make_hook, hostile)
    sessions = statements_of_sessions(log.read_bytes()[start:].decode())
    ours = {key: said for key, said in sessions.items() if key[1]}
    programs = {program for _, program in ours}
    assert len(ours) > 20
    assert programs >= {"airflow-provider-pgclone"}
    safe = re.compile(
        r"SET search_path = ''|SELECT pg_catalog\.set_config\('search_path', '', false\)"
    )
    unsafe = {key: said[0] for key, said in ours.items() if not safe.match(said[0])}
    assert unsafe == {}
