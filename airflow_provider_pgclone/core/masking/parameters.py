"""What each rule takes: the thing that may stand alone comes first."""

import re
from collections.abc import Callable, Mapping
from typing import Any

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
