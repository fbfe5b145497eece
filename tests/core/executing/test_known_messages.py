"""What is told of an error that comes while rows are read: nothing that may be a value of one."""

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace

import psycopg
import pytest

from airflow_provider_pgclone.core.archive.toc import TocEntry, statement_entry
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.executing.known_messages import (
    HINT_OF_WITHHELD,
    is_known,
    withheld,
)
from airflow_provider_pgclone.core.executing.sinks import BlockSink
from airflow_provider_pgclone.core.executing.statements import Sessions, execute_entries
from tests.core.executing.test_messages import read
from tests.core.executing.test_statements import data_of, work_of
from tests.support.fixtures.databases import MakeDatabase, Server

SECRET = "hunter2"
NUMBER = "123456789"

# As servers say them in English, German, Swedish and Italian.
SAID = [
    f"ERROR:  date field value out of range: {NUMBER}-77-01",
    f"ERROR:  time field value out of range: {NUMBER}:00:0",
    f"ERROR:  requested character too large for encoding: {NUMBER}",
    f"ERROR:  index {NUMBER} out of valid range, 0..7",
    f"ERROR:  cross-database references are not implemented: jo.{SECRET}@mail.org",
    f'ERROR:  unrecognized configuration parameter "{SECRET}"',
    f'ERROR:  role "{SECRET}" does not exist',
    f'ERROR:  relation "{SECRET}" does not exist',
    f"FEHLER:  Operator existiert nicht: {SECRET}",
    f"FEHLER:  falscher Relationsname (zu viele Namensteile): jo.{SECRET}.mail.org",
    f"FEHLER:  Large Object {NUMBER} existiert nicht",
    f"FEL:  operator finns inte: {SECRET}",
    f'ERRORE:  lo schema "{SECRET}" non esiste',
]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("TABLE DATA users", 'COPY failed for table "users": {}'),
        ("TABLE DATA users", "error returned by PQputCopyEnd: {}"),
        ("TABLE DATA users", "could not execute query: {}\nCommand was: INSERT INTO users VALUES"),
        (
            "MATERIALIZED VIEW DATA sums",
            "could not execute query: {}\nCommand was: REFRESH MATERIALIZED VIEW public.sums;",
        ),
        ("INDEX i", "could not execute query: {}\nCommand was: CREATE INDEX i ON t (f(x));"),
        ("CONSTRAINT t c", "could not execute query: {}\nCommand was: ALTER TABLE t"),
        ("BLOBS BLOBS", "could not create large object 7: {}"),
    ],
)
def test_nothing_that_pg_restore_repeats_while_rows_are_read_is_told(
    entry: str, error: str, said: str
) -> None:
    stderr = f"pg_restore: from TOC entry 7; 0 0 {entry} me\npg_restore: error: "
    (message,) = read(stderr + error.format(said))
    assert message.entry == f"{entry} me"
    assert "…" in message.text
    assert message.hint == HINT_OF_WITHHELD
    assert SECRET not in repr(message)
    assert NUMBER not in repr(message)


def of_rows(*lines: str, entry: str = "MATERIALIZED VIEW DATA sums") -> str:
    stderr = f"pg_restore: from TOC entry 7; 0 0 {entry} me\npg_restore: error: "
    (message,) = read(stderr + "could not execute query: " + "\n".join(lines))
    assert (message.hint is None) == ("…" not in message.text)
    return message.text.removeprefix("could not execute query: ")


@pytest.mark.parametrize(
    "said",
    [
        'new row for relation "users" violates check constraint "users_check"',
        'null value in column "id" of relation "users" violates not-null constraint',
        'duplicate key value violates unique constraint "users_pkey"',
        'could not create unique index "users_pkey"',
        'insert or update on table "users" violates foreign key constraint "users_fkey"',
        "permission denied for table users",
        'could not extend file "base/16384/16397": No space left on device',
        'could not write to file "base/pgsql_tmp/pgsql_tmp91.0": No space left on device',
        'could not extend file "base/16384/16397": wrote only 4096 of 8192 bytes at block 17',
        'could not extend file "base/16384/16397" with FileFallocate(): No space left on device',
        'could not write to file "pg_wal/1" at offset 0, length 8192: No space left on device',
        'could not write block 17 in file "base/16384/16397": No space left on device',
        "could not write block 17 of temporary file: No space left on device",
        "out of memory",
        "canceling statement due to statement timeout",
    ],
)
def test_what_pg_restore_repeats_is_told_if_it_is_known_to_hold_names_alone(said: str) -> None:
    assert of_rows(f"ERROR:  {said}") == f"ERROR:  {said}"
    assert of_rows(f"ERROR:  {said} {SECRET}") == "ERROR:  …"
    raised = "CONTEXT:  PL/pgSQL function f(text) line 3 at RAISE"
    assert of_rows(f"ERROR:  {said}", raised) == "ERROR:  …"


def test_the_hint_of_a_known_message_is_told() -> None:
    said = 'ERROR:  could not extend file "base/1/2": No space left on device'
    assert of_rows(said, "HINT:  Check free disk space.").endswith(
        "; HINT:  Check free disk space."
    )
    assert of_rows(SAID[0], f"HINT:  {SECRET}") == "ERROR:  …"


def test_what_points_into_the_statement_of_an_index_is_told_and_not_into_that_of_a_row() -> None:
    said = ("ERROR:  type x.y does not exist", "LINE 1: ...", "        ^")
    assert of_rows(*said, entry="INDEX i") == said[0]
    assert of_rows(*said, "HINT:  Ask.", entry="INDEX i") == f"{said[0]}; HINT:  Ask."
    assert of_rows(*said, "QUERY:  SELECT x.y", entry="INDEX i") == "ERROR:  …"
    assert of_rows(*said[:2], entry="INDEX i") == "ERROR:  …"
    assert of_rows(*said, entry="TABLE DATA i") == "ERROR:  …"


def refused(server: Server, name: str, entry: TocEntry, *rows: bytes, has_hint: bool = True) -> str:
    """Return what is told of an entry that the server refuses, and check whether that is all."""

    def feed(dump_id: int, sink: BlockSink) -> None:
        with suppress(psycopg.Error):
            sink.write_rows(iter([*(row + b"\n" for row in rows), b"\\.\n\n\n"]))

    with (
        pytest.raises(RestoreError, match=r"^cannot restore ") as raised,
        Sessions(server.database(name), Cancellation()) as sessions,
        sessions.lend() as session,
    ):
        execute_entries(session, [entry], feed, work_of(entry), setup=[])
    assert (raised.value.hint == HINT_OF_WITHHELD) is has_hint
    return raised.value.message.partition(": ")[2]


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        ("make_date(v::int, 77, 1) IS NULL", NUMBER, "22008, DatetimeFieldOverflow"),
        ("chr(v::int) IS NULL", NUMBER, "54000, ProgramLimitExceeded"),
        (r"get_bit('\x00'::bytea, v::int) = 1", NUMBER, "2202E, ArraySubscriptError"),
        ("v::regproc IS NULL", f"jo.{SECRET}@mail.org", "0A000, FeatureNotSupported"),
        ("current_setting(v) IS NULL", SECRET, "42704, UndefinedObject"),
        ("v::regclass IS NULL", SECRET, "42P01, UndefinedTable"),
        ("v::regoper IS NULL", SECRET, "42883, UndefinedFunction"),
        ("has_schema_privilege(v, 'public', 'USAGE')", SECRET, "42704, UndefinedObject"),
        ("lo_get(v::oid) IS NULL", NUMBER, "42704, UndefinedObject"),
        ("query_to_xml(v, true, true, '') IS NULL", SECRET, "42601, SyntaxError"),
        ("v::date IS NULL", SECRET, "22007, InvalidDatetimeFormat"),
    ],
)
def test_no_value_that_a_check_computes_is_told(
    check: str, value: str, told: str, server: Server, make_database: MakeDatabase
) -> None:
    name = make_database(f"CREATE TABLE rows (v text CHECK ({check}))")
    said = refused(server, name, data_of("rows"), value.encode())
    assert said == f"ERROR:  … (SQLSTATE {told}); COPY rows, line 1"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("(v text CHECK (v = ''))", 'new row for relation "rows" violates check constraint'),
        ("(v text, n int NOT NULL)", 'null value in column "n" of relation "rows" violates not-'),
        ("(v text PRIMARY KEY)", 'duplicate key value violates unique constraint "rows_pkey"'),
        ("(v text, EXCLUDE (v WITH =))", "conflicting key value violates exclusion constraint"),
        ("(v d)", "value for domain public.d violates check constraint"),
        ("(v text) PARTITION BY LIST (v)", 'no partition of relation "rows" found for row'),
    ],
)
def test_the_name_of_a_constraint_that_a_row_breaks_is_told(
    table: str, told: str, server: Server, make_database: MakeDatabase
) -> None:
    name = make_database(f"CREATE DOMAIN d AS text CHECK (VALUE = ''); CREATE TABLE rows {table};")
    entry = data_of("rows")
    column = TocEntry(**{**vars(entry), "copy_statement": "COPY public.rows (v) FROM stdin;\n"})
    row = SECRET.encode()
    said = refused(server, name, column, row, row, has_hint=False)
    assert said.startswith(f"ERROR:  {told}")
    assert "; COPY rows, line " in said
    assert SECRET not in said


# Each is called by an index on a row, and what it says is not known to be without its value.
BODIES = [
    ("sql", "SELECT chr($1::int)", NUMBER),
    ("plpgsql", "BEGIN RETURN v::regclass; END", SECRET),
    ("plpgsql", "BEGIN RAISE 'no %', v; END", SECRET),
    ("plpgsql", "BEGIN RAISE 'no %', v USING ERRCODE = 'check_violation'; END", SECRET),
    ("plpgsql", "BEGIN RAISE 'no %', v USING ERRCODE = 'HUNT2', COLUMN = v; END", SECRET),
    ("plpgsql", "BEGIN ASSERT false, v; END", SECRET),
    ("plpgsql", "BEGIN EXECUTE format('SELECT %I', v); END", SECRET),
    ("plpgsql", "DECLARE x text; BEGIN FOR x IN EXECUTE v || ' x' LOOP END LOOP; END", SECRET),
    ("sql", "SELECT query_to_xml($1, true, true, '')::text", SECRET),
]


@pytest.mark.parametrize(("language", "body", "value"), BODIES)
def test_no_value_that_a_function_of_an_index_has_is_told(
    language: str, body: str, value: str, server: Server, make_database: MakeDatabase
) -> None:
    name = make_database(
        f"CREATE FUNCTION f(v text) RETURNS text IMMUTABLE LANGUAGE {language} AS $$ {body} $$;"
        f"CREATE TABLE rows AS SELECT '{value}' AS v"
    )
    index = statement_entry(8, "INDEX", "i", "CREATE INDEX i ON public.rows (public.f(v))")
    said = refused(server, name, index)
    assert said.startswith(("ERROR:  … (SQLSTATE ", "ERROR:  … (a SQLSTATE of its own)"))
    assert not any(part in said for part in (value, "HUNT2"))


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("CREATE UNIQUE INDEX i ON public.rows (v)", 'could not create unique index "i"'),
        ("CREATE INDEX i ON public.rows (missing(v))", "function missing(text) does not exist"),
        ("CREATE INDEX i ON public.rows (v gin_ops)", 'operator class "gin_ops" does not exist'),
        ("CREATE INDEX i ON public.rows (public.as_sql(v))", "function inner_f(text) does not ex"),
        ("CREATE INDEX i ON public.rows (public.as_pl(v))", "function inner_f(text) does not ex"),
        ("CREATE INDEX i ON public.rows (repeat(v, 999999))", "index row requires "),
        ("ALTER TABLE public.rows ADD CHECK (v = '')", 'check constraint "rows_v_check" of rel'),
        ("ALTER TABLE public.rows ADD COLUMN n int NOT NULL", 'column "n" of relation "rows" con'),
        (
            "ALTER TABLE public.rows ADD FOREIGN KEY (v) REFERENCES public.parents",
            'insert or update on table "rows" violates foreign key constraint "rows_v_fkey"',
        ),
    ],
)
def test_why_no_index_and_no_constraint_can_be_made_is_told(
    definition: str, told: str, server: Server, make_database: MakeDatabase
) -> None:
    """A function of the dump often finds another one by a search path that restores do not set."""
    name = make_database(f"""
        CREATE FUNCTION inner_f(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE FUNCTION as_sql(v text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT inner_f(v)';
        CREATE FUNCTION as_pl(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql
            AS 'BEGIN RETURN inner_f(v); END';
        CREATE TABLE parents (v text PRIMARY KEY);
        CREATE TABLE rows AS SELECT '{SECRET}' AS v FROM generate_series(1, 2);
    """)
    said = refused(server, name, statement_entry(8, "INDEX", "i", definition), has_hint=False)
    assert said.startswith(f"ERROR:  {told}")
    assert SECRET not in said


class _OfServer(psycopg.Error):
    """An error with what a server has sent."""

    def __init__(self, sqlstate: str, primary: str, source_file: str, **more: str) -> None:
        super().__init__(primary)
        self._said = SimpleNamespace(
            sqlstate=sqlstate,
            message_primary=primary,
            source_file=source_file,
            severity_nonlocalized="ERROR",
            **{f"{kind}_name": more.get(kind) for kind in _KINDS},
        )

    @property
    def diag(self) -> psycopg.errors.Diagnostic:
        return self._said  # type: ignore[return-value]


_KINDS: Sequence[str] = ("schema", "table", "column", "constraint", "datatype")


@pytest.mark.parametrize(
    ("sqlstate", "primary", "source_file", "is_told"),
    [
        ("23514", "neue Zeile für Relation »t« verletzt Check-Constraint »c«", "execMain.c", True),
        ("23514", f"kein Wert: {SECRET}", "pl_exec.c", False),
        ("42883", f"Operator existiert nicht: {SECRET}", "parse_oper.c", False),
        ("42P01", f"falscher Relationsname: jo.{SECRET}.mail.org", "namespace.c", False),
        ("42704", f"Large Object {NUMBER} existiert nicht", "inv_api.c", False),
        ("42501", f"keine Berechtigung, Parameter »{SECRET}« zu setzen", "guc.c", False),
        ("42501", "keine Berechtigung für Tabelle t", "aclchk.c", True),
        ("58P01", f"konnte Verzeichnis »{SECRET}« nicht öffnen", "fd.c", False),
        ("53100", "konnte Datei »base/1/2« nicht erweitern", "md.c", True),
    ],
)
def test_in_every_language_the_place_in_the_server_decides(
    sqlstate: str, primary: str, source_file: str, is_told: bool
) -> None:
    assert is_known(_OfServer(sqlstate, primary, source_file)) is is_told


def test_of_the_names_that_come_with_a_withheld_message_those_of_the_entry_are_told() -> None:
    error = _OfServer(
        *("23514", "bad", "pl_exec.c"),
        schema="public",
        table="rows",
        column="v",
        constraint=SECRET,
    )
    entry = TocEntry(
        **{**vars(data_of("rows")), "copy_statement": 'COPY public.rows (id, "v") FROM stdin;\n'}
    )
    assert withheld(error, entry) == (
        "ERROR:  … (SQLSTATE 23514, CheckViolation, schema public, table rows, column v)"
    )
