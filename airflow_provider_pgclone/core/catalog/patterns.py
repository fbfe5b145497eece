"""Patterns of names, in the syntax of psql and pg_dump.

https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
"""

import re
import warnings
from dataclasses import dataclass

from airflow_provider_pgclone.core.errors import InvalidInputError

_PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*")
_MEANINGS = {"*": ".*", "?": ".", "$": r"\$"}


@dataclass(frozen=True)
class NamePattern:
    """A pattern of tables, as regular expressions that match whole names.

    :param schema: ``None`` selects the tables on the search path.
    """

    schema: re.Pattern[str] | None
    name: re.Pattern[str]


@dataclass(frozen=True)
class ColumnPattern:
    """A pattern of columns, as regular expressions; ``None`` matches any name."""

    schema: re.Pattern[str] | None
    table: re.Pattern[str] | None
    column: re.Pattern[str]

    def matches(self, schema: str, table: str, column: str) -> bool:
        """Tell whether the pattern matches a column."""
        return (
            self.column.fullmatch(column) is not None
            and (self.table is None or self.table.fullmatch(table) is not None)
            and (self.schema is None or self.schema.fullmatch(schema) is not None)
        )


def display_name(*parts: str) -> str:
    """Return a name for messages and patterns; parts that are not plain identifiers are quoted."""
    return ".".join(
        part if _PLAIN_NAME.fullmatch(part) else '"' + part.replace('"', '""') + '"'
        for part in parts
    )


def parse_table_pattern(text: str) -> NamePattern:
    """Parse a pattern such as ``public.user*`` or ``"Odd Name"``.

    :raises InvalidInputError: for more than one dot, an empty part or an open quote.
    """
    parts = _split(text)
    if len(parts) > 2:
        raise InvalidInputError(
            f"the table pattern {text!r} has too many dots",
            hint="Write schema.table. Put a name that contains a dot in double quotes.",
        )
    schema, name = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])
    return NamePattern(schema, name)


def parse_column_pattern(text: str) -> ColumnPattern:
    """Parse a pattern such as ``public.users.id``, ``users.id`` or ``*_id``.

    :raises InvalidInputError: for more than two dots, an empty part or an open quote.
    """
    parts = _split(text)
    if len(parts) > 3:
        raise InvalidInputError(
            f"the column pattern {text!r} has too many dots",
            hint="Write schema.table.column. Put a name that contains a dot in double quotes.",
        )
    schema, table, column = (None, None, None, *parts)[-3:]
    assert column is not None  # noqa: S101
    return ColumnPattern(schema, table, column)


def parse_schema_pattern(text: str) -> re.Pattern[str]:
    """Parse a pattern of schema names.

    :raises InvalidInputError: for a dot outside quotes, an empty pattern or an open quote.
    """
    parts = _split(text)
    if len(parts) != 1:
        raise InvalidInputError(
            f"the schema pattern {text!r} has a dot",
            hint="Put a name that contains a dot in double quotes.",
        )
    return parts[0]


def _split(text: str) -> list[re.Pattern[str]]:
    parts: list[str] = []
    part, quoted = "", False
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                part, position = part + '"', position + 1
            else:
                quoted = not quoted
        elif quoted:
            part += re.escape(character)
        elif character == ".":
            parts, part = [*parts, part], ""
        else:
            part += _unquoted(character, text[position + 1 : position + 2])
        position += 1
    if quoted or not all([*parts, part]):
        raise InvalidInputError(f"{text!r} is not a valid name pattern")
    try:
        with warnings.catch_warnings():
            # Python warns of sets such as [[:digit:]], which it reads in another way than
            # PostgreSQL.
            warnings.simplefilter("error", FutureWarning)
            return [re.compile(expression, re.DOTALL) for expression in [*parts, part]]
    except (re.error, OverflowError, FutureWarning) as error:
        raise InvalidInputError(f"{text!r} is not a valid name pattern: {error}") from error


def _unquoted(character: str, following: str) -> str:
    """Translate a character outside quotes, as patternToSQLRegex() in psql does."""
    if character == "[" and following == "]":  # psql expects an array type here rather than a set
        return r"\["
    if character in _MEANINGS:
        return _MEANINGS[character]
    # Only ASCII letters are folded to lower case. Other characters are a regular expression.
    return character.lower() if character.isascii() else character
