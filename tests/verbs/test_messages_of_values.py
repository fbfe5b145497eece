"""No error of a restore or a copy tells a value of a row, however it is loaded."""

from collections.abc import Callable
from functools import partial

import pytest

from airflow_provider_pgclone.core.errors import RestoreError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

SECRET = "hunter2"
NUMBER = "123456789"
# The check of the source holds, and is computed in a database of a restore.
CHECKED = "CREATE TABLE t (v text CHECK (current_database() = '{name}' OR {check}))"
CHECKS = [
    ("make_date(v::int, 77, 1) IS NULL", NUMBER),
    ("chr(v::int) IS NULL", NUMBER),
    ("current_setting(v) IS NULL", SECRET),
    ("v::regproc IS NULL", f"jo.{SECRET}@mail.org"),
]
# Nobody has refreshed it since the row came that it cannot take.
VIEWS = [
    ("make_date(v::int, 7, 1)", "1987", f"-{NUMBER}"),
    ("chr(v::int)", "65", NUMBER),
    ("v::regclass", "pg_class", SECRET),
    ("current_setting(v)", "work_mem", SECRET),
    ("has_schema_privilege(v, 'public', 'USAGE')", "postgres", SECRET),
]


@pytest.fixture(params=["restore by one job", "restore by two jobs", "copy"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def said(how: str, source: str, make_hook: MakeHook) -> str:
    """Return the error of loading a database."""
    hook, target = make_hook(source), make_hook("restored")
    load: Callable[[], object] = partial(hook.copy, target="copied", method="stream")
    if how != "copy":
        load = partial(target.restore, hook.dump(), jobs=1 if "one" in how else 2)
    with pytest.raises(RestoreError) as raised:
        load()
    return str(raised.value)


@pytest.mark.parametrize(("check", "value"), CHECKS)
def test_no_value_that_a_check_cannot_take_is_told(
    how: str,
    check: str,
    value: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
) -> None:
    source = make_database("SELECT 1")
    server.run(source, CHECKED.format(name=source, check=check))
    server.run(source, f"INSERT INTO t VALUES ('{value}')")
    told = said(how, source, make_hook)
    assert not any(secret in told for secret in (SECRET, NUMBER))
    assert "TABLE DATA t" in told
    assert "COPY t, line 1" in told
    assert "The log of the server has its whole message" in told


@pytest.mark.parametrize(("computed", "good", "bad"), VIEWS)
def test_no_value_that_a_materialized_view_cannot_take_is_told(
    how: str, computed: str, good: str, bad: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(
        f"CREATE TABLE t AS SELECT '{good}' AS v;"
        f"CREATE MATERIALIZED VIEW m AS SELECT {computed} AS v FROM public.t;"
        f"UPDATE t SET v = '{bad}'"
    )
    told = said(how, source, make_hook)
    assert not any(secret in told for secret in (SECRET, NUMBER))
    assert "MATERIALIZED VIEW DATA m" in told
    assert "[REFRESH MATERIALIZED VIEW public.m;]" in told
    assert "The log of the server has its whole message" in told
