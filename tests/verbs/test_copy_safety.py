"""What a copy must not do to its source, to its target, and to those who use them."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    PgCloneError,
)
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.reading import table_choice
from example_dags.services import postgres_server
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook


def test_a_copy_is_not_made_over_its_source_by_another_name_of_the_server(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.server.uri("").replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AIRFLOW_CONN_ALIAS", uri)
    with pytest.raises(InvalidInputError, match="cannot be copied over itself"):
        make_hook(shop).copy(target=shop, target_postgres_conn_id="alias", exclude=["orders"])
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000


def during_the_copy(call: Callable[[], object]) -> Callable[[Progress], None]:
    """Return a callback that does something once, when rows have been copied."""
    done: list[bool] = []

    def on_progress(progress: Progress) -> None:
        if not done:
            done.append(True)
            call()

    return on_progress


def test_a_database_that_appears_meanwhile_is_not_replaced(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    def appear() -> None:
        server.run("postgres", "CREATE DATABASE appeared")
        server.run("appeared", "CREATE TABLE precious ()")

    hook = make_hook(shop, progress_callback=during_the_copy(appear))
    with pytest.raises(InvalidInputError, match="'appeared' exists and may not be replaced"):
        hook.copy(target="appeared", method="stream", replace=False)
    assert server.value("appeared", "SELECT to_regclass('precious') IS NOT NULL")
    assert server.names() == {shop, "appeared"}


def test_a_copy_leaves_pre_and_post_of_its_target(
    server: Server, shop: str, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    target = make_database("CREATE TABLE users (id int)")
    make_hook(target).restore(make_hook(shop).dump(), reversible=True)
    make_hook(shop).copy(target=target, method="stream")
    assert server.names() == {shop, target, f"{target}__pre", f"{target}__post"}


def test_a_new_copy_has_the_rights_and_settings_of_its_source(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", f"REVOKE ALL ON DATABASE {shop} FROM PUBLIC")
    server.run("postgres", f"ALTER DATABASE {shop} SET search_path = 'public', 'x y'")
    make_hook(shop).copy(target="new", method="stream")
    assert server.value("new", "SHOW search_path") == server.value(shop, "SHOW search_path")
    everybody = "SELECT has_database_privilege('public', 'new', 'CONNECT')"
    assert server.value("new", everybody) is False


def test_the_locks_of_the_source_are_not_used_up(
    open_tmp: Path, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that kept the lock on each index that it meets would need 3,000."""
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)
    folder = Path(tempfile.mkdtemp(dir=open_tmp))
    narrow = {"max_locks_per_transaction": "10", "max_connections": "20"}
    with postgres_server(folder, settings=narrow) as started:
        monkeypatch.setenv("AIRFLOW_CONN_NARROW", started.uri(""))
        server = Server(started)
        server.run("postgres", "CREATE DATABASE many")
        for n in range(300):
            indexes = f"CREATE INDEX ON t{n} (n); " * 9
            server.run("many", f"CREATE TABLE t{n} AS SELECT {n} AS n; {indexes}")
        hook = make_hook("many", postgres_conn_id="narrow")
        hook.copy(target="many_copy", method="stream", jobs=2)
        assert server.value("many_copy", "SELECT n FROM t7") == 7


def test_what_a_configuration_excludes_is_not_copied_by_template(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = {"no_orders": {"exclude": ["orders"]}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS", json.dumps(configs))
    hook = make_hook(shop, config="no_orders")
    with pytest.raises(InvalidInputError, match="a copy by template is whole"):
        hook.copy(":copied")
    hook.copy(":copied", method="stream")
    assert server.value("copied", "SELECT count(*) FROM orders") == 0


def test_the_extra_of_the_target_decides_about_the_target(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.server.uri("")
    for name, extra in (
        ("KEEPING", {"replace": False}),
        ("CLOSED", {"allow_dump": False}),
    ):
        text = quote(json.dumps({"pgclone": extra}), safe="")
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", f"{uri}?__extra__={text}")
    hook = make_hook(shop)
    hook.copy(target="new", target_postgres_conn_id="keeping")
    with pytest.raises(InvalidInputError, match="'new' exists and may not be replaced"):
        hook.copy(target="new", target_postgres_conn_id="keeping")
    with pytest.raises(NotAllowedError, match="allow_dump"):
        make_hook(shop, postgres_conn_id="closed").copy(
            target="new", target_postgres_conn_id="keeping"
        )


@pytest.mark.parametrize("method", ["template", "stream"])
def test_reserved_names_are_refused(method: str, shop: str, make_hook: MakeHook) -> None:
    with pytest.raises(PgCloneError, match=":pre is a reserved name"):
        make_hook(shop).copy(":pre", method=method)


def test_tables_of_extensions_and_behind_policies_are_restored(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    server.run("postgres", "CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'")
    try:
        database = make_database(
            """
            ALTER SCHEMA public OWNER TO tenant; SET ROLE tenant;
            CREATE TABLE hidden AS SELECT 1 AS a;
            ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
            ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
            """
        )
        key = make_hook(database).dump()
        uri = f"postgresql://tenant:tenant@127.0.0.1:{server.server.port}/"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_TENANT", uri)
            make_hook("tenants", postgres_conn_id="tenant").restore(key)
        assert server.value("tenants", "SELECT a FROM hidden") == 1
    finally:
        for name in ("tenants", database):
            server.drop(name)
        server.run("postgres", "DROP ROLE tenant")


def test_a_row_that_looks_like_the_end_of_the_rows_is_counted(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)
    rows = "SELECT unnest(ARRAY[E'\\\\.', '', '']) AS a"
    database = make_database(f"CREATE TABLE odd AS {rows}; CREATE TABLE even AS {rows}")
    key = make_hook(database).dump()
    assert make_hook(database).inspect(key)["tables"] == {"public.odd": 3, "public.even": 3}
    make_hook(database).restore(key)
