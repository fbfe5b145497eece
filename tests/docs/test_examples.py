"""The Python of the pages, run on a real PostgreSQL, a real S3 server and a real Airflow."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import DAG

from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import S3Server
from tests.docs.pages import PAGES, README, REPOSITORY, Example, examples
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.databases import Server

# The tables that the pages speak of.
SHOP_SQL = """
CREATE TABLE users (
    id int PRIMARY KEY,
    email text NOT NULL UNIQUE,
    full_name text NOT NULL,
    ssn text,
    phone text,
    born date,
    notes text,
    profile jsonb
);
CREATE TABLE newsletter (address text PRIMARY KEY);
CREATE TABLE products (id int PRIMARY KEY, title text NOT NULL);
CREATE TABLE orders (
    id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, total numeric(10, 2) NOT NULL
);
CREATE TABLE events (
    id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, created_at timestamptz NOT NULL
);
INSERT INTO users SELECT n, 'user' || n || '@example.org', 'Jo Doe', '123' FROM
    generate_series(1, 20) n;
INSERT INTO orders SELECT n, n, n FROM generate_series(1, 20) n;
INSERT INTO events SELECT n, n, now() - n * interval '10 days' FROM generate_series(1, 20) n;
"""
DATABASES = {"prod": "shop", "staging": "shop_staging"}
# The guards that the pages advise: no example restores over production.
EXTRAS = {
    "prod": {"pgclone": {"allow_restore": False}},
    "staging": {"pgclone": {"restore_over": ["shop_staging", "before*"]}},
}
WITH_PYTHON = [page for page in PAGES if examples(page, "python")]


@pytest.fixture
def shop_server(
    server: Server,
    s3: S3Server,
    s3_connection: str,
    airflow_database: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    """The databases of the pages, and the connections that they name."""
    for connection, database in DATABASES.items():
        server.run("postgres", f"CREATE DATABASE {database}")
        server.run(database, SHOP_SQL)
        uri = server.server.uri(database)
        extra = EXTRAS[connection]
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{connection.upper()}", f"{uri}?__extra__={quote(json.dumps(extra))}"
        )
    monkeypatch.setenv("AIRFLOW_CONN_MASK_KEY", "generic://:an-example-key-not-to-be-used@")
    monkeypatch.setenv("AIRFLOW__PGCLONE__PG_BIN_DIR", str(server.server.bin_dir))
    # Some pages name Airflow's own connection.
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", os.environ["AIRFLOW_CONN_S3"])
    yield server
    client = s3.client()
    for item in client.list_objects_v2(Bucket="dumps", Prefix="shop/").get("Contents", []):
        client.delete_object(Bucket="dumps", Key=item["Key"])


def run(example: Example, names: dict[str, Any]) -> DAG:
    """Run a block; operators that it makes outside of a DAG go into the DAG that is returned."""
    code = compile("\n" * (example.line - 1) + example.text, str(example.page), "exec")
    with DAG(f"docs_{example.page.stem}_{example.line}", schedule=None) as dag:
        exec(code, names)  # noqa: S102 - our own pages
    return dag


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_python_of_a_page_runs(page: Path, shop_server: Server) -> None:
    names: dict[str, Any] = {}
    for example in examples(page, "python"):
        around = run(example, names)
        made = [value for value in names.values() if isinstance(value, DAG)]
        for dag in [*made, *([around] if around.tasks else [])]:
            assert serialized(dag).tasks, example


def test_the_dag_of_the_readme_refreshes_staging(shop_server: Server) -> None:
    (example,) = examples(README, "python")
    names: dict[str, Any] = {}
    text = example.text.replace("catchup=False):", "catchup=False) as dag:")
    run(Example(example.page, example.line, example.language, text), names)
    shop_server.run("shop", "UPDATE orders SET total = 7")

    assert serialized(names["dag"]).test().state == "success"

    staging = DATABASES["staging"]
    assert shop_server.value(staging, "SELECT DISTINCT total FROM orders") == 7
    real = "SELECT count(*) FROM users WHERE email LIKE '%@example.org' OR full_name = 'Jo Doe'"
    assert shop_server.value("shop", real) == 20
    assert shop_server.value(staging, real) == 0
    assert shop_server.value(staging, "SELECT count(*) FROM events") == 0
    assert f"{staging}__pre" in shop_server.names()
    (dump,) = PgCloneHook("prod", "s3://dumps/shop/").ls()
    series = dump.key.rpartition("/")[0]
    assert series == "prod_masked/shop/masked-96e5e95f"
    assert all(
        series in page.read_text() for page in (README, REPOSITORY / "docs/getting-started.md")
    )
