"""SQL of the user's, as all sessions of a dump can run it alike. Pure, but for what is volatile."""

import re
from datetime import datetime

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import (
    Session,
    has_comment,
    outside_literals,
    without_literals,
)

# https://www.postgresql.org/docs/current/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT
_PRECISION = r"(?:\s*\(\s*\d\s*\))?"
_CURRENT = (
    (re.compile(rf"\bcurrent_timestamp\b{_PRECISION}", re.IGNORECASE), "timestamptz"),
    (
        re.compile(
            r"(?<!\w)(?:pg_catalog\s*\.\s*)?\b(?:now|transaction_timestamp|statement_timestamp"
            r"|clock_timestamp)\s*\(\s*\)",
            re.IGNORECASE,
        ),
        "timestamptz",
    ),
    (re.compile(rf"\blocaltimestamp\b{_PRECISION}", re.IGNORECASE), "timestamp"),
    (re.compile(r"\bcurrent_date\b", re.IGNORECASE), "date"),
    (re.compile(rf"\bcurrent_time\b{_PRECISION}", re.IGNORECASE), "timetz"),
    (re.compile(rf"\blocaltime\b{_PRECISION}", re.IGNORECASE), "time"),
)
_MOMENT = re.compile(
    r"(?:'|\$\w*\$)\s*(?:now|today|tomorrow|yesterday)\s*(?:['$\d+-])", re.IGNORECASE
)
_CALLED = re.compile(r'([^\W\d][\w$]*|"(?:[^"]|"")+")\s*\(')
# https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-INTERPOLATION
# Only those in capital letters are set.
_PSQL_VARIABLE = re.compile(r"(?<!:):(?:['\"{]|[A-Z])")


def at_instant(text: str, instant: datetime) -> str:
    """Return SQL in which it is now as the dump starts, in all of its sessions.

    They start one after the other: rows that one leaves out would be needed by those of another.

    :raises InvalidInputError: for SQL that psql would read in its own way.
    """
    bare = without_literals(text)
    _check_one_expression(text, bare)
    if _PSQL_VARIABLE.search(bare):
        raise InvalidInputError(
            f"{bare.strip()!r} has a colon that psql takes for that of a variable",
            hint="Write a space behind it.",
        )
    now = f"('{instant.isoformat()}'::timestamptz)"

    def replaced(code: str) -> str:
        for pattern, cast in _CURRENT:
            code = pattern.sub(now if cast == "timestamptz" else f"({now}::{cast})", code)
        return code

    return outside_literals(text, replaced)


def _check_one_expression(text: str, bare: str) -> None:
    """Refuse what would not stay within the parentheses in which it stands.

    :raises InvalidInputError: naming it.
    """
    depth = 0
    for character in bare:
        depth += (character in "([") - (character in ")]")
        if depth < 0:
            break
    if depth != 0 or ";" in bare:
        raise InvalidInputError(
            f"{bare.strip()!r} is not one expression",
            hint="Close each parenthesis that it opens, and no other.",
        )
    if has_comment(text):
        raise InvalidInputError(
            f"{bare.strip()!r} has a comment", hint="Leave it out; SQL hides things behind it."
        )
    if _MOMENT.search(text):
        raise InvalidInputError(
            f"{bare.strip()!r} has a moment as a literal, which is another in each session",
            hint="Write now() or current_date.",
        )


def volatile_functions(session: Session, text: str) -> list[str]:
    """Return the functions in SQL that may give something else each time."""
    called = _CALLED.findall(without_literals(text))
    names = [name[1:-1].replace('""', '"') if name[0] == '"' else name.lower() for name in called]
    rows = session.execute(
        "SELECT DISTINCT proname::text FROM pg_proc WHERE proname = ANY(%s) AND provolatile = 'v' "
        "ORDER BY 1",
        [names],
    )
    return [name for (name,) in rows]
