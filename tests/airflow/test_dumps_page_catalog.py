"""What a task publishes for the page Dumps, and what the page makes of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Variable
from airflow.sdk import DAG

from airflow_provider_pgclone.core.errors import NotFoundError
from airflow_provider_pgclone.operators import (
    PgCloneDumpOperator,
    PgClonePublishCatalogOperator,
    PgCloneRestoreOperator,
    PgCloneSwapOperator,
)
from airflow_provider_pgclone.plugins.dumps_page import catalog
from airflow_provider_pgclone.plugins.links import dump_page_url
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.databases import Server
from tests.support.fixtures.dumps_page import PageClient
from tests.support.fixtures.hooks import MakeHook


@pytest.fixture
def server_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow tells by this variable which processes may read its database themselves."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")


def configure(page: PageClient, conn_id: str, folder: Path, database: str) -> None:
    of_catalog = {"postgres_conn_id": conn_id, "dag": "nightly", "read_from": "catalog"}
    page.configure(
        {
            "stores": {"Shop / EU": {**of_catalog, "storage_location": str(folder)}},
            "targets": {"Staging": {**of_catalog, "database": database}},
        }
    )


def run_of(dag_id: str) -> Any:
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        PgClonePublishCatalogOperator(task_id="publish")
    return serialized(dag).test()


def test_what_a_task_published_is_shown_without_storage_or_server(
    dumps_page: PageClient,
    shop: str,
    make_hook: MakeHook,
    local_storage: Path,
    postgres_connection: str,
    server_context: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(dumps_page, postgres_connection, local_storage, shop)
    answer = dumps_page.get("api/dumps", store="Shop / EU")
    assert answer.status_code == 404
    assert "nothing was published of the store 'Shop / EU'" in answer.json()["detail"]

    hook = make_hook(shop)
    keys = [hook.dump(instance="prod") for _ in range(3)]
    monkeypatch.setattr(catalog, "MOST_DETAILS", 1)
    run = run_of(dag_id="publish_catalog")
    assert run.state == "success"
    assert run.get_task_instance("publish").xcom_pull(task_ids="publish") == {"Shop / EU": 3}

    local_storage.rename(local_storage.with_name("out of reach"))
    monkeypatch.delenv(f"AIRFLOW_CONN_{postgres_connection.upper()}")
    listed = dumps_page.get("api/dumps", store="Shop / EU").json()
    assert [row["key"] for row in listed["rows"]] == keys[::-1]
    age = datetime.now(UTC) - datetime.fromisoformat(listed["as_of"])
    assert 0 < age.total_seconds() < 120
    newest = dumps_page.get("api/dump", store="Shop / EU", key=keys[2]).json()
    assert {one["name"] for one in newest["tables"]} >= {"users", "orders"}
    older = dumps_page.get("api/dump", store="Shop / EU", key=keys[0]).json()
    assert older["summary"]["key"] == keys[0]
    assert "tables" not in older
    state = dumps_page.get("api/target", target="Staging").json()
    assert (state["name"], state["key"]) == (shop, "")
    assert state["as_of"]


def test_the_catalogue_is_bounded(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many dumps the newest are published, and how many were left off is told."""
    stored: dict[str, str] = {}
    monkeypatch.setattr(
        Variable, "set", lambda name, value, description: stored.update({name: value})
    )
    monkeypatch.setattr(Variable, "get", lambda name, default: stored.get(name, default))
    hook = make_hook(shop)
    keys = [hook.dump(instance="prod") for _ in range(4)]
    catalog.publish_store("Shop", "", hook)
    (text,) = stored.values()
    # The time of the second one is another, and may be shorter once it is compressed.
    monkeypatch.setattr(catalog, "MOST_CHARS", len(text) - 40)
    catalog.publish_store("Shop", "", hook)
    (text,) = stored.values()
    assert len(text) <= catalog.MOST_CHARS
    found = catalog.read_store("Shop")
    assert [one.key for one in found.summaries] == keys[:1:-1]
    assert found.left_off == 2


@pytest.mark.parametrize(
    "text",
    ["nonsense", "", "c$ztest", catalog._packed({"format": 9}), catalog._packed({"dumps": [1]})],
    ids=["text", "nothing", "not compressed", "another format", "other values"],
)
def test_a_variable_of_another_kind_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Variable, "get", lambda name, default: text)
    with pytest.raises(NotFoundError, match="the store 'Shop'"):
        catalog.read_store("Shop")


def test_nothing_to_publish_is_an_error(dumps_page: PageClient) -> None:
    dumps_page.configure({"stores": {"Shop": {"dag": "nightly"}}})
    with pytest.raises(Exception, match="no store or target is read from the catalogue"):
        PgClonePublishCatalogOperator(task_id="publish").execute({})
    with pytest.raises(Exception, match="the store 'Shop' is not read from the catalogue"):
        PgClonePublishCatalogOperator(task_id="publish", store="Shop").execute({})


@pytest.fixture
def base_url(monkeypatch: pytest.MonkeyPatch) -> str:
    url = "https://airflow.example/x"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{url}/")
    return url


def test_the_address_of_a_dump_is_encoded(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "prod/shop/none/2026-01-01-00-00-00-000000.dump"
    encoded = "prod%2Fshop%2Fnone%2F2026-01-01-00-00-00-000000.dump"
    assert dump_page_url(key) == f"{base_url}/plugin/dumps?dump={encoded}"
    assert dump_page_url(key, store="A&B") == f"{base_url}/plugin/dumps?store=A%26B&dump={encoded}"
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    assert dump_page_url(key) == f"plugin/dumps?dump={encoded}"


def test_tasks_have_links_to_the_dump(
    airflow_database: None,
    server: Server,
    shop: str,
    postgres_connection: str,
    local_storage: Path,
    base_url: str,
) -> None:
    place = {"postgres_conn_id": postgres_connection, "storage_location": str(local_storage)}
    with DAG("links", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        dump = PgCloneDumpOperator(task_id="dump", database=shop, **place)
        restore = PgCloneRestoreOperator(
            task_id="restore", key=dump.output, database=shop, swap=False, reversible=True, **place
        )
        swap = PgCloneSwapOperator(
            task_id="swap",
            postgres_conn_id=postgres_connection,
            temp_database="{{ ti.xcom_pull(task_ids='restore', key='temp_database') }}",
        )
        undo = PgCloneRestoreOperator(task_id="undo", key=":pre", database=shop, **place)
        restore >> swap >> undo
    run = serialized(dag).test()
    assert run.state == "success"
    first = run.get_task_instance("dump")
    key = first.xcom_pull(task_ids="dump")
    links = {
        task: first.xcom_pull(task_ids=task, key="_link_DumpLink")
        for task in ("dump", "restore", "swap", "undo")
    }
    url = dump_page_url(key)
    assert links == {"dump": url, "restore": url, "swap": url, "undo": ""}
    assert json.dumps(links)
