"""The floor of a restore makes the database again, whatever it holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands import at_once, shell
from bench.databases import CONTENTS, make
from bench.floor import write_plan
from bench.floor_plan import FloorPlan, TablePart, Task, read_parts, read_plan, share_out, urgencies
from example_dags.services import PostgresServer
from tests.support import REPOSITORY
from tests.support.fixtures.databases import MakeDatabase, Server

TARGET = "floor_of_bench"
CORNERS = """
CREATE SCHEMA "Other one";
CREATE TABLE "Other one"."A table" (id int PRIMARY KEY, "A name" text UNIQUE, above int);
CREATE INDEX "An index" ON "Other one"."A table" (lower("A name")) WHERE id > 5;
ALTER TABLE "Other one"."A table" ADD FOREIGN KEY (above) REFERENCES "Other one"."A table";
INSERT INTO "Other one"."A table"
    SELECT n, 'name ' || n, nullif(n - 1, 0) FROM generate_series(1, 2000) n;
CREATE TABLE second (
    id int PRIMARY KEY, one int REFERENCES "Other one"."A table", UNIQUE (id, one)
);
INSERT INTO second SELECT n, n FROM generate_series(1, 10) n;
CREATE TABLE nothing (id int);
ANALYZE
"""
OBJECTS = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid > 16384
    AND indrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')
UNION ALL
SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace <> 'pg_catalog'::regnamespace AND conrelid > 0 AND contype IN ('p', 'u', 'f')
ORDER BY 1
"""
ROWS = """
SELECT c.oid::regclass::text, query_to_xml(format('SELECT count(*) FROM %s', c.oid::regclass),
    false, true, '')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
"""


def make_floor(postgres: PostgresServer, server: Server, name: str, folder: Path) -> Path:
    """Make a database again by the tasks of its plan, in two sessions, and return the plan."""
    server.run("postgres", f"CREATE DATABASE {TARGET}")
    plan, make_texts = write_plan(postgres, name, folder)
    schema = folder / "schema.sql"
    text = "; ".join(
        [
            *make_texts,
            f"pg_dump --section=pre-data > {schema}",
            f"psql --quiet --set=ON_ERROR_STOP=1 --dbname={TARGET} --file={schema}",
            f"{sys.executable} -m bench.floor {plan} {TARGET} 2 note",
        ]
    )
    environment = {
        **os.environ,
        "PATH": f"{postgres.bin_dir}:{os.environ['PATH']}",
        "PGHOST": postgres.host,
        "PGPORT": str(postgres.port),
        "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password,
        "PGDATABASE": name,
    }
    subprocess.run(shell(text), env=environment, cwd=REPOSITORY, check=True)
    return plan


def assert_same(server: Server, one: str, other: str) -> None:
    for query in (OBJECTS, ROWS):
        expected = server.rows(one, query)
        assert expected
        assert server.rows(other, query) == expected


@pytest.mark.parametrize("name", CONTENTS)
def test_the_floor_makes_each_database_of_the_benchmarks(
    name: str, make_database: MakeDatabase, postgres: PostgresServer, server: Server, tmp_path: Path
) -> None:
    database = make_database("")
    make(postgres, database, CONTENTS[name], million_events=0.01)
    plan = make_floor(postgres, server, database, tmp_path)
    assert_same(server, database, TARGET)
    told = json.loads(plan.read_text())
    assert set(told["seconds"]) == {task["name"] for task in told["tasks"]}


def test_the_floor_makes_names_that_are_quoted_and_keys_that_lead_to_their_own_table(
    make_database: MakeDatabase, postgres: PostgresServer, server: Server, tmp_path: Path
) -> None:
    database = make_database(CORNERS)
    make_floor(postgres, server, database, tmp_path)
    assert_same(server, database, TARGET)


def test_the_indexes_are_of_several_access_methods(
    make_database: MakeDatabase, postgres: PostgresServer, server: Server
) -> None:
    database = make_database("")
    make(postgres, database, CONTENTS["indexes"], million_events=0.01)
    methods = "SELECT DISTINCT amname FROM pg_class c JOIN pg_am a ON a.oid = relam"
    found = {name for (name,) in server.rows(database, f"{methods} WHERE relkind = 'i'")}
    assert found >= {"btree", "gin", "gist", "brin", "hash"}


def test_halves_of_a_table_hold_each_row_once(
    make_database: MakeDatabase, postgres: PostgresServer, server: Server
) -> None:
    database = make_database("")
    make(postgres, database, CONTENTS["events"], million_events=0.01)
    halves = [part for part in read_parts(postgres, database) if part.table == "public.events"]
    assert len(halves) == 2
    ids = [
        id_
        for half in halves
        for (id_,) in server.rows(database, f"SELECT id FROM {half.source} AS half")
    ]
    assert sorted(ids) == list(range(1, 10_001))


def test_two_sessions_get_about_as_many_bytes() -> None:
    parts = [TablePart(str(size), str(size), size) for size in (5, 4, 3, 3, 3)]
    shares = share_out(parts)
    assert [sum(part.size_bytes for part in share) for share in shares] == [8, 10]


def test_what_much_depends_on_is_urgent() -> None:
    tasks = [
        Task("short", ""),
        Task("long", ""),
        Task("index", "", needs=("short",)),
        Task("key", "", needs=("index", "long")),
    ]
    seconds = {"short": 1.0, "long": 4.0, "index": 6.0, "key": 2.0}
    assert urgencies(tasks, seconds) == {"short": 9.0, "long": 6.0, "index": 8.0, "key": 2.0}


def test_a_constraint_waits_for_all_indexes_of_its_table(
    make_database: MakeDatabase, postgres: PostgresServer
) -> None:
    """Its lock excludes the building of indexes."""
    plan: FloorPlan = read_plan(postgres, make_database(CORNERS))
    needs = {task.name: set(task.needs) for task in plan.tasks}
    builds = {task.name for task in plan.tasks if task.statement.startswith("CREATE")}
    of_second = {name for name in builds if "ON public.second " in statement_of(plan, name)}
    assert len(of_second) == 2
    (key,) = (name for name in needs if name.startswith("public.second ") and "fkey" in name)
    assert needs[key] >= builds


def statement_of(plan: FloorPlan, name: str) -> str:
    return next(task.statement for task in plan.tasks if task.name == name)


def test_commands_at_once_fail_where_one_fails() -> None:
    for last in (0, 1):
        text = at_once(["true", f"bash -c 'exit {last}'", "true"])
        assert subprocess.run(shell(text)).returncode == last
