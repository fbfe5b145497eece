"""Masks that cannot be, or would break something, are refused before anything is written."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, PermanentError
from airflow_provider_pgclone.hooks import PgCloneHook
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

KEY = "a key that nobody can guess"
BOUND_SQL = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TYPE mood AS ENUM ('happy', 'calm');
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN never_null AS text NOT NULL;
CREATE TABLE bound (
    id int PRIMARY KEY, required text NOT NULL, short varchar(12), tiny char(4), mood mood,
    mail mail, never_null never_null, positive int CHECK (positive > 0), code text UNIQUE,
    number int UNIQUE, place text, span int4range,
    doubled int GENERATED ALWAYS AS (positive * 2) STORED, flag boolean, at timestamptz,
    UNIQUE (place, number), EXCLUDE USING gist (place WITH =, span WITH &&)
);
CREATE UNIQUE INDEX lower_required ON bound (lower(required));
INSERT INTO bound
    SELECT n, 'secret ' || n, 'secret', 'abcd', 'calm', 'secret@x', 'secret', n, 'code' || n, n,
        'place ' || n, int4range(n, n + 1)
    FROM generate_series(1, 50) n;
CREATE TABLE parents (id int PRIMARY KEY, code text UNIQUE, a int, b text, UNIQUE (a, b));
CREATE TABLE children (id int PRIMARY KEY, code text REFERENCES parents (code), a int, b text,
    FOREIGN KEY (a, b) REFERENCES parents (a, b) MATCH FULL);
INSERT INTO parents SELECT n, 'code ' || n, n, 'b' || n FROM generate_series(1, 20) n;
INSERT INTO children SELECT n, 'code ' || n, n, 'b' || n FROM generate_series(1, 20) n;
CREATE TABLE parts (day int, note text, PRIMARY KEY (day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts VALUES (5, 'secret');
CREATE VIEW shown AS SELECT * FROM bound;
"""


@pytest.fixture(scope="module")
def bound(postgres: Any) -> Iterator[str]:
    server = Server(postgres)
    server.run("postgres", "CREATE DATABASE masks_bound")
    server.run("masks_bound", BOUND_SQL)
    yield "masks_bound"
    server.drop("masks_bound")


def refusal(hook: PgCloneHook, **arguments: Any) -> str:
    """Return why a dump is refused, which leaves nothing behind."""
    with pytest.raises(PermanentError) as caught:
        hook.dump(**{"mask_key": KEY, **arguments})
    with suppress(NotFoundError):  # not even its folder
        assert hook.ls() == []
    said = str(caught.value)
    assert "secret" not in said
    assert caught.value.hint
    return said


@pytest.mark.parametrize(
    ("table", "column", "rule", "reason"),
    [
        ("bound", "required", "null", "bound.required must not be null"),
        ("bound", "never_null", "null", "bound.never_null must not be null"),
        ("bound", "required", {"sql": "NULL::text"}, "violate NOT NULL of required"),
        ("bound", "required", "city", "lower_required"),
        ("bound", "short", "email", "room for 12 characters, and the rule email needs"),
        ("bound", "short", {"constant": "far too long for that"}, "constant of the column"),
        ("bound", "tiny", "hash", "room for 4 characters"),
        ("bound", "mood", {"constant": "angry"}, "constant of the column public.bound.mood"),
        ("bound", "mood", "text", "public.bound.mood is of the type public.mood"),
        ("bound", "flag", "hash", "is of the type boolean"),
        ("bound", "mail", "name", "the mask of the column public.bound.mail does not work"),
        ("bound", "positive", {"constant": 0}, "violate the constraint bound_positive_check"),
        ("bound", "code", "name", "bound_code_key"),
        ("bound", "code", {"constant": "x"}, "bound_code_key"),
        ("bound", "number", {"bucket": 10}, "bound_number_key"),
        ("bound", "place", "hash", "exclusion constraint"),
        ("bound", "doubled", "null", "is generated"),
        ("bound", "nothing", "null", "has the column 'nothing'"),
        ("bound", "requird", "null", "Did you mean 'required'?"),
        ("bound", "at", {"bucket": 5}, "a bucket is a word"),
        ("bound", "positive", {"bucket": "month"}, "a bucket is a number"),
        ("bound", "code", {"sql": "no_such(code)"}, "mask of the column public.bound.code"),
        ("bound", "code", {"sql": "1; DROP TABLE bound"}, "not one expression"),
        ("bound", "code", {"sql": "1) FROM bound; --"}, "not one expression"),
        ("bound", "code", {"sql": "code \\! touch x"}, "mask of the column public.bound.code"),
        ("bound", "code", {"sql": "random()::text"}, "calls random"),
        ("parents", "code", "hash", "bound by the foreign key children_code_fkey"),
        ("children", "code", "hash", "bound by the foreign key children_code_fkey"),
        ("children", "b", "null", "bound by the foreign key"),
        ("parts", "day", {"constant": 11}, "the constraint partition bounds"),
        ("parts_1", "note", "null", "matches the partition public.parts_1"),
        ("shown", "code", "null", "no table matches the pattern 'public.shown'"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    bound: str, make_hook: MakeHook, table: str, column: str, rule: Any, reason: str
) -> None:
    masks = {f"public.{table}": {column: rule}}
    assert reason in refusal(make_hook(bound), masks=masks)


@pytest.mark.parametrize(
    "options",
    [
        {"masks": {"public.bound": {"code": "keep"}}},
        {"masks": {"public.bound": {"mood": "null"}}, "exclude": ["public.bound"]},
    ],
)
def test_masks_that_mask_nothing_are_told(
    bound: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    make_hook(bound).dump(**options)
    assert "nothing is masked" in caplog.text
    caplog.clear()
    make_hook(bound).dump(masks={"public.bound": {"mood": {"constant": "happy"}}})
    assert "nothing is masked" not in caplog.text


def test_both_sides_of_a_foreign_key_are_masked_alike(
    server: Server, bound: str, make_hook: MakeHook
) -> None:
    rules = {"code": "hash", "b": {"hash": 20}, "a": "hash"}
    masks = {"public.parents": rules, "public.children": rules}
    make_hook("masked").restore(make_hook(bound).dump(masks=masks, mask_key=KEY))
    query = (
        "SELECT count(*) FROM children c JOIN parents p USING (code) "
        "WHERE (c.a, c.b) = (p.a, p.b) AND p.id = c.id"
    )
    assert server.value("masked", query) == 20
    assert "differently" not in refusal(
        make_hook(bound, storage_location=f"{make_hook(bound)._arguments['storage_location']}2"),
        masks={**masks, "public.children": {**rules, "code": {"hash": 24}}},
    )


def test_a_pattern_masks_every_table_that_has_the_column(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database(
        "CREATE TABLE a (email text); CREATE TABLE b (email text, x int); CREATE TABLE c (x int);"
        'CREATE TABLE "B" (email text); CREATE SCHEMA other; CREATE TABLE other.a (email text);'
        "INSERT INTO a VALUES ('secret'); INSERT INTO b VALUES ('secret'); INSERT INTO other.a "
        """VALUES ('secret'); INSERT INTO "B" VALUES ('secret')"""
    )
    masks = {
        "public.*": {"email": "null"},
        "public.a": {"email": {"constant": "own"}},
        "other.a": {"email": "null"},
    }
    make_hook("masked").restore(make_hook(database).dump(masks=masks))
    found = [
        server.value("masked", f"SELECT email FROM {table}")
        for table in ("a", "b", '"B"', "other.a")
    ]
    assert found == ["own", None, None, None]
    with pytest.raises(InvalidInputError, match="has two rules"):
        make_hook(database).dump(masks={"public.*": {"email": "null"}, "*.a": {"email": "text"}})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"masks": {"public.bound": {"code": "hash"}}, "mask_key": None}, "need a key"),
        ({"masks": {"public.bound": {"code": "hash"}}, "mask_key": "short"}, "fewer than 16"),
        ({"masks": {"public.nothing": {"a": "null"}}}, "no table matches"),
        ({"rows": {"public.nothing": "true"}}, "no table matches"),
        ({"masks": {"public.bound": {"at": "null"}}, "pg_dump_args": ["--inserts"]}, "--inserts"),
        ({"masks": {"public.bound": {"at": "null"}}, "pg_dump_args": ["--table=bound"]}, "--table"),
        ({"rows": {"public.bound": "id >"}}, "condition of the rows of public.bound"),
        ({"rows": {"public.bound": "id = nothing"}}, 'column "nothing" does not exist'),
        ({"rows": {"public.bound": "random() < 0.5"}}, "calls random"),
        ({"rows": {"public.bound": "true) OR (SELECT true"}}, "not one expression"),
        ({"rows": {"public.parents": "id < 5"}}, "rows of public.children refer to rows"),
        ({"keep": ["a.b.c.d"]}, "too many dots"),
    ],
)
def test_what_cannot_be_is_refused(
    bound: str, make_hook: MakeHook, arguments: dict[str, Any], reason: str
) -> None:
    if "keep" in arguments:
        arguments = {**arguments, "policy": "classified"}
    assert reason in refusal(make_hook(bound), **arguments)
