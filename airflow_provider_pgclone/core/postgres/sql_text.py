"""SQL as text: quotes names and literals, and removes literals from statements."""

import re
from collections.abc import Callable

REDACTED = "…"
# PostgreSQL takes every character beyond ASCII for a letter, also spaces and signs: ident_start in
# https://github.com/postgres/postgres/blob/master/src/backend/parser/scan.l
LETTERS = r"A-Za-z_\x80-\U0010ffff"
# Double quotes contain a name. Comments and all other quotes may contain anything.
_TOKEN = re.compile(
    rf"""
    (?P<name>"(?:[^"]|"")*")
    | (?<![{LETTERS}0-9$])[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)
    | '(?:[^']|'')*(?:'|\Z)
    | "[^"]*\Z
    | (?<![{LETTERS}0-9$])\$(?P<tag>(?:[{LETTERS}][{LETTERS}0-9]*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | --[^\n]*
    | /\*.*?(?:\*/|\Z)
    """,
    re.DOTALL | re.VERBOSE,
)


def qualified(schema: str, name: str) -> str:
    """Return a schema and a name as SQL that means the same in every client encoding."""
    return f"{quote_ascii(schema)}.{quote_ascii(name)}"


def quote(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_ascii(name: str) -> str:
    """Return a name as an SQL identifier that means the same in every client encoding."""
    if name.isascii():
        return quote(name)
    escaped = (
        character if character.isascii() and character != "\\" else f"\\+{ord(character):06x}"
        for character in name
    )
    return "U&" + quote("".join(escaped))


def literal(text: str) -> str:
    """Return a text as an SQL literal that means the same with all settings of a session."""
    if "\\" in text or not text.isprintable():
        escaped = "".join(
            "\\\\"
            if character == "\\"
            else f"\\U{ord(character):08x}"
            if not character.isprintable()
            else character
            for character in text.replace("'", "''")
        )
        return f"E'{escaped}'"
    return "'" + text.replace("'", "''") + "'"


def without_literals(statement: str) -> str:
    """Return SQL without comments, and with ``…`` in place of the text of each literal."""
    return _TOKEN.sub(_redacted, statement)


def has_comment(statement: str) -> bool:
    """Tell whether SQL has a comment."""
    tokens = _TOKEN.finditer(statement)
    return any(token[0].startswith(("--", "/*")) for token in tokens)


def outside_literals(statement: str, change: Callable[[str], str]) -> str:
    """Apply a change to SQL, but not to its literals, quoted names and comments."""
    changed, start = "", 0
    for token in _TOKEN.finditer(statement):
        changed += change(statement[start : token.start()]) + token[0]
        start = token.end()
    return changed + change(statement[start:])


def _redacted(token: re.Match[str]) -> str:
    name: str | None = token["name"]
    if name is not None:
        return name
    return "" if token[0].startswith(("--", "/*")) else f"'{REDACTED}'"
