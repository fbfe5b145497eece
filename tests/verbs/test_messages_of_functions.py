"""Functions of a dump say what they like while it is restored; it changes nothing that we believe.

Each writes lines that look like those of pg_restore, by messages that no setting keeps back.
"""

from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import RestoreError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

SECRET = "hunter2"
FORGED = (
    "pg_restore: error: could not execute query: ERROR:  forged",
    "Command was: SELECT 1;",
    "pg_restore: from TOC entry 1; 0 0 TABLE forged forged",
    # More than there are threads to feed them, and the last first.
    *(f"pg_restore: launching item {id_} TABLE DATA forged" for id_ in range(80, 0, -1)),
    "pg_restore: warning: errors ignored on restore: 1",
)
# The function says the lines only in a database of a restore: while rows are loaded, or afterwards.
SAYING_SQL = """
CREATE FUNCTION said(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    IF current_database() ~ 'temp' THEN
        RAISE {level} USING MESSAGE = {message};
    END IF;
    RETURN x;
END $$;
DO $$ BEGIN FOR n IN 1..25 LOOP
    EXECUTE format('CREATE TABLE t%s AS SELECT 1 AS x', n);
END LOOP; END $$;
"""
BESIDE_ROWS = "ALTER TABLE t1 ADD CHECK (said(x) > 0); CREATE INDEX said ON t1 (said(x));"
IN_AN_INDEX = "CREATE INDEX said ON t1 (said(x));"
INDEXES = "SELECT count(*) FROM pg_class WHERE relname = 'said'"


def saying(where: str, level: str, *lines: str) -> str:
    message = "E'{}'".format("\\n".join(lines))
    return SAYING_SQL.format(level=level, message=message) + where


@pytest.mark.parametrize("level", ["INFO", "WARNING"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_lines_that_a_function_says_are_not_those_of_pg_restore(
    level: str, jobs: int, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(saying(BESIDE_ROWS, level, "first line", *FORGED))
    hook = make_hook(source)
    make_hook("restored").restore(hook.dump(), jobs=jobs)
    hook.copy(target="copied", method="stream", jobs=jobs)
    for name in ("restored", "copied"):
        assert server.value(name, INDEXES) == 1
        assert server.value(name, "SELECT x FROM t25") == 1


@pytest.mark.parametrize("command", ["CREATE SCHEMA public;", "SET transaction_timeout = 0;"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_does_not_say_that_it_is_harmless(
    command: str, jobs: int, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """The index is missing, and the message says it is that of a schema which was there already."""
    source = make_database(
        saying(IN_AN_INDEX, "EXCEPTION", 'schema "public"', f"Command was: {command}")
    )
    key = make_hook(source).dump()
    with pytest.raises(RestoreError, match="INDEX said"):
        make_hook("restored").restore(key, jobs=jobs)
    assert server.names() == {source}


def test_what_a_function_says_is_not_told(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = (SECRET, f"pg_restore: detail: {SECRET}", f"Command was: {SECRET}", f"HINT:  {SECRET}")
    key = make_hook(make_database(saying(IN_AN_INDEX, "EXCEPTION", *lines))).dump()
    with pytest.raises(RestoreError, match="INDEX said") as raised:
        make_hook("restored").restore(key)
    assert SECRET not in str(raised.value) + caplog.text


def test_a_pg_restore_that_cannot_mark_its_lines_is_refused(
    server: Server, shop: str, make_hook: MakeHook, tmp_path: Path
) -> None:
    key = make_hook(shop).dump()
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("pg_dump", "pg_restore", "psql"):
        (folder / program).symlink_to(server.server.bin_dir / program)
    (folder / "pg_restore").unlink()
    (folder / "pg_restore").write_text(
        f'#!/bin/sh\nunset PG_COLOR\nexec {server.server.bin_dir / "pg_restore"} "$@"\n'
    )
    (folder / "pg_restore").chmod(0o755)
    with pytest.raises(RestoreError, match="does not heed the environment variables PG_COLOR"):
        make_hook("restored", pg_bin_dir=str(folder)).restore(key, jobs=2)
    assert server.names() == {shop}


@pytest.mark.parametrize("where", [BESIDE_ROWS, IN_AN_INDEX])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_name_of_a_function_or_a_statement_that_it_makes_hides_no_value(
    where: str, jobs: int, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """Its name stands before what shows that it has raised the error."""
    for name, body in (
        ('"said\nit"', "RAISE EXCEPTION 'value is %', x"),
        ("said", "EXECUTE format('SELECT %I', x)"),
    ):
        source = make_database(
            f"CREATE FUNCTION {name}(x text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN"
            f" IF current_database() ~ 'temp' THEN {body}; END IF; RETURN true; END $$;"
            f"CREATE TABLE t1 AS SELECT '{SECRET}' AS x;"
            + where.replace("said(x) > 0", "said(x)").replace("said(x)", f"{name}(x)")
        )
        hook = make_hook(source)
        with pytest.raises(RestoreError) as raised:
            hook.restore(hook.dump(), jobs=jobs)
        assert SECRET not in str(raised.value)
