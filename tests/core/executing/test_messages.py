"""Made-up messages of pg_restore: how they are read, and what of them may be logged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.executing.messages import (
    RestoreMessage,
    RestoreMessages,
    harmless_name,
)
from airflow_provider_pgclone.core.executing.own_lines import OwnLines

SECRET = "hunter2"
# Begins a line that looks like one of pg_restore, and is not.
FORGED = "FORGED"


class Read:
    """What is read of the stderr of a pg_restore that marks its lines."""

    def __init__(self, stderr: str) -> None:
        own_lines = OwnLines()
        self.errors: list[RestoreMessage] = []
        self.messages = RestoreMessages(own_lines, self.errors.append)
        prefix = f"{own_lines.mark}pg_restore: \x1b[0m"
        for line in stderr.strip("\n").split("\n"):
            marked = line.replace("pg_restore: ", prefix)
            self.messages.feed(marked.replace(FORGED, "pg_restore: "))
        self.messages.close()


def read(stderr: str) -> list[RestoreMessage]:
    return Read(stderr).errors


def error(server: str, command: str = "") -> str:
    tail = f"\nCommand was: {command}\n" if command else ""
    return f"pg_restore: error: could not execute query: {server}{tail}"


ALREADY_THERE = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 215; 1259 16386 TABLE users postgres
pg_restore: error: could not execute query: ERROR:  relation "users" already exists
Command was: CREATE TABLE public.users (
    id integer NOT NULL
);


pg_restore: error: could not execute query: ERROR:  role "alice" does not exist
Command was: ALTER TABLE public.users OWNER TO alice;


pg_restore: from TOC entry 3300; 0 16386 TABLE DATA users postgres
pg_restore: error: COPY failed for table "users": ERROR:  invalid input syntax for type integer: "x"
CONTEXT:  COPY users, line 7, column id: "x"
pg_restore: warning: errors ignored on restore: 3
"""


def test_each_error_has_its_entry_its_text_and_its_command() -> None:
    assert [str(message) for message in read(ALREADY_THERE)] == [
        'TABLE users postgres: ERROR:  relation "users" already exists'.replace(
            "ERROR", "could not execute query: ERROR"
        )
        + " [CREATE TABLE public.users (]",
        'TABLE users postgres: could not execute query: ERROR:  role "alice" does not exist'
        " [ALTER TABLE public.users OWNER TO alice;]",
        'TABLE DATA users postgres: COPY failed for table "users": '
        "ERROR:  …; COPY users, line 7, column id",
    ]


def test_the_number_of_ignored_errors_is_read() -> None:
    assert Read(ALREADY_THERE).messages.ignored_count == 3


def test_an_error_outside_of_entries_has_no_entry() -> None:
    stderr = ALREADY_THERE + "pg_restore: while FINALIZING:\npg_restore: error: it broke off\n"
    assert read(stderr)[-1] == RestoreMessage("it broke off")


def test_warnings_and_other_lines_are_no_errors() -> None:
    assert read("pg_restore: warning: restoring tables WITH OIDS\nhello\npg_restore: done") == []


def test_the_hint_of_the_server_is_kept() -> None:
    (message,) = read(
        error('ERROR:  extension "postgis" is not available\nHINT:  It must be installed first.')
    )
    assert message.text.endswith("is not available; HINT:  It must be installed first.")


TRANSACTION_TIMEOUT = error(
    'ERROR:  unrecognized configuration parameter "transaction_timeout"',
    "SET transaction_timeout = 0;",
)


@pytest.mark.parametrize(("server", "is_harmless"), [(14, True), (16, True), (17, False)])
def test_a_setting_that_an_older_server_does_not_know_is_harmless_there(
    server: int, is_harmless: bool
) -> None:
    (message,) = read(f"pg_restore: while INITIALIZING:\n{TRANSACTION_TIMEOUT}")
    assert (harmless_name(message, server) is not None) is is_harmless


def test_an_error_that_changes_nothing_is_harmless() -> None:
    (message,) = read(error('ERROR:  schema "public" already exists', "CREATE SCHEMA public;"))
    assert harmless_name(message, 17)


@pytest.mark.parametrize(
    "said",
    [
        "FEHLER:  Schema »public« existiert bereits",
        "ERREUR:  le schéma « public » existe déjà",
        "ERROR:  el esquema «public» ya existe",
        'エラー:  スキーマ"public"はすでに存在します',
        '错误:  模式 "public" 已存在',
    ],
)
def test_a_harmless_error_is_so_in_every_language(said: str) -> None:
    """The words are those of PostgreSQL's translations."""
    (message,) = read(error(said, "CREATE SCHEMA public;"))
    assert harmless_name(message, 17)


def test_another_error_in_another_language_is_not_harmless() -> None:
    said = "FEHLER:  keine Berechtigung für Datenbank x"
    (message,) = read(error(said, "CREATE SCHEMA public;"))
    assert harmless_name(message, 17) is None


def test_what_an_extension_raises_while_it_is_created_is_told() -> None:
    """There is no row yet that it could tell."""
    raised = (
        "ERROR:  extension needs a newer server\nHINT:  Update it first.\n"
        "CONTEXT:  PL/pgSQL function inline_code_block line 3 at RAISE"
    )
    command = "CREATE EXTENSION IF NOT EXISTS hungry WITH SCHEMA public;"
    (message,) = read(error(raised, command))
    assert message.text == (
        "could not execute query: ERROR:  extension needs a newer server; HINT:  Update it first."
    )
    (message,) = read(error(raised, "CREATE INDEX i ON t (f(x));"))
    assert "newer" not in message.text


@pytest.mark.parametrize(
    "stderr",
    [
        *(error('ERROR:  schema "sales" already exists', "CREATE SCHEMA sales;"),),
        *(error("ERROR:  permission denied for database x", "CREATE SCHEMA public;"),),
        *(error("ERROR:  must be owner of extension x", "ALTER EXTENSION x ADD TABLE t;"),),
        *(error('ERROR:  extension "x" does not exist', "COMMENT ON EXTENSION x IS '';"),),
        *(error('ERROR:  relation "users" already exists', "CREATE TABLE users ();"),),
        *(error('ERROR:  unrecognized configuration parameter "x"', "SET x = 0;"),),
        *(error("ERROR:  canceling statement", "SELECT 'SET transaction_timeout = 0;';"),),
        *(error("server closed the connection unexpectedly", "SELECT 1;"),),
        'pg_restore: error: COPY failed for table "users": ERROR:  duplicate key value',
        "pg_restore: error: could not read from input file: end of file",
        "pg_restore: error: unrecognized data block type (0) while searching archive",
    ],
)
def test_everything_else_is_fatal(stderr: str) -> None:
    (message,) = read(stderr)
    assert harmless_name(message, 14) is None


def copy_error(said: str, *more: str) -> str:
    return "\n".join([f'pg_restore: error: COPY failed for table "users": {said}', *more])


INFO = "pg_restore: INFO:  first line"


@pytest.mark.parametrize(
    "forged",
    [
        "error: boom",
        "warning: errors ignored on restore: 3",
        "\x1b[0merror: boom",
        f"\x1b[01m{FORGED}\x1b[0merror: boom",
    ],
)
def test_lines_of_the_server_are_not_those_of_pg_restore(forged: str) -> None:
    found = Read(f"{INFO}\n{FORGED}{forged}\n{error('ERROR:  bad', 'SELECT 1;')}")
    assert [message.text for message in found.errors] == ["could not execute query: ERROR:  bad"]
    assert found.messages.ignored_count == 0


@pytest.mark.parametrize("forged", ["from TOC entry 3; 0 0 TABLE b me", "while FINALIZING:"])
def test_the_server_does_not_tell_of_which_entry_an_error_is(forged: str) -> None:
    stderr = f"pg_restore: from TOC entry 2; 0 0 TABLE a me\n{INFO}\n{FORGED}{forged}\n"
    (message,) = read(stderr + error("ERROR:  bad"))
    assert message.entry == "TABLE a me"


@pytest.mark.parametrize("forged", ["detail: ", "hint: ", "error: "])
def test_lines_of_the_server_are_not_told_as_those_of_pg_restore(forged: str) -> None:
    (message,) = read(error(f"ERROR:  bad\n{FORGED}{forged}{SECRET}", "SELECT 1;"))
    assert message.text == "could not execute query: ERROR:  bad"


@pytest.mark.parametrize(
    "stderr",
    [
        error('ERROR:  "public"\nCommand was: CREATE SCHEMA public;', "CREATE INDEX i ON t (x);"),
        error('ERROR:  "public"', "CREATE SCHEMA public;\nCREATE TABLE t ();"),
        error('ERROR:  "public"', "CREATE SCHEMA public;\nCommand was: CREATE SCHEMA public;"),
        error("ERROR:  x\nCommand was: SET transaction_timeout = 0;", "CREATE TABLE t ();"),
        'pg_restore: error: COPY failed for table "t": ERROR:  "public"\n'
        "Command was: CREATE SCHEMA public;",
    ],
)
def test_no_text_of_an_error_makes_it_harmless(stderr: str) -> None:
    message, *_ = read(stderr)
    assert harmless_name(message, 14) is None


@pytest.mark.parametrize(
    "stderr",
    [
        error(f"ERROR:  bad\nCommand was: {SECRET}", "CREATE TABLE t ();"),
        error("ERROR:  bad", f"COMMENT ON TABLE t IS 'a\nCommand was: {SECRET}';"),
        f'pg_restore: error: COPY failed for table "t": ERROR:  {SECRET}\nCommand was: x\n'
        "CONTEXT:  PL/pgSQL function f() line 1 at RAISE",
    ],
)
def test_no_line_that_looks_like_a_command_is_told(stderr: str) -> None:
    (message,) = read(stderr)
    assert message.command == ""
    assert SECRET not in repr(message)


def test_a_pg_restore_that_does_not_mark_its_lines_is_not_read() -> None:
    (message,) = read(f"{FORGED}connecting to database for restore\n{FORGED}error: {SECRET}")
    assert "PG_COLORS" in message.text


LEAKS = [
    copy_error(f'ERROR:  invalid input syntax for type integer: "{SECRET}"'),
    copy_error('ERROR:  invalid input syntax for type integer: "a', f'"{SECRET}"'),
    copy_error(f'ERROR:  value "{SECRET}" is out of range for type integer'),
    copy_error(f'ERROR:  value "a "column "{SECRET}"" is out of range for type integer'),
    copy_error(f'ERROR:  time zone "{SECRET}" not recognized'),
    copy_error(f'ERROR:  syntax error at or near "{SECRET}" of jsonpath input'),
    copy_error(f"FEHLER:  ungültige Eingabesyntax für Typ integer: »{SECRET}«"),
    copy_error(f"ERREUR:  syntaxe en entrée invalide pour le type : « {SECRET} »"),
    # In Spanish an error is called as in English.
    copy_error(f"ERROR:  la sintaxis de entrada no es válida para tipo integer: «{SECRET}»"),
    copy_error(f'ERROR:  relation "{SECRET}" does not exist', 'CONTEXT:  COPY users, line 1: "x"'),
    copy_error(
        f"ERROR:  improper relation name (too many dotted names): {SECRET}.a.b.c",
        'CONTEXT:  COPY users, line 1: "x"',
    ),
    copy_error("ERROR:  duplicate key", f"DETAIL:  Key (email)=({SECRET}) already exists."),
    copy_error("ERROR:  x", f'CONTEXT:  COPY users, line 1: "1	{SECRET}"'),
    copy_error("ERROR:  x", f"CONTEXT:  JSON data, line 1: {SECRET}", 'COPY users, line 1: "x"'),
    copy_error("ERROR:  x", f"KONTEXT:  COPY users, Zeile 1, Spalte id: »{SECRET}«"),
    copy_error("ERROR:  x", 'CONTEXT:  COPY users, line 1, column id: "a', f"HINT: {SECRET}"),
    copy_error(
        "ERROR:  parse error - invalid geometry",
        f'HINT:  "{SECRET}" <-- parse error at position 9',
        'CONTEXT:  COPY places, line 1, column at: "x"',
    ),
    copy_error(
        f"ERROR:  bad address {SECRET}",
        "CONTEXT:  PL/pgSQL function check_address(text) line 3 at RAISE",
        'COPY users, line 1, column address: "x"',
    ),
    copy_error(
        f"FEHLER:  bad address {SECRET}",
        "KONTEXT:  PL/pgSQL-Funktion check_address(text) Zeile 3 bei RAISE",
    ),
    copy_error(
        f"ERROR:  ValueError: {SECRET}", "CONTEXT:  Traceback (most recent call last):", "x"
    ),
    error(f"ERROR:  bad\nLINE 1: SELECT '{SECRET}'\n               ^", "SELECT 1;"),
    error(f"ERROR:  bad\nQUERY:  SELECT '{SECRET}'\nCONTEXT:  SQL function \"f\"", "SELECT 1;"),
    error(f'ERROR:  parse error\nHINT:  "{SECRET}" <-- here', "CREATE INDEX i ON t (f(x));"),
    error("ERROR:  bad", f"INSERT INTO public.users VALUES (1, {SECRET});"),
    error("ERROR:  bad", f"INSERT INTO public.users (id)\nVALUES\n (1),\n ({SECRET});"),
    error("ERROR:  bad", f"COMMENT ON TABLE t IS 'it''s {SECRET}';"),
    error("ERROR:  bad", f"COMMENT ON TABLE t IS 'line\n{SECRET}';"),
    error("ERROR:  bad", f"COMMENT ON TABLE public.\"o'brien\" IS '{SECRET}';"),
    error("ERROR:  bad", f"COMMENT ON TABLE t IS E'it\\'s {SECRET}';"),
    error("ERROR:  bad", f"COMMENT ON TABLE t IS 'never closed {SECRET}"),
    error("ERROR:  bad", f"-- it's\nCOMMENT ON TABLE t IS '{SECRET}';"),
    error("ERROR:  bad", f"/* it's */ COMMENT ON TABLE t IS '{SECRET}';"),
    error("ERROR:  bad", f"CREATE FUNCTION f() RETURNS text AS $_$ it's {SECRET} $_$;"),
    error("ERROR:  bad", f"DO $$ it's $$; SELECT '{SECRET}';"),
    error(
        "ERROR:  bad",
        f"CREATE USER MAPPING FOR a SERVER s OPTIONS (password '{SECRET}', \"user\" 'a');",
    ),
    error(
        "ERROR:  bad",
        f"CREATE USER MAPPING FOR a SERVER s OPTIONS (\n    password '{SECRET}'\n);",
    ),
    error(
        "ERROR:  bad", f"CREATE SUBSCRIPTION s CONNECTION 'host=a password={SECRET}' PUBLICATION p;"
    ),
    f"pg_restore: error: query failed: ERROR:  bad\npg_restore: detail: Query was: '{SECRET}'",
]


@pytest.mark.parametrize("stderr", LEAKS)
def test_no_value_and_no_password_is_told(stderr: str) -> None:
    (message,) = read(stderr)
    assert SECRET in stderr
    assert SECRET not in repr(message)


def test_bytes_are_not_told() -> None:
    (message,) = read(error('ERROR:  invalid byte sequence for encoding "UTF8": 0xe9 0x6c'))
    assert message.text.endswith('invalid byte sequence for encoding "UTF8": …')


words = st.text(st.sampled_from("ab \"'$\\\n;-"), max_size=20)


@given(words, words)
def test_no_literal_of_a_command_is_told_whatever_stands_around_it(name: str, value: str) -> None:
    quoted_name = '"' + name.replace('"', '""') + '"'
    quoted_value = "'" + value.replace("'", "''") + SECRET + "'"
    command = f"COMMENT ON TABLE {quoted_name} IS {quoted_value};"
    (message,) = read(error("ERROR:  bad", command))
    assert SECRET not in message.command


@given(words)
def test_no_quoted_value_of_an_error_is_told_whatever_stands_around_it(value: str) -> None:
    said = f'ERROR:  invalid input syntax for type integer: "{value}{SECRET}"'
    (message,) = read(copy_error(said))
    assert SECRET not in message.text


@pytest.mark.parametrize(
    "said",
    [
        'ERROR:  relation "users" already exists',
        'ERROR:  null value in column "email" of relation "users" violates not-null constraint',
        'ERROR:  duplicate key value violates unique constraint "users_pkey"',
        'ERROR:  operator class "gin_trgm_ops" does not exist for access method "gin"',
        'ERROR:  could not access file "$libdir/postgis-3": No such file or directory',
        "ERROR:  function public.slug(text) does not exist",
    ],
)
def test_the_names_of_objects_are_told(said: str) -> None:
    (message,) = read(error(said))
    assert message.text == f"could not execute query: {said}"


def test_a_refused_connection_is_told_whole() -> None:
    said = 'connection to server at "db", port 5432 failed: FATAL:  role "bob" does not exist'
    (message,) = read(f"pg_restore: error: {said}")
    assert message.text == said


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("S" * 200, "S" * 200),
        ("S" * 201, "S" * 200 + "…"),
        ("S" * 150 + "\n" + "S" * 150, "S" * 150),
    ],
)
def test_of_a_command_the_start_of_its_first_line_is_shown(command: str, shown: str) -> None:
    (message,) = read(error("ERROR:  bad", command))
    assert message.command == shown


@pytest.mark.parametrize(
    ("entry", "command", "shown"),
    [
        ("", "", "bad"),
        ("TABLE t", "", "TABLE t: bad"),
        ("", "SELECT 1;", "bad [SELECT 1;]"),
    ],
)
def test_an_error_is_shown_with_what_is_known_of_it(entry: str, command: str, shown: str) -> None:
    assert str(RestoreMessage("bad", command, entry)) == shown


@pytest.mark.parametrize(
    ("severity", "shown"),
    [("hint", "; HINT:  Ask public."), ("detail", ""), ("warning", "")],
)
def test_a_hint_of_pg_restore_belongs_to_the_error_before_it(severity: str, shown: str) -> None:
    (message,) = read(f"pg_restore: error: bad\npg_restore: {severity}: Ask public.")
    assert message.text == f"bad{shown}"


def test_a_detail_does_not_end_the_error_that_it_belongs_to() -> None:
    (message,) = read(
        "pg_restore: error: query failed: ERROR:  bad\n"
        "pg_restore: detail: Query was: SELECT 1\n"
        "HINT:  Ask."
    )
    assert message.text == "query failed: ERROR:  bad; HINT:  Ask."


def test_what_was_said_before_pg_restore_started_is_kept() -> None:
    found = Read("ld.so: no libpq,\n nor libz \npg_restore: warning: hello\nand more")
    assert found.messages.before_start == "ld.so: no libpq,  nor libz"
    assert Read("pg_restore: hello").messages.before_start == ""
    assert found.messages.ignored_count == 0


def test_the_first_error_may_come_before_any_entry() -> None:
    assert read("pg_restore: error: bad") == [RestoreMessage("bad")]
    assert read("pg_restore: hint: Ask.") == []
