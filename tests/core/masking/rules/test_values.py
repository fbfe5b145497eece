"""The values that rules take: what is read, what it becomes, and why a value is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.masking.rules.language import (
    PARAMETERS,
    Rule,
    parse_rule,
    read_mapping,
    read_masks,
    read_rows,
    without_values,
)


@pytest.mark.parametrize(
    ("written", "parameter", "value"),
    [
        ("hash", "chars", 32),
        ({"hash": 8}, "chars", 8),
        ({"hash": 64}, "chars", 64),
        ({"hash": "16"}, "chars", 16),
        ({"hash": 16.0}, "chars", 16),
        ("email", "domain", "example.com"),
        ({"email": "A-1.Example.Zone"}, "domain", "A-1.Example.Zone"),
        ({"email": "d" * 40}, "domain", "d" * 40),
        ("date_shift", "days", 180),
        ({"date_shift": 1}, "days", 1),
        ({"date_shift": {"days": 36_500}}, "days", 36_500),
        ("noise", "percent", 10.0),
        ({"noise": 100}, "percent", 100.0),
        ({"noise": "0.5"}, "percent", 0.5),
        ({"bucket": 10}, "step", "10"),
        ({"bucket": 0.5}, "step", "0.5"),
        ({"bucket": 1}, "step", "1"),
        *(
            ({"bucket": {"unit": unit}}, "step", unit)
            for unit in ("day", "week", "month", "quarter", "year")
        ),
        ({"constant": "Jo"}, "value", "Jo"),
        ({"constant": 5}, "value", "5"),
        ({"constant": True}, "value", "true"),
        ({"constant": ""}, "value", ""),
        ({"sql": "upper(note)"}, "expression", "upper(note)"),
        ({"sql": {"expression": "upper(note)"}}, "expression", "upper(note)"),
        ({"hash": {}}, "chars", 32),
    ],
)
def test_a_value_is_read(written: object, parameter: str, value: object) -> None:
    found = parse_rule(written)[parameter]
    assert (found, type(found)) == (value, type(value))


HASH = "gives the rule hash a chars that is not a whole number from 8 to 64"
DAYS = "gives the rule date_shift a days that is not a whole number of days from 1 to 36500"
PERCENT = "gives the rule noise a percent that is not a number above 0 and up to 100"
STEP = (
    "gives the rule bucket a step that is neither a number above 0 nor one of day, week, month, "
    "quarter, year"
)
DOMAIN = (
    "gives the rule email a domain that is not a domain of up to 40 letters, digits, dots and "
    "hyphens"
)
NO_PATHS = "gives the rule json no paths, such as {'contact.email': 'email'}"
CONSTANT = "gives the rule constant a value that is not a text, a number, true or false"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        *(({"hash": value}, HASH) for value in (7, 65, 8.5, "x", True, None, [8])),
        *(({"date_shift": value}, DAYS) for value in (0, 36_501, 1.5, True, None)),
        *(({"noise": value}, PERCENT) for value in (0, 100.1, -1, "nan", True, None)),
        *(({"bucket": value}, STEP) for value in (0, -1, "inf", "nan", "hour", None, True)),
        *(({"email": value}, DOMAIN) for value in ("", "d" * 41, "a_b", "a b", 5, None)),
        *(({"constant": {"value": value}}, CONSTANT) for value in (None, [1], {"a": 1})),
        *(({"constant": value}, CONSTANT) for value in (None, [1])),
        *(
            ({"sql": value}, "gives the rule sql a expression that is not a text")
            for value in ("", " ", 5)
        ),
        ("decide", "is still to be decided: choose a rule, or keep"),
        ("bucket", "gives the rule bucket no step"),
        ("sql", "gives the rule sql no expression"),
        ({"name": 5}, "gives a value to the rule name, which takes nothing"),
        ({"hash": {"chars": 9, "z": 1, "y": 2}}, "gives the rule hash the unknown parameter 'y'"),
        ({}, "has {}, which is neither the name of a rule nor a rule with values"),
        ([], "has [], which is neither the name of a rule nor a rule with values"),
        ("x", f"has the unknown rule 'x'; the rules are {', '.join(PARAMETERS)}"),
        ({"json": {}}, NO_PATHS),
        ({"json": "a"}, NO_PATHS),
        ({"json": None}, NO_PATHS),
        ({"json": {"a": "keep"}}, "masks nothing by the rule json: use the rule keep"),
        (
            {"json": {"a": "null", "*": "email"}},
            "gives the other keys of json the rule email; they take only null or keep",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_reason(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        parse_rule(written)


def json_rule(**paths: Any) -> Rule:
    return parse_rule({"json": paths})


def test_the_paths_of_json_are_rules_of_their_own() -> None:
    plain = {"a.b": "email", "*": "null"}
    assert parse_rule({"json": plain}) == parse_rule({"json": {"paths": plain}})
    assert parse_rule({"json": plain})["paths"] == (
        ("a.b", parse_rule("email")),
        ("*", Rule("null")),
    )
    # A document may have the key "paths" itself.
    assert json_rule(paths="email")["paths"] == (("paths", parse_rule("email")),)
    assert json_rule(a="keep", b="null")["paths"] == (("a", Rule("keep")), ("b", Rule("null")))
    assert json_rule(**{"a": "null", "*": "keep"}).all_names == {"json", "null", "keep"}
    assert parse_rule({"json": {1: "null"}})["paths"] == (("1", Rule("null")),)


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (parse_rule("name"), "name"),
        (parse_rule({"constant": "Jo"}), "constant"),
        (parse_rule({"noise": 5}), "noise (percent: 5.0)"),
        (parse_rule({"sql": "f('a', 12345)"}), "sql (expression: f('…', …))"),
        (
            json_rule(a="null", b={"hash": 9}),
            "json (paths: a null; b hash (chars: 9))",
        ),
        (Rule("hash", (("chars", 8), ("more", None), ("less", 2))), "hash (chars: 8, less: 2)"),
    ],
)
def test_a_rule_is_shown_with_its_parameters_and_without_values(rule: Rule, shown: str) -> None:
    assert rule.display_name == shown


def test_the_names_of_a_rule_are_its_own_and_those_within_it() -> None:
    assert parse_rule("email").all_names == {"email"}
    assert json_rule(a="email", b="null").all_names == {"json", "email", "null"}


def test_long_numbers_and_literals_are_not_shown() -> None:
    assert without_values("id = 1234 OR id = 12345 OR a = 'x'") == "id = 1234 OR id = … OR a = '…'"


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (read_masks, {"a": "email"}, "has no columns and rules for 'a'"),
        (read_masks, {"a": {"b": "x y"}}, "for a.b has the unknown rule 'x y'; "),
        (
            read_masks,
            {"a": {True: "email"}},
            "for a.True has a column name that is not a text: put it in quotes",
        ),
        (
            read_masks,
            {"a": {"": "email"}},
            "for a. has a column name that is not a text: put it in quotes",
        ),
        (read_rows, {"a": 5}, "has no condition for 'a'"),
        (read_rows, {"a": " "}, "has no condition for 'a'"),
        (read_mapping, {"masks": {}}, "has the key 'masks' around it: leave it out"),
        (read_mapping, {"rows": {}}, "has the key 'rows' around it: leave it out"),
        (read_mapping, 5, "is not a mapping of table patterns"),
        (read_mapping, {5: {}}, "is not a mapping of table patterns"),
        (read_mapping, {"": {}}, "is not a mapping of table patterns"),
        (read_mapping, "{a: {}, a: {}}", "is not YAML: the key 'a' occurs twice, below line 1"),
        (read_mapping, "{\n a: {b: 1,\n b: 2}}", "is not YAML: the key 'b' occurs twice"),
    ],
)
def test_what_would_not_be_heeded_is_refused_with_the_reason(
    read: Any, value: object, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        read(value)


def test_masks_are_read_as_rules_and_rules_stay_as_they_are() -> None:
    rule = parse_rule({"hash": 9})
    assert read_masks({"a": {"b": rule, "c": None}, "d": {}}) == {
        "a": {"b": rule, "c": Rule("null")},
        "d": {},
    }


def test_a_mapping_may_have_patterns_that_are_called_masks_and_rows() -> None:
    both: dict[str, Any] = {"masks": {}, "rows": {}}
    assert read_mapping(both) == both
    assert read_mapping(" {a: {b: email}} ") == {"a": {"b": "email"}}
    assert read_rows({"a": "id > 5"}) == {"a": "id > 5"}


def test_a_file_is_read_as_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("masks.yaml").write_bytes("größe: {ä: email}".encode())
    assert read_mapping(" masks.yaml\n") == {"größe": {"ä": "email"}}
    Path("latin.yaml").write_bytes("größe: {}".encode("latin-1"))
    for name in ("latin.yaml", "none.yaml"):
        with pytest.raises(ValueError, match=r"^is not a mapping, and '/.*' cannot be read$"):
            read_mapping(name)
    Path("list.yaml").write_text("[a]")
    with pytest.raises(ValueError, match=r"^is not a mapping of table patterns$"):
        read_mapping("list.yaml")
