"""Dumps that do not have the whole database: a prune counts them alone, and restores say so."""

import logging
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from example_dags.services import PostgresServer
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

AUDITED = """
CREATE TABLE users AS SELECT 1 AS id;
CREATE TABLE events AS SELECT 1 AS id;
CREATE SCHEMA audit;
CREATE TABLE audit.log AS SELECT 1 AS id;
"""


@pytest.fixture
def audited(make_database: MakeDatabase) -> str:
    """A database with a schema that is also dumped alone."""
    return make_database(AUDITED)


def test_a_prune_and_a_prefix_do_not_take_a_part_for_the_whole(
    audited: str, make_hook: MakeHook
) -> None:
    hook = make_hook(audited)
    whole = hook.dump(instance="prod")
    masked = hook.dump(instance="prod", masks={"users": {"id": "null"}})
    parts = [hook.dump(instance="prod", schemas=["audit"]) for _ in range(2)]

    pruned = hook.prune(f"prod/{audited}", keep_last=1, temp_databases=False)
    assert pruned.deleted == (parts[0],)
    assert hook.restore(f"prod/{audited}/none") == whole
    assert hook.restore(masked.rpartition("/")[0]) == masked


def test_a_restore_says_what_its_dump_has_left_out(
    server: Server, audited: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    hook = make_hook(audited)
    whole = hook.dump()
    part = hook.dump(schemas=["public"], exclude=["events"], rows={"public.users": "id > 1"})
    caplog.set_level(logging.INFO)
    hook.restore(whole)
    assert "may not have all" not in caplog.text
    hook.restore(part)
    assert (
        f"{part} may not have all of database {audited!r}: it was made with exclude=['events'] and "
        "schemas=['public'] and conditions on the rows of public.users"
    ) in caplog.messages


@pytest.mark.parametrize(
    "argument", ["--schema-only", "--section=pre-data", "--exclude-table-data=*.*"]
)
def test_a_dump_without_rows_is_restored_only_by_its_whole_key(
    argument: str, server: Server, audited: str, make_hook: MakeHook
) -> None:
    hook = make_hook(audited)
    key = hook.dump(instance="prod", pg_dump_args=[argument])
    for prefix in ("prod", f"prod/{audited}", key.rpartition("/")[0], key.removesuffix(".dump")):
        with pytest.raises(UnsupportedError, match="has no rows of any table") as caught:
            hook.restore(prefix)
    assert key in str(caught.value)
    assert argument in str(caught.value)
    assert str(caught.value).endswith(f"such as prod/{audited}/none.")
    assert server.value(audited, "SELECT count(*) FROM users") == 1
    assert hook.verify(f"prod/{audited}", level="restore") == key
    assert hook.restore(key) == key
    assert server.value(audited, "SELECT count(*) FROM users") == 0


def test_a_stock_dump_without_rows_is_restored_only_by_its_whole_key(
    postgres: PostgresServer, audited: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = "stock/audited/none/2026-11-20-02-00-00-000000.dump"
    (local_storage / key).parent.mkdir(parents=True)
    subprocess.run(
        [
            *(postgres.bin_dir / "pg_dump", "--format=custom", "--schema-only"),
            *(f"--file={local_storage / key}", postgres.uri(audited)),
        ],
        check=True,
    )
    with pytest.raises(
        UnsupportedError,
        match=rf"{key} is the newest .* no rows of any table\..* the key of another\.",
    ):
        make_hook(audited).restore("stock")
    assert make_hook(audited).restore(key) == key


@pytest.mark.parametrize(
    "statements",
    [
        "SELECT",
        "CREATE VIEW one AS SELECT 1 AS id",
        "CREATE TABLE empty (id int)",
        "CREATE TABLE parted (id int) PARTITION BY LIST (id)",
    ],
)
def test_a_database_that_has_no_rows_is_restored_by_a_prefix(
    statements: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    hook = make_hook(make_database(statements))
    key = hook.dump(instance="prod", pg_dump_args=["--no-comments"])
    assert hook.restore("prod") == key


@pytest.mark.parametrize(
    "selection",
    [
        {"schemas": ["audit"], "exclude_schemas": ["audit"]},
        {"exclude_schemas": ["*"]},
        {"pg_dump_args": ["--exclude-table=*.*"]},
    ],
)
def test_a_selection_that_leaves_nothing_is_refused(
    selection: dict[str, Any], server: Server, audited: str, make_hook: MakeHook
) -> None:
    hook = make_hook(audited)
    given = " and ".join(f"{name}={value}" for name, value in selection.items())
    told = re.escape(f"nothing of database {audited!r} is left by {given}, although it has tables")
    with pytest.raises(InvalidInputError, match=told):
        hook.dump(**selection)
    if "pg_dump_args" not in selection:  # which a copy does not have
        with pytest.raises(InvalidInputError, match=told):
            hook.copy(target="copied", method="stream", **selection)
    assert hook.ls() == []
    assert server.names() == {audited}


@pytest.mark.parametrize(
    ("statements", "selection"),
    [
        ("CREATE SCHEMA empty", {"exclude_schemas": ["empty"]}),
        (
            "CREATE TABLE t AS SELECT 1 AS id; CREATE SCHEMA api; "
            "CREATE FUNCTION api.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            {"schemas": ["api"]},
        ),
    ],
)
def test_a_selection_may_leave_no_table(
    statements: str,
    selection: dict[str, Any],
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
) -> None:
    hook = make_hook(make_database(statements))
    key = hook.dump(instance="prod", **selection)
    with pytest.raises(UnsupportedError, match="has no rows of any table, since it was made with"):
        hook.restore("prod")
    assert hook.restore(key) == key


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": ["users"], "schemas": ["public"], "rows": {"public.events": "id > 1"}},
        {"pg_dump_args": ["--exclude-table-data=*.users", "--table=users", "--table=empty"]},
    ],
)
def test_a_dump_whose_rows_are_all_left_out_is_restored_only_by_its_whole_key(
    options: dict[str, Any], server: Server, audited: str, make_hook: MakeHook
) -> None:
    server.run(audited, "CREATE TABLE empty (id int)")
    hook = make_hook(audited)
    key = hook.dump(instance="prod", **options)
    with pytest.raises(UnsupportedError, match="has no rows of any table, since it was made with"):
        hook.restore("prod")
    with pytest.raises(UnsupportedError, match="has no rows of any table"):
        hook.choices("prod").check(f"prod/{audited}")
    assert hook.choices("prod").check(key) == key
    assert server.value(audited, "SELECT count(*) FROM users") == 1
    assert hook.restore(key) == key
