"""Masks and row conditions as users write them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_pgclone.core.postgres import REDACTED, without_literals

_UNITS = ("day", "week", "month", "quarter", "year")


MOST_HASH_CHARS = 64


LEAST_HASH_CHARS = 8


MOST_SHIFT_DAYS = 36_500


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is no text")
    return value


def _number(value: Any) -> float:
    """Return a number, one that is none of them for what is none."""
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (ValueError, TypeError):
        return float("nan")


def _hash_chars(value: Any) -> int:
    number = _number(value)
    if number not in range(LEAST_HASH_CHARS, MOST_HASH_CHARS + 1):
        raise ValueError(f"is no whole number from {LEAST_HASH_CHARS} to {MOST_HASH_CHARS}")
    return int(number)


def _domain(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9.-]{1,40}", value):
        raise ValueError("is no domain of up to 40 letters, digits, dots and hyphens")
    return value


def _days(value: Any) -> int:
    number = _number(value)
    if number not in range(1, MOST_SHIFT_DAYS + 1):
        raise ValueError(f"is no whole number of days from 1 to {MOST_SHIFT_DAYS}")
    return int(number)


def _percent(value: Any) -> float:
    number = _number(value)
    if not 0 < number <= 100:
        raise ValueError("is no number above 0 and up to 100")
    return number


def _step(value: Any) -> str:
    """Read a size of numbers or a unit of dates, and return it as text."""
    if value in _UNITS:
        return str(value)
    number = _number(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"is neither a number above 0 nor one of {', '.join(_UNITS)}")
    return repr(int(number)) if number.is_integer() else repr(number)


def _constant(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        raise ValueError("is no text, number or truth value")
    return str(value).lower() if isinstance(value, bool) else str(value)


# The rule, what it takes, how that is read, and its default; ``...`` is none.
PARAMETERS: Mapping[str, Mapping[str, tuple[Callable[[Any], Any], Any]]] = {
    "keep": {},
    "null": {},
    "constant": {"value": (_constant, ...)},
    "sql": {"expression": (_text, ...)},
    "hash": {"chars": (_hash_chars, 32)},
    "email": {"domain": (_domain, "example.com")},
    "name": {},
    "first_name": {},
    "last_name": {},
    "company": {},
    "phone": {},
    "address": {},
    "city": {},
    "digits": {},
    "text": {},
    "uuid": {},
    "ip": {},
    "url": {},
    "date_shift": {"days": (_days, 180)},
    "noise": {"percent": (_percent, 10.0)},
    "bucket": {"step": (_step, ...)},
    "json": {},
}


# Of the rule bucket: numbers have a size, and dates a unit.
_LONG_NUMBER = re.compile(r"\d{5,}")


_ALIASES = {"size": "step", "unit": "step"}


@dataclass(frozen=True)
class Rule:
    """What is read in the place of a column.

    :param parameters: the values of all that it takes.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return dict(self.parameters)[name]

    @property
    def display_name(self) -> str:
        """What a report calls it: nothing of it may be a value of a row."""
        shown = [f"{name}: {_shown(value)}" for name, value in self.parameters if value is not None]
        if self.name == "constant" or not shown:
            return self.name
        return f"{self.name} ({', '.join(shown)})"

    @property
    def all_names(self) -> set[str]:
        """The name of the rule, and of those within it."""
        inner = dict(self.parameters).get("paths", ())
        return {self.name}.union(*(rule.all_names for _, rule in inner))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(f"{path} {rule.display_name}" for path, rule in value)
    return without_values(value) if isinstance(value, str) else str(value)


def without_values(sql: str) -> str:
    """Return SQL of the user's without literals and without numbers that could name anybody."""
    return _LONG_NUMBER.sub(REDACTED, without_literals(sql))


def parse_rule(value: Any) -> Rule:
    """Read a rule.

    :raises ValueError: with the reason.
    """
    if value is None:
        value = "null"
    if value == "decide":
        raise ValueError("is still to be decided: choose a rule, or keep")
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f"has {value!r}, which is neither the name of a rule nor one with values")
    ((name, given),) = value.items()
    if name not in PARAMETERS:
        raise ValueError(f"has the unknown rule {name!r}; the rules are {', '.join(PARAMETERS)}")
    return Rule(name, tuple(_parameters(name, given).items()))


def _parameters(name: str, given: Any) -> dict[str, Any]:
    declared = PARAMETERS[name]
    main = next(iter(declared), None)
    if name == "json":
        return {"paths": _paths(given)}
    is_named = isinstance(given, Mapping) and (not given or set(given) & {*declared, *_ALIASES})
    if not is_named or name == "constant":
        if main is None:
            raise ValueError(f"gives something to the rule {name}, which takes nothing")
        given = {main: given}
    given = {_ALIASES.get(parameter, parameter): value for parameter, value in given.items()}
    unknown = set(given) - set(declared)
    if unknown:
        raise ValueError(f"gives {sorted(unknown)[0]!r} to the rule {name}, which it does not take")
    values = {}
    for parameter, (read, default) in declared.items():
        try:
            values[parameter] = read(given[parameter]) if parameter in given else default
        except (ValueError, TypeError) as error:
            raise ValueError(f"gives the rule {name} a {parameter} that {error}") from error
        if values[parameter] is ...:
            raise ValueError(f"gives the rule {name} no {parameter}")
    return values


def _paths(given: Any) -> tuple[tuple[str, Rule], ...]:
    if not isinstance(given, Mapping) or not given:
        raise ValueError("gives the rule json no paths, such as {'contact.email': 'email'}")
    if "paths" in given and isinstance(given["paths"], Mapping):
        given = given["paths"]
    paths = tuple((str(path), parse_rule(rule)) for path, rule in given.items())
    others = dict(paths).get("*")
    if others is not None and others.name not in ("keep", "null"):
        raise ValueError(f"gives the other keys of json the rule {others.name}, not null or keep")
    if all(rule.name == "keep" for _, rule in paths):
        raise ValueError("masks nothing by the rule json: the rule keep alone does so")
    return paths


def read_masks(value: Any) -> dict[str, dict[str, Rule]]:
    """Read masks, ``{table pattern: {column: rule}}``, or the path of a file that has them."""
    masks: dict[str, dict[str, Rule]] = {}
    for pattern, columns in _mapping(value, "table patterns").items():
        if not isinstance(columns, Mapping):
            raise ValueError(f"has no columns and rules for {pattern!r}")
        masks[pattern] = {}
        for column, rule in columns.items():
            try:
                masks[pattern][_column(column)] = (
                    rule if isinstance(rule, Rule) else parse_rule(rule)
                )
            except ValueError as error:
                raise ValueError(f"for {pattern}.{column} {error}") from error
    return masks


def _column(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError("has a name that is no text: put it in quotes")  # YAML reads on as true
    return name


def read_rows(value: Any) -> dict[str, str]:
    """Read row filters, ``{table pattern: SQL condition}``, or the path of a file that has them."""
    rows = _mapping(value, "table patterns")
    for pattern, condition in rows.items():
        if not isinstance(condition, str) or not condition.strip():
            raise ValueError(f"has no condition for {pattern!r}")
    return rows


def _mapping(value: Any, keys: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = _loaded(value.strip())
    if isinstance(value, Mapping) and set(value) in ({"masks"}, {"rows"}):
        raise ValueError(f"has the key {next(iter(value))!r} around it: leave it out")
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise ValueError(f"is no mapping of {keys}")
    return dict(value)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, of which the first would be forgotten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"the key {twice!r} is there twice, below line {line}")
        return super().construct_mapping(node, deep=deep)


def _loaded(text: str) -> Any:
    if not text.startswith("{"):
        path = Path(text).absolute()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ValueError(f"is no mapping, and {str(path)!r} cannot be read") from error
    try:
        return yaml.load(text, _UniqueKeyLoader)  # noqa: S506  # it is a safe one
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {error}") from error
