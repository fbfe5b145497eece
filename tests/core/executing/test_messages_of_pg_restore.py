"""What the real pg_restore says when it fails, read and freed of row data."""

import pytest

from airflow_provider_pgclone.core.executing.messages import (
    RestoreMessage,
    RestoreMessages,
    harmless_name,
)
from airflow_provider_pgclone.core.executing.own_lines import OwnLines
from tests.core.conftest import RunTool
from tests.support.fixtures.databases import MakeDatabase

SECRET = "hunter2"
SECRET_USERS = f"""
CREATE TABLE users (id text PRIMARY KEY, note text);
INSERT INTO users VALUES ('{SECRET}', '{SECRET}'), ('{SECRET} "quoted" ''too''', 'HINT: {SECRET}');
"""


@pytest.fixture
def dumped(run_tool: RunTool, make_database: MakeDatabase) -> "Dumped":
    return Dumped(run_tool, make_database)


class Dumped:
    """Restores the archive of one database into another."""

    def __init__(self, run_tool: RunTool, make_database: MakeDatabase) -> None:
        self._run_tool = run_tool
        self._make_database = make_database

    def archive(self, statements: str, *arguments: str) -> bytes:
        source = self._make_database(statements)
        result = self._run_tool("pg_dump", source, "--format=custom", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def restored(
        self, archive: bytes, statements: str, *arguments: str, role: str | None = None
    ) -> list[RestoreMessage]:
        """Return the errors; what pg_restore counts as ignored, it has told."""
        target = self._make_database(statements)
        own_lines = OwnLines()
        result = self._run_tool(
            "pg_restore",
            target,
            "--verbose",
            *arguments,
            stdin=archive,
            role=role,
            environment=own_lines.environment,
        )
        found: list[RestoreMessage] = []
        messages = RestoreMessages(own_lines, found.append)
        for line in result.stderr.decode().splitlines():
            messages.feed(line)
        messages.close()
        assert result.returncode == 1
        assert messages.ignored_count == len(found) > 0
        return found


def test_over_existing_objects_each_error_names_its_object(dumped: Dumped) -> None:
    messages = dumped.restored(dumped.archive(SECRET_USERS), SECRET_USERS)
    assert [message.entry.partition(" postgres")[0] for message in messages] == [
        "TABLE users",
        "TABLE DATA users",
        "CONSTRAINT users users_pkey",
    ]
    assert messages[0].command == "CREATE TABLE public.users ("
    assert 'relation "users" already exists' in messages[0].text
    assert 'unique constraint "users_pkey"; COPY users, line 1' in messages[1].text
    assert all(harmless_name(message, 17) is None for message in messages)
    assert SECRET not in repr(messages)


NO_ROW_FITS = {
    "another_type": "(id int, note text)",
    "a_shorter_type": "(id varchar(3), note text)",
    "a_check": "(id text CHECK (id = ''), note text)",
    "a_list_of_values": "(id mood, note text)",
    "a_date": "(id timestamptz, note text)",
    "a_document": "(id jsonb, note text)",
    "a_missing_column": "(id text)",
    "a_trigger": "(id text, note text)",
    "a_trigger_that_casts": "(id text, note text)",
}
TRIGGERS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'bad id %', NEW.id USING HINT = NEW.id, DETAIL = NEW.note; END $$;
CREATE TRIGGER t BEFORE INSERT ON a_trigger FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION cast_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM NEW.id::int; END $$;
CREATE TRIGGER t BEFORE INSERT ON a_trigger_that_casts FOR EACH ROW EXECUTE FUNCTION cast_it();
"""


@pytest.mark.parametrize("how", ["--verbose", "--inserts"])
def test_no_row_that_does_not_fit_is_told(dumped: Dumped, how: str) -> None:
    first = f"'{SECRET} ' || CASE n WHEN 1 THEN ' \"it''s\"' ELSE '' END AS id"
    rows = f"SELECT {first}, 'HINT: {SECRET}' AS note"
    full = [
        f"CREATE TABLE {why} AS {rows} FROM generate_series(1, 2) n;"
        for why in (*NO_ROW_FITS, "a_missing_table")
    ]
    strict = [f"CREATE TABLE {why} {columns};" for why, columns in NO_ROW_FITS.items()]
    archive = dumped.archive("\n".join(full), "--data-only", how)
    messages = dumped.restored(
        archive, "\n".join(["CREATE TYPE mood AS ENUM ('x');", *strict, TRIGGERS])
    )
    failed = {message.entry.split()[2] for message in messages}
    assert failed == {*NO_ROW_FITS, "a_missing_table"}
    assert SECRET not in repr(messages)
    assert all(harmless_name(message, 17) is None for message in messages)


def test_no_password_of_a_user_mapping_and_no_literal_is_told(dumped: Dumped) -> None:
    statements = f"""
        CREATE FOREIGN DATA WRAPPER w;
        CREATE SERVER "o'brien" FOREIGN DATA WRAPPER w OPTIONS (host '{SECRET}');
        CREATE USER MAPPING FOR postgres SERVER "o'brien" OPTIONS (password '{SECRET}');
        CREATE TABLE "o'brien" (x text DEFAULT '{SECRET}' CHECK (x <> '{SECRET}'));
        CREATE VIEW v AS SELECT '{SECRET}' AS x;
        CREATE FUNCTION f(x text DEFAULT E'it''s \\\\{SECRET}') RETURNS text LANGUAGE sql
            AS $$ SELECT 'it''s {SECRET}' $$;
    """
    messages = dumped.restored(dumped.archive(statements), statements)
    entries = " ".join(message.entry for message in messages)
    for kind in ("SERVER", "USER MAPPING", "TABLE", "VIEW", "FUNCTION"):
        assert kind in entries
    assert SECRET not in repr(messages)


def test_no_row_that_breaks_an_index_or_a_refresh_is_told(dumped: Dumped) -> None:
    statements = """
        CREATE FUNCTION public.as_number(x text) RETURNS int LANGUAGE plpgsql IMMUTABLE
            AS $$ BEGIN RETURN x::int; END $$;
        CREATE TABLE users (id text);
        CREATE INDEX numbers ON users (public.as_number(id));
        CREATE MATERIALIZED VIEW sums AS SELECT public.as_number(id) FROM users;
    """
    archive = dumped.archive(statements, "--section=pre-data", "--section=post-data")
    refreshed = f"CREATE TABLE users (id text); INSERT INTO users VALUES ('{SECRET}')"
    messages = dumped.restored(archive, refreshed)
    assert any("INDEX numbers" in message.entry for message in messages)
    assert [message.entry.split(" public")[0] for message in messages if message.hint] == [
        "INDEX numbers postgres",
        "MATERIALIZED VIEW DATA sums postgres",
    ]
    assert SECRET not in repr(messages)


def test_the_schema_public_of_a_new_database_is_harmless(dumped: Dumped) -> None:
    archive = dumped.archive("CREATE TABLE users (id int)", "--schema=public")
    (message,) = dumped.restored(archive, "SELECT 1")
    assert harmless_name(message, 17) == "the schema public of a new database"
