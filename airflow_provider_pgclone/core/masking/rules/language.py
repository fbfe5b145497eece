"""Reads masks and row conditions as users write them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_pgclone.core.postgres import REDACTED, without_literals

_MOST_HASH_CHARS = 64
_LEAST_HASH_CHARS = 8
_MOST_SHIFT_DAYS = 36_500
_UNITS = ("day", "week", "month", "quarter", "year")
# The step of a bucket may be called the size of numbers or the unit of dates.
_ALIASES = {"size": "step", "unit": "step"}
# Such a number may identify somebody.
_LONG_NUMBER = re.compile(r"\d{5,}")


@dataclass(frozen=True)
class Rule:
    """What a dump reads in place of a column.

    :param parameters: each with its value, which may be the default.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return dict(self.parameters)[name]

    @property
    def display_name(self) -> str:
        """The rule as reports show it, without anything that may be a value of a row."""
        shown = [f"{name}: {_shown(value)}" for name, value in self.parameters if value is not None]
        if self.name == "constant" or not shown:
            return self.name
        return f"{self.name} ({', '.join(shown)})"

    @property
    def all_names(self) -> set[str]:
        """The names of the rule and of the rules within it."""
        inner = dict(self.parameters).get("paths", ())
        return {self.name}.union(*(rule.all_names for _, rule in inner))


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
        raise ValueError(
            f"has {value!r}, which is neither the name of a rule nor a rule with values"
        )
    ((name, given),) = value.items()
    if name not in PARAMETERS:
        raise ValueError(f"has the unknown rule {name!r}; the rules are {', '.join(PARAMETERS)}")
    return Rule(name, tuple(_parameters(name, given).items()))


def read_masks(value: Any) -> dict[str, dict[str, Rule]]:
    """Read masks, ``{table pattern: {column: rule}}``, or the path of a file that contains them."""
    masks: dict[str, dict[str, Rule]] = {}
    for pattern, columns in read_mapping(value).items():
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


def read_rows(value: Any) -> dict[str, str]:
    """Read conditions, ``{table pattern: SQL}``, or the path of a file that contains them."""
    rows = read_mapping(value)
    for pattern, condition in rows.items():
        if not isinstance(condition, str) or not condition.strip():
            raise ValueError(f"has no condition for {pattern!r}")
    return rows


def without_values(sql: str) -> str:
    """Return SQL without literals and without long numbers."""
    return _LONG_NUMBER.sub(REDACTED, without_literals(sql))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(f"{path} {rule.display_name}" for path, rule in value)
    return without_values(value) if isinstance(value, str) else str(value)


def _parameters(name: str, given: Any) -> dict[str, Any]:
    declared = PARAMETERS[name]
    main = next(iter(declared), None)
    if name == "json":
        return {"paths": _paths(given)}
    is_named = isinstance(given, Mapping) and (not given or set(given) & {*declared, *_ALIASES})
    if not is_named or name == "constant":
        if main is None:
            raise ValueError(f"gives a value to the rule {name}, which takes nothing")
        given = {main: given}
    given = {_ALIASES.get(parameter, parameter): value for parameter, value in given.items()}
    unknown = set(given) - set(declared)
    if unknown:
        raise ValueError(f"gives the rule {name} the unknown parameter {sorted(unknown)[0]!r}")
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
        raise ValueError(
            f"gives the other keys of json the rule {others.name}; they take only null or keep"
        )
    if all(rule.name == "keep" for _, rule in paths):
        raise ValueError("masks nothing by the rule json: use the rule keep")
    return paths


def _column(name: Any) -> str:
    if not isinstance(name, str) or not name:
        # Such as on, which YAML reads as true.
        raise ValueError("has a column name that is not a text: put it in quotes")
    return name


def read_mapping(value: Any) -> dict[str, Any]:
    """Read a mapping of table patterns as it is written, here or in the file that it names."""
    if isinstance(value, str):
        value = _loaded(value.strip())
    if isinstance(value, Mapping) and set(value) in ({"masks"}, {"rows"}):
        raise ValueError(f"has the key {next(iter(value))!r} around it: leave it out")
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise ValueError("is not a mapping of table patterns")
    return dict(value)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses duplicate keys; YAML would use only the last of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"the key {twice!r} occurs twice, below line {line}")
        return super().construct_mapping(node, deep=deep)


def _loaded(text: str) -> Any:
    if not text.startswith("{"):
        path = Path(text).absolute()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ValueError(f"is not a mapping, and {str(path)!r} cannot be read") from error
    try:
        return yaml.load(text, _UniqueKeyLoader)  # noqa: S506  # it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not a text")
    return value


def _number(value: Any) -> float:
    """Return a value as a number, or NaN, which is in no range, if it is not a number."""
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (ValueError, TypeError):
        return float("nan")


def _hash_chars(value: Any) -> int:
    number = _number(value)
    if number not in range(_LEAST_HASH_CHARS, _MOST_HASH_CHARS + 1):
        raise ValueError(f"is not a whole number from {_LEAST_HASH_CHARS} to {_MOST_HASH_CHARS}")
    return int(number)


def _domain(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9.-]{1,40}", value):
        raise ValueError("is not a domain of up to 40 letters, digits, dots and hyphens")
    return value


def _days(value: Any) -> int:
    number = _number(value)
    if number not in range(1, _MOST_SHIFT_DAYS + 1):
        raise ValueError(f"is not a whole number of days from 1 to {_MOST_SHIFT_DAYS}")
    return int(number)


def _percent(value: Any) -> float:
    number = _number(value)
    if not 0 < number <= 100:
        raise ValueError("is not a number above 0 and up to 100")
    return number


def _step(value: Any) -> str:
    """Return the size or the unit of a bucket as text."""
    if value in _UNITS:
        return str(value)
    number = _number(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"is neither a number above 0 nor one of {', '.join(_UNITS)}")
    return repr(int(number)) if number.is_integer() else repr(number)


def _constant(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        raise ValueError("is not a text, a number, true or false")
    return str(value).lower() if isinstance(value, bool) else str(value)


# The parameters of each rule: the function that reads a value, and the default. A parameter whose
# default is ``...`` is required.
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
