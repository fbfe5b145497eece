"""Removes the values of rows from what PostgreSQL's programs and servers say."""

import re
from collections.abc import Iterable

from airflow_provider_pgclone.core.postgres.sql_text import REDACTED

# What a program says itself, and what it passes on of the server behind its first line.
_TOOL_LINE = re.compile(r"\S+: (?:error|warning|detail|hint|ERROR|FATAL|PANIC)\b")
_SERVER_FIELD = re.compile(r"[^\s:]+:  ")
# pg_restore's own words before the server's, and the server's, which may be in any language.
_SERVER_SAID = re.compile(
    r"(could not execute query: |query failed: |error returned by \w+: |"
    r'COPY failed for table "(?:[^"]|"")*": |.*?(?=(?:ERROR|FATAL|PANIC): ))'
    r"((?:ERROR|FATAL|PANIC): +)?(.*)"
)
# What the server quotes is the name of such a thing, or else it may be a value of a row.
_NAMED = re.compile(
    r"\b(?:attribute|class|collation|column|configuration|constraint|conversion|database|dictionary"
    r"|domain|encoding|extension|family|file|function|index|language|library|member|method|object"
    r"|operator|option|parameter|parser|partition|policy|procedure|publication|relation|role|rule"
    r"|schema|sequence|server|subscription|table|tablespace|template|trigger|type|user|view"
    r"|wrapper) $"
)
_ANY_QUOTES = re.compile("[\"'`´“”„‟‘’‚«»‹›「」『』].*")
# The server may call an error ERROR in other languages, too.
_OTHER_QUOTES = re.compile("[`´“”„‟‘’‚«»‹›「」『』].*")
_BYTES = re.compile(r"0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*")


def redact_output(lines: Iterable[str]) -> str:
    """Return what a program said, without what may be values of rows.

    The lines of the server that follow the first, such as DETAIL and CONTEXT, are dropped.
    """
    said: list[str] = []
    is_field = False
    for line in lines:
        if _TOOL_LINE.match(line):
            is_field = False
        elif _SERVER_FIELD.match(line):
            is_field = True
        if not is_field:
            said.append(redact_values(line, is_raised=False))
    return "\n".join(said)


def redact_values(line: str, *, is_raised: bool) -> str:
    match = _SERVER_SAID.fullmatch(line)
    if match is None:
        return line  # pg_restore's own
    head, severity, said = match.group(1), match.group(2) or "", match.group(3)
    if is_raised:
        return f"{head}{severity}{REDACTED}"
    if not severity:
        return head + _ANY_QUOTES.sub(REDACTED, _BYTES.sub(REDACTED, said))
    return head + severity + _BYTES.sub(REDACTED, redact_all_but_names(said))


def redact_all_but_names(said: str) -> str:
    """Take out all from the first quote that is not that of a name up to the last quote."""
    said = _OTHER_QUOTES.sub(REDACTED, said)
    start = said.find('"')
    while start >= 0:
        end = said.find('"', start + 1)
        if end < 0:
            return said[:start] + REDACTED
        if not _NAMED.search(said[:start]):
            is_closed = said.count('"', start) % 2 == 0
            return said[:start] + REDACTED + (said[said.rfind('"') + 1 :] if is_closed else "")
        start = said.find('"', end + 1)
    return said
