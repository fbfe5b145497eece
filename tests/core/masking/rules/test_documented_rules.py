"""The rules, as the documentation has them; the same on every version of PostgreSQL."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from airflow_provider_pgclone.core.masking.rules.digits import digits
from airflow_provider_pgclone.core.masking.rules.key import with_key
from airflow_provider_pgclone.core.masking.rules.language import PARAMETERS
from airflow_provider_pgclone.core.postgres.database import Database
from example_dags.services import PostgresServer
from tests.support.fixtures.databases import MakeDatabase
from tests.support.fixtures.mask_examples import KEY, Example, examples, masked


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres.uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE mask_rules TEMPLATE template0 ENCODING 'UTF8'")
        yield "mask_rules"
        connection.execute("DROP DATABASE mask_rules")


@pytest.mark.parametrize(
    "example", examples(), ids=lambda example: f"{example.name}-{example.rule}"
)
def test_a_rule_does_what_the_documentation_says(
    postgres: PostgresServer, database: str, example: Example
) -> None:
    after = masked(postgres, database, example.rule, example.before)
    assert (after or "") == example.after


def test_the_documentation_has_every_rule() -> None:
    assert {example.name for example in examples()} == set(PARAMETERS) - {"keep"}
    for example in examples():
        rule = json.loads(example.rule)
        assert example.name == (rule if isinstance(rule, str) else next(iter(rule)))


@pytest.mark.parametrize(
    "example", examples(), ids=lambda example: f"{example.name}-{example.rule}"
)
def test_null_stays_null_but_for_what_the_user_writes(
    postgres: PostgresServer, database: str, example: Example
) -> None:
    type_name = example.before.rpartition("::")[2]
    assert masked(postgres, database, example.rule, f"NULL::{type_name}") in (
        [None, "…"] if example.name == "sql" else [None]
    )


@pytest.mark.parametrize("name", ["email", "name", "digits", "text", "hash", "phone", "ip", "url"])
@pytest.mark.parametrize("value", ["", " ", "ü€", "o'x\\y", "a\nb\tc", "%s {x} \\N", "y" * 3000])
def test_a_rule_takes_any_text(
    postgres: PostgresServer, database: str, name: str, value: str
) -> None:
    literal = "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'::text"
    once = masked(postgres, database, json.dumps(name), literal)
    assert once is not None
    assert once == masked(postgres, database, json.dumps(name), literal)
    if name == "text":
        assert len(once) == len(value)
    elif value.strip():
        assert once != value


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_digits_keep_values_apart(postgres: PostgresServer, database: str, length: int) -> None:
    options = with_key(Database(database), KEY).parameters["options"]
    values = f"SELECT lpad(n::text, {length}, '0') AS v FROM generate_series(0, {10**length - 1}) n"
    query = f"SELECT {digits('v')} FROM ({values}) AS values"
    with psycopg.connect(postgres.uri(database), options=options) as connection:
        found = [row[0] for row in connection.execute(query.encode())]
    assert sorted(found) == [str(number).zfill(length) for number in range(10**length)]
    assert found != sorted(found)


def test_another_key_gives_something_else(postgres: PostgresServer, database: str) -> None:
    options = with_key(Database(database), "another key, as long").parameters["options"]
    (email,) = (example for example in examples() if example.rule == '"email"')
    with psycopg.connect(postgres.uri(database), options=options) as connection:
        setting = connection.execute("SHOW pgclone.mask_key").fetchone()
    with psycopg.connect(
        postgres.uri(database), options=with_key(Database(database), KEY).parameters["options"]
    ) as connection:
        assert connection.execute("SHOW pgclone.mask_key").fetchone() != setting
    assert email.after.endswith("@example.com")


def test_arrays_are_masked_element_by_element(
    postgres: PostgresServer, make_database: MakeDatabase
) -> None:
    database = make_database("SELECT 1")
    one = masked(postgres, database, '"email"', "'a@example.org'::text")
    both = masked(postgres, database, '"email"', "ARRAY['a@example.org', NULL]::text[]")
    assert both == f"{{{one},NULL}}"
    assert masked(postgres, database, '"email"', "ARRAY[]::text[]") == "{}"
    cut = masked(postgres, database, '"name"', "ARRAY['a']::varchar(3)[]")
    assert cut is not None
    assert len(cut.strip("{}")) == 3


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        # Another shape than the path has: nothing of it is known to be harmless.
        ({"a.b": "email"}, '{"a": ["x@y"], "c": 1}', {"a": None, "c": 1}),
        ({"a.b": "email"}, '{"a": "x@y"}', {"a": None}),
        ({"a.b": "email"}, '["x@y"]', None),
        ({"a[*].b": "null"}, '{"a": {"b": "x@y"}}', {"a": None}),
        # What is not there stays so.
        ({"a.b": "email"}, '{"c": 1}', {"c": 1}),
        ({"a": "null"}, '{"a": {"b": [1]}}', {"a": None}),
        ({"a": {"constant": "it's"}}, '{"a": 1}', {"a": "it's"}),
        ({"a": {"bucket": 10}}, '{"a": 47}', {"a": 40}),
        ({"a": {"bucket": 10}}, '{"a": "47"}', {"a": None}),
        ({'"a.b"."c\\"d"': "null"}, '{"a.b": {"c\\"d": 1}}', {"a.b": {'c"d': None}}),
        (
            {"a[*].x": "null", "a[*].y": "null"},
            '{"a": [{"x": 1, "y": 2, "z": 3}]}',
            {"a": [{"x": None, "y": None, "z": 3}]},
        ),
        ({"[*]": "null"}, "[1, 2]", [None, None]),
        ({"$.a": "null"}, '{"a": 1}', {"a": None}),
        # What no path names.
        ({"a": "null", "*": "null"}, '{"a": 1, "b": {"c": 2}}', {"a": None}),
        ({"a": "null", "*": "null"}, '{"jane@x.org": 1, "b": {"jane@x.org": 2}}', {}),
        (
            {"a.b": {"constant": "x"}, "*": "null"},
            '{"a": {"b": 1, "c": 2}, "d": [3]}',
            {"a": {"b": "x"}},
        ),
        (
            {"a[*].b": "keep", "*": "null"},
            '{"a": [{"b": 1, "c": 2}], "d": 3}',
            {"a": [{"b": 1}]},
        ),
        ({"a": {"constant": "x"}, "*": "null"}, "{}", {}),
        ({"a": "null", "*": "keep"}, '{"a": 1, "b": 2}', {"a": None, "b": 2}),
    ],
)
def test_json_is_masked_at_its_paths(
    postgres: PostgresServer, database: str, rule: object, before: str, after: object
) -> None:
    for kind in ("json", "jsonb"):
        literal = "'" + before.replace("'", "''") + f"'::{kind}"
        found = masked(postgres, database, json.dumps({"json": rule}), literal)
        assert json.loads(found or "") == after


def test_a_list_or_object_at_a_path_is_masked_whole(
    postgres: PostgresServer, database: str
) -> None:
    found = masked(
        postgres, database, '{"json": {"a": "text"}}', """'{"a": {"secret": ["canary"]}}'::jsonb"""
    )
    assert found is not None
    assert "canary" not in found
    assert "secret" not in found
