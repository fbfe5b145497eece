"""Reads the values of options, which may be texts from a config file or a template."""

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.masking.rules import Rule

_TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0"})
# In days: as far back from today as Python's calendar goes.
MAX_AGE = 500_000


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    if not value:
        raise ValueError("is empty")
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
        raise ValueError("is not a whole number of at least 1")
    return int(value)


def whole_number(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal():
        raise ValueError("is not a whole number of at least 0")
    return int(value)


def age(value: Any) -> float:
    """Read an age, in the unit that the option's name gives."""
    number = _number(value)
    if not 0 <= number <= MAX_AGE:
        raise ValueError(f"is not a number from 0 to {MAX_AGE:,}")
    return number


def memory(value: Any) -> str:
    """Read an amount of memory as PostgreSQL writes it; the result has no spaces."""
    amount = re.fullmatch(r"\s*(\d+)\s*(kB|MB|GB|TB)\s*", str(value))
    if amount is None:
        raise ValueError("is not an amount of memory such as 256MB")
    return "".join(amount.groups())


def zstd_level(value: Any) -> int:
    level = positive_integer(value)
    if level > 19:
        raise ValueError("is more than 19")
    return level


def seconds(value: Any) -> float:
    number = _number(value)
    if not 0 <= number < float("inf"):
        raise ValueError("is not a number of seconds")
    return number


def _number(value: Any) -> float:
    """Return a number; a negative one for a value that is not a number."""
    if isinstance(value, bool):
        return -1.0
    try:
        return float(value)
    except ValueError:
        return -1.0


def names(value: Any) -> list[str]:
    """Read a list; a text may have the form of Python or JSON, or separate the names by commas."""
    if isinstance(value, str):
        written = value.strip()
        value = (
            ast.literal_eval(written)
            if written.startswith("[")
            else [part.strip() for part in written.split(",") if part.strip()]
        )
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("is not a list of names")
    return list(value)


def statements(value: Any) -> list[str]:
    """Read one SQL statement, or a list of them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [value]
    found = names(value)
    if not all(statement.strip() for statement in found):
        raise ValueError("contains an empty statement")
    return found


def one_of(*words: str) -> Callable[[Any], str]:
    """Return a reader that accepts some words, in upper or lower case."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word in words:
            return word
        if len(words) == 2:
            raise ValueError(f"is neither {words[0]} nor {words[1]}")
        raise ValueError(f"is not one of {', '.join(words)}")

    return read


# The rules of masking need psycopg and YAML, which a DAG file should not load.


def masks(value: Any) -> "dict[str, dict[str, Rule]]":
    """Read ``{table pattern: {column: rule}}``, or the path of a file that contains it."""
    from airflow_provider_pgclone.core.masking.rules import read_masks

    return read_masks(value)


def mapping(value: Any) -> dict[str, Any]:
    """Return masks or rows as they are written, here or in the file that the value names."""
    from airflow_provider_pgclone.core.masking.rules import read_mapping

    return read_mapping(value)


def rows(value: Any) -> dict[str, str]:
    """Read ``{table pattern: SQL condition}``, or the path of a file that contains it."""
    from airflow_provider_pgclone.core.masking.rules import read_rows

    return read_rows(value)
