"""Removes values of rows from the messages of PostgreSQL's programs and servers."""

import re
from collections.abc import Iterable

from airflow_provider_pgclone.core.postgres.sql_text import REDACTED

# A line of the program itself.
_TOOL_LINE = re.compile(r"\S+: (?:error|warning|detail|hint|ERROR|FATAL|PANIC)\b")
# A line of the server after its first one.
_SERVER_FIELD = re.compile(r"[^\s:]+:  ")
# The words of pg_restore, then the words of the server, which may be in any language.
_SERVER_SAID = re.compile(
    r"(could not execute query: |query failed: |error returned by \w+: |"
    r"could not (?:create|open) large object \d+: |"
    r'COPY failed for table "(?:[^"]|"")*": |.*?(?=(?:ERROR|FATAL|PANIC): ))'
    r"((?:ERROR|FATAL|PANIC): +)?(.*)"
)
# After one of these words the server quotes a name. Other quotes may contain values of rows.
_NAMED = re.compile(
    r"\b(?:attribute|class|collation|column|configuration|constraint|conversion|database|dictionary"
    r"|domain|encoding|extension|family|file|function|index|language|library|member|method|object"
    r"|operator|option|parameter|parser|partition|policy|procedure|publication|relation|role|rule"
    r"|schema|sequence|server|subscription|table|tablespace|template|trigger|type|user|view"
    r"|wrapper) $"
)
_ANY_QUOTES = re.compile("[\"'`´“”„‟‘’‚«»‹›「」『』].*")
# The word ERROR is the same in some other languages, which quote differently.
_OTHER_QUOTES = re.compile("[`´“”„‟‘’‚«»‹›「」『』].*")
_BYTES = re.compile(r"0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*")


def redact_output(lines: Iterable[str]) -> str:
    """Return the output of a program without anything that may be a value of a row.

    Lines of the server after its first one, such as DETAIL and CONTEXT, are dropped.
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


def server_said(line: str) -> tuple[str, str, str] | None:
    """Return the words of a program, the severity if it is in English, and those of the server.

    ``None`` if the line repeats nothing of the server.
    """
    match = _SERVER_SAID.fullmatch(line)
    return None if match is None else (match.group(1), match.group(2) or "", match.group(3))


def redact_values(line: str, *, is_raised: bool) -> str:
    """Return a line of a program without anything that may be a value of a row.

    :param is_raised: whether code of a user raised the error, so that its text may be any value.
    """
    parts = server_said(line)
    if parts is None:
        return line  # pg_restore's own
    head, severity, said = parts
    if is_raised:
        return f"{head}{severity}{REDACTED}"
    if not severity:
        return head + _ANY_QUOTES.sub(REDACTED, _BYTES.sub(REDACTED, said))
    return head + severity + _BYTES.sub(REDACTED, redact_all_but_names(said))


def redact_all_but_names(said: str) -> str:
    """Remove everything between the first quote that does not quote a name and the last quote."""
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
