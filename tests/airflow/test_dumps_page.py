"""The routes of the page Dumps, in Airflow's API server: who may see what, and what is said."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.archive import HEAD_BYTES, Manifest, manifest_block, read_footer
from airflow_provider_pgclone.core.archive.footer import read_manifest
from airflow_provider_pgclone.plugins.dumps_page.catalog import state_of_target
from airflow_provider_pgclone.plugins.dumps_page.configuration import read_configuration
from airflow_provider_pgclone.plugins.dumps_page.sources import hook_of
from tests.support.fixtures.databases import Server
from tests.support.fixtures.dumps_page import PageClient, token_of
from tests.support.fixtures.hooks import MakeHook

MADE_BY = {"dag": "nightly_shop", "task": "dump", "run": "manual__2026-01-02"}
SHOP_READER, NOBODY = ("shop_reader", "viewer"), ("nobody", "viewer")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(
    dumps_page: PageClient, postgres_connection: str, local_storage: Path, shop: str
) -> PageClient:
    conn = {"postgres_conn_id": postgres_connection}
    location = {**conn, "storage_location": str(local_storage)}
    dumps_page.configure(
        {
            "stores": {
                "Shop": {**location, "dag": "nightly_shop", "prefix": "prod/shop"},
                "Bank": {**location, "dag": "nightly_bank", "prefix": "prod/bank"},
                "Broken": {
                    **conn,
                    "dag": "nightly_shop",
                    "storage_location": "/nowhere/at/all",
                    "verify_dag": "verify",
                },
            },
            "targets": {
                "Staging": {**conn, "database": shop, "dag": "nightly_shop"},
                "Gone": {**conn, "database": "shop_stagin", "dag": "nightly_bank"},
            },
        }
    )
    return dumps_page


ROUTES = [
    ("api/page", {}),
    ("api/databases", {"store": "Bank"}),
    ("api/dumps", {"store": "Bank"}),
    ("api/series", {"store": "Bank", "database": "prod/bank"}),
    ("api/dump", {"store": "Bank", "key": "prod/bank/none/2026-01-01-00-00-00-000000.dump"}),
    ("api/target", {"target": "Gone"}),
]


@pytest.mark.parametrize(("route", "query"), ROUTES)
def test_nobody_sees_anything_without_a_token(
    page: PageClient, route: str, query: dict[str, str]
) -> None:
    assert page.get(route, None, **query).status_code == 401


@pytest.mark.parametrize(("route", "query"), ROUTES[1:])
@pytest.mark.parametrize("user", [SHOP_READER, NOBODY])
def test_a_store_or_target_is_hidden_from_who_may_not_read_its_dag(
    page: PageClient, route: str, query: dict[str, str], user: tuple[str, str]
) -> None:
    answer = page.get(route, user, **query)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})


def test_the_cookie_of_the_browser_is_enough(page: PageClient) -> None:
    page.client.cookies.set("_token", token_of(*SHOP_READER))
    answer = page.get("api/page", None)
    page.client.cookies.clear()
    assert names(answer)[1] == ["Staging"]


def names(answer: Any) -> tuple[list[str], list[str]]:
    found = answer.json()
    return [one["name"] for one in found["stores"]], [one["name"] for one in found["targets"]]


def test_the_page_names_what_the_user_may_see(page: PageClient) -> None:
    assert names(page.get("api/page")) == (["Shop", "Bank", "Broken"], ["Staging", "Gone"])
    assert names(page.get("api/page", SHOP_READER)) == (["Shop", "Broken"], ["Staging"])
    assert names(page.get("api/page", NOBODY)) == ([], [])


@pytest.mark.parametrize(
    ("role", "may_run"), [("viewer", False), ("user", True), ("op", True), ("admin", True)]
)
def test_only_who_may_run_a_dag_is_offered_it(page: PageClient, role: str, may_run: bool) -> None:
    found = page.get("api/page", ("somebody", role)).json()
    assert [one["may_restore"] for one in found["targets"]] == [may_run, may_run]
    assert [one["may_verify"] for one in found["stores"]] == [False, False, may_run]


def test_the_files_of_the_page_are_public_and_no_others(page: PageClient) -> None:
    answer = page.get("static/dumps.js", None)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    again = page.client.get(
        "/pgclone/static/dumps.js", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    for name in ("__init__.py", "..%2fapi.py", "%2e%2e%2fapi.py", "nothing.js"):
        assert page.get(f"static/{name}", None).status_code == 404


def test_a_dump_is_listed_and_described(
    page: PageClient, shop: str, make_hook: MakeHook, server: Server
) -> None:
    hook = make_hook(shop)
    server.run(shop, f'CREATE TABLE "{HOSTILE}" AS SELECT 1 AS a')
    key = hook.dump(instance="prod", made_by=MADE_BY)
    moved = key.replace(key.split("/")[1], "shop")
    folder = Path(hook._arguments["storage_location"])
    (folder / moved).parent.mkdir(parents=True)
    (folder / key).rename(folder / moved)
    hook.verify(moved)

    listed = page.get("api/dumps", SHOP_READER, store="Shop").json()
    (row,) = listed["rows"]
    assert (row["key"], row["finding"], row["is_masked"]) == (moved, "archive", False)
    assert row["made_by"] == MADE_BY
    assert listed["total"] == 1
    (base,) = page.get("api/databases", SHOP_READER, store="Shop").json()["databases"]
    assert (base["name"], base["dumps"], base["newest"]["key"]) == ("prod/shop", 1, moved)
    (point,) = page.get("api/series", SHOP_READER, store="Shop", database="prod/shop").json()[
        "points"
    ]
    assert point["size_bytes"] == row["size_bytes"]
    assert point["seconds"] > 0

    found = page.get("api/dump", SHOP_READER, store="Shop", key=moved).json()
    rows = {one["name"]: one["rows"] for one in found["tables"]}
    assert rows[HOSTILE] == 1  # a text as any other; the browser gets it as one
    assert rows["orders"] == 2000
    assert all(one["raw_bytes"] > 0 and one["stored_bytes"] > 0 for one in found["tables"])
    assert found["verification"]["finding"] == "archive"
    assert found["verification"]["found_at"]
    # Its storage has this dump, but the other store does not.
    assert page.get("api/dump", store="Bank", key=moved).status_code == 404

    state = page.get("api/target", SHOP_READER, target="Staging").json()
    assert (state["name"], state["pre"]) == (shop, None)


def test_a_target_tells_what_it_requires_of_dumps(
    page: PageClient, postgres_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def required() -> Any:
        return page.get("api/target", target="Staging", fresh="true").json()["requires"]

    assert required() == []
    options = {postgres_connection: {"require_masked": True, "require_signed": True}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(options))
    target = read_configuration().target("Staging")
    assert state_of_target(hook_of(target))["requires"] == ("masked", "signed")


def forge(path: Path, **facts: Any) -> None:
    """Write another manifest to the end of an archive, with its right hash."""
    data = path.read_bytes()
    footer = read_footer(data, len(data))
    assert footer is not None
    start = footer.offset - HEAD_BYTES
    values = read_manifest(data[footer.offset : footer.offset + footer.length], footer)
    manifest = dataclasses.replace(Manifest.from_json(values), **facts)
    path.write_bytes(data[:start] + manifest_block(manifest, dump_id=10**6, offset=start))


@pytest.mark.parametrize(
    ("facts", "is_read"),
    [
        ({"database": "\ud800", "server_version": "x" * 10**6}, True),
        ({"made_by": {"dag": "../../x", "run": HOSTILE}, "database_bytes": 2**63}, True),
        ({"database_bytes": 10**400}, False),
        ({"seconds": 10**400}, False),
        ({"seconds": float("nan")}, False),
        ({"seconds": 1e999}, False),
        ({"database": ["a"]}, False),
        ({"made_by": {"dag": {"deep": 1}}}, False),
        ({"content": {"exclude": [3]}}, False),
    ],
)
def test_a_forged_manifest_costs_its_row_at_most(
    page: PageClient, shop: str, make_hook: MakeHook, facts: dict[str, Any], is_read: bool
) -> None:
    hook = make_hook(shop)
    keys = [hook.dump(instance="prod") for _ in range(2)]
    folder = Path(hook._arguments["storage_location"])
    moved = [key.replace(key.split("/")[1], "shop") for key in keys]
    (folder / moved[0]).parent.mkdir(parents=True)
    for key, name in zip(keys, moved, strict=True):
        (folder / key).rename(folder / name)
    forge(folder / moved[1], **facts)
    answer = page.get("api/dumps", store="Shop")
    forged, good = answer.json()["rows"]
    assert (good["key"], good["problem"]) == (moved[0], "")
    assert bool(forged["problem"]) is not is_read
    assert len(answer.content) < 20_000
    assert page.get("api/dump", store="Shop", key=moved[1]).status_code == 200
    assert page.get("api/series", store="Shop", database="prod/shop").status_code == 200


def test_what_storage_and_servers_say_is_not_for_readers(
    page: PageClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = page.get("api/dumps", store="Broken")
    assert answer.status_code == 502
    assert answer.json() == {
        "detail": "the store 'Broken' cannot be read. The log of the API server says why."
    }
    assert "/nowhere/at/all" in caplog.text
    answer = page.get("api/target", target="Gone")
    assert answer.status_code == 502
    assert "the target 'Gone' cannot be read" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"store": "Sho"}, (404, "the page has no store 'Sho'")),
        ({"store": "Shop", "after": "x"}, (422, "'x' is not a dump key")),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    page: PageClient, query: dict[str, Any], problem: tuple[int, str]
) -> None:
    answer = page.get("api/dumps", **query)
    assert answer.status_code == problem[0]
    assert problem[1] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"shops": {}}, "has 'shops', which it does not know"),
        ({"stores": {"Shop": {}}}, "the store 'Shop' in the key dumps_page of the section [pgclone]"
         " has no dag"),
        ({"stores": {"Shop": {"dag": "d", "bucket": "b"}}}, "has 'bucket', which it does not know"),
        ({"stores": {"Shop": {"dag": 7}}}, "dag of the store 'Shop'"),
        ({"targets": {"T": {"dag": "d", "database": "x", "read_from": "afar"}}}, "is 'afar'"),
        ({"targets": []}, "are not a JSON object"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_named(
    dumps_page: PageClient, values: dict[str, Any], problem: str
) -> None:
    dumps_page.configure(values)
    answer = dumps_page.get("api/page")
    assert answer.status_code == 422
    assert problem in json.dumps(answer.json(), ensure_ascii=False).replace('\\"', '"')


def test_without_a_configuration_the_page_is_empty(dumps_page: PageClient) -> None:
    assert dumps_page.get("api/page").json() == {
        "is_configured": False,
        "stores": [],
        "targets": [],
    }
