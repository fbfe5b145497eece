"""Masks as users write them, and as reports show them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.planning.user_sql import at_instant
from airflow_provider_pgclone.core.masking.rules.key import check_key, with_key
from airflow_provider_pgclone.core.masking.rules.language import (
    Rule,
    parse_rule,
    read_masks,
    read_rows,
)
from airflow_provider_pgclone.core.postgres.database import Database

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("email", "email (domain: example.com)"),
        (None, "null"),
        ("null", "null"),
        ({"hash": 12}, "hash (chars: 12)"),
        ({"hash": {"chars": 12}}, "hash (chars: 12)"),
        ({"bucket": {"unit": "month"}}, "bucket (step: month)"),
        ({"bucket": {"size": 2.5}}, "bucket (step: 2.5)"),
        ({"constant": "jo@example.org"}, "constant"),
        ({"sql": "left(note, 3) || 'jo' -- jo"}, "sql (expression: left(note, 3) || '…' )"),
        ({"json": {"a.b": "null"}}, "json (paths: a.b null)"),
    ],
)
def test_a_rule_is_read_and_shown_without_values(written: object, label: str) -> None:
    assert parse_rule(written).display_name == label


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("emial", "unknown rule 'emial'"),
        ({"email": 1, "name": 2}, "neither the name of a rule"),
        ({"name": "x"}, "takes nothing"),
        ({"hash": 7}, "from 8 to 64"),
        ({"hash": {"char": 12}}, "chars that"),
        ("sql", "no expression"),
        ("constant", "constant a value"),
        ({"sql": " "}, "is not a text"),
        ({"email": "a'b"}, "is not a domain"),
        ({"noise": 0}, "above 0"),
        ({"noise": "nan"}, "above 0"),
        ({"date_shift": 0}, "from 1"),
        ({"bucket": "decade"}, "bucket a step"),
        ({"bucket": 0}, "above 0"),
        ({"json": {}}, "no paths"),
        ({"json": {"a": "keep"}}, "masks nothing"),
        ({"hash": "abc"}, "not a whole number from 8 to 64"),
        ({"date_shift": "90 days"}, "not a whole number of days"),
        ({"json": {"a": "emial"}}, "unknown rule 'emial'"),
        (7, "neither the name"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rule(written)


@pytest.mark.parametrize("name", ["masks.yaml", "masks.json"])
def test_masks_come_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text('{"public.users": {"email": "email", "ssn": null}}')
    assert read_masks(str(file)) == {
        "public.users": {"email": parse_rule("email"), "ssn": Rule("null")}
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/nonexistent/masks.yaml", "cannot be read"),
        ("masks.yml", "/masks.yml' cannot be read"),
        ("{masks: {a: {b: email}}}", "leave it out"),
        ("{a: {b: decide}}", "still to be decided"),
        ("{a: {b: email}, a: {c: email}}", "'a' occurs twice"),
        ("{a: {b: email, b: keep}}", "'b' occurs twice"),
        ("{a: {on: email}}", "put it in quotes"),
        ("{a: email}", "no columns and rules for 'a'"),
        ("email", "is not a mapping, and"),
        ("{a: [", "is not YAML"),
    ],
)
def test_masks_that_would_not_be_heeded_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_masks(text)


def test_a_condition_must_be_a_text() -> None:
    assert read_rows({"public.events": "id > 5"}) == {"public.events": "id > 5"}
    with pytest.raises(ValueError, match="no condition"):
        read_rows({"public.events": ""})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("at > now() - interval '1 day'", "at > {now} - interval '1 day'"),
        ("at > NOW ( )", "at > {now}"),
        ("at > pg_catalog.now()", "at > {now}"),
        ("at > current_timestamp(3)", "at > {now}"),
        ("day = CURRENT_DATE", "day = ({now}::date)"),
        ("note = 'now() current_date'", "note = 'now() current_date'"),
        ('"now()" = 1', '"now()" = 1'),
        ("known() or snow()", "known() or snow()"),
        ("list[1: n] = a::int", "list[1: n] = a::int"),
    ],
)
def test_it_is_the_same_now_in_all_sessions(written: str, read: str) -> None:
    assert at_instant(written, NOON) == read.format(
        now="('2026-01-02T12:00:00+00:00'::timestamptz)"
    )


@pytest.mark.parametrize("written", ["list[1:HOST]", "a = :'x'", 'a = :"x"', "a = :{?X}"])
def test_what_psql_would_read_in_its_own_way_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError, match="colon"):
        at_instant(written, NOON)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("true) OR (true", "not one expression"),
        ("a[1", "not one expression"),
        ("1; SELECT 2", "not one expression"),
        ("id > 5 -- recent", "a comment"),
        ("id /* '*/ > random() /* ' */", "a comment"),
        ("at > 'today'::date", "a moment"),
        ("at > timestamp ' NOW '", "a moment"),
    ],
)
def test_what_may_mean_something_else_is_refused(written: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        at_instant(written, NOON)


def test_the_key_is_in_no_repr_and_not_in_the_session() -> None:
    key = "a key that is long enough"
    assert key not in repr(Masking(masks={"a": {"b": Rule("email")}}, key=key))
    database = with_key(Database("shop", {"options": "-c geqo=off"}), key)
    assert database.parameters["options"].startswith("-c pgclone.mask_key=")
    assert key not in str(database.parameters)
    assert database.parameters["options"] not in repr(database)


def test_a_short_key_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidInputError, match="fewer than 16") as caught:
        check_key("hunter2")
    assert "hunter2" not in str(caught.value)
