"""Reading the values of options, which may be texts of a config file or a template."""

import ast
import re
from collections.abc import Callable
from typing import Any

_TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0"})
# As far as the calendar goes back from today in days.
MAX_AGE = 500_000


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is no text")
    return value


def flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError("is neither true nor false")


def positive_integer(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal() or int(value) < 1:
        raise ValueError("is no whole number from 1 up")
    return int(value)


def whole_number(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal():
        raise ValueError("is no whole number from 0 up")
    return int(value)


def age(value: Any) -> float:
    """Read how old something is, in the unit that the option names."""
    number = _number(value)
    if not 0 <= number <= MAX_AGE:
        raise ValueError(f"is no number from 0 to {MAX_AGE:,}")
    return number


def memory(value: Any) -> str:
    """Read an amount as PostgreSQL takes it, without a space."""
    amount = re.fullmatch(r"\s*(\d+)\s*(kB|MB|GB|TB)\s*", str(value))
    if amount is None:
        raise ValueError("is no amount of memory such as 256MB")
    return "".join(amount.groups())


def zstd_level(value: Any) -> int:
    level = positive_integer(value)
    if level > 19:
        raise ValueError("is more than 19")
    return level


def seconds(value: Any) -> float:
    number = _number(value)
    if not 0 <= number < float("inf"):
        raise ValueError("is no number of seconds")
    return number


def _number(value: Any) -> float:
    """Return a number, a negative one for what is none."""
    if isinstance(value, bool):
        return -1.0
    try:
        return float(value)
    except ValueError:
        return -1.0


def names(value: Any) -> list[str]:
    """Read a list; in text, one that is written as in Python or JSON, or separated by commas."""
    if isinstance(value, str):
        written = value.strip()
        value = (
            ast.literal_eval(written)
            if written.startswith("[")
            else [part.strip() for part in written.split(",") if part.strip()]
        )
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("is no list of names")
    return list(value)


def statements(value: Any) -> list[str]:
    """Read one SQL statement, or a list of them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [value]
    found = names(value)
    if not all(statement.strip() for statement in found):
        raise ValueError("has an empty statement")
    return found


def one_of(one: str, other: str) -> Callable[[Any], str]:
    """Return what reads one of two words, in any case."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in (one, other):
            raise ValueError(f"is neither {one} nor {other}")
        return word

    return read
