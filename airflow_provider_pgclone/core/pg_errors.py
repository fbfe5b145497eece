"""What pg_restore says went wrong: read, freed of row data, and told apart from what is harmless.

pg_restore exits with 1 both after an error that changes nothing and after one that lost a table;
only its messages tell which. Its own words are fixed by ``LC_ALL=C``; the server's may be in any
language, so that the statement decides where it can.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# What a program says itself, and what it passes on of the server behind its first line.
_TOOL_LINE = re.compile(r"\S+: (?:error|warning|detail|hint|ERROR|FATAL|PANIC)\b")
_SERVER_FIELD = re.compile(r"[^\s:]+:  ")
# Its processes write the prefix apart from the rest, so that some may come together.
_PROGRAM_LINE = re.compile(r"(?:pg_restore: *)+(?:(\w+): )?(.*)")
_STAGE_LINE = re.compile(r"while [A-Z ]+:")
_ENTRY_LINE = re.compile(r"from TOC entry \d+; \d+ \d+ (.*)")
_IGNORED_LINE = re.compile(r"errors ignored on restore: (\d+)")
_COMMAND = "Command was: "
_HINT = "HINT: "
_CONTEXT = "CONTEXT: "

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
# Where the words of an error are those of a function's author, who may put a row into them.
_RAISED = re.compile(r"PL/pgSQL.*\b(?:RAISE|ASSERT)\b|PL/(?!pgSQL)|Traceback")
_COPY_CONTEXT = re.compile(r"(?:CONTEXT: +)?(COPY .+?, line \d+(?:, column [^:]+)?)(?::|$)")
# Double quotes hold a name; comments and all other quotes may hold anything.
_TOKEN = re.compile(
    r"""
    (?P<name>"(?:[^"]|"")*")
    | (?<![\w$])[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)
    | '(?:[^']|'')*(?:'|\Z)
    | "[^"]*\Z
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | --[^\n]*
    | /\*.*?(?:\*/|\Z)
    """,
    re.DOTALL | re.VERBOSE,
)
_INSERTED = re.compile(r"\bVALUES\b.*", re.IGNORECASE | re.DOTALL)
REDACTED = "…"
MAX_COMMAND_CHARACTERS = 200


@dataclass(frozen=True)
class RestoreMessage:
    """One error of pg_restore.

    :param text: what the server or pg_restore said, without row data.
    :param command: the first line of the statement, without its literals; empty for row data.
    :param entry: the archive entry that was being restored; empty outside of one.
    """

    text: str
    command: str = ""
    entry: str = ""

    def __str__(self) -> str:
        entry = f"{self.entry}: " if self.entry else ""
        command = f" [{self.command}]" if self.command else ""
        return f"{entry}{self.text}{command}"


@dataclass(frozen=True)
class Harmless:
    """An error after which the restored database is the same as without it."""

    name: str
    matches: Callable[[RestoreMessage, int], bool]


# The statements are as pg_backup_archiver.c and pg_dump.c write them.
HARMLESS: Sequence[Harmless] = (
    Harmless(
        # pg_dump and pg_restore 17 and newer set it at the start of every session.
        "a session setting that the older server does not know",
        lambda message, server: server < 17 and message.command == "SET transaction_timeout = 0;",
    ),
    Harmless(
        # In archives made with --schema=public: a new database has that schema already.
        "the schema public of a new database",
        lambda message, _: message.command == "CREATE SCHEMA public;"
        and "already exists" in message.text,
    ),
)


def harmless_name(message: RestoreMessage, server_major: int) -> str | None:
    """Return the name of the harmless kind that an error is of, ``None`` for all other errors."""
    return next((kind.name for kind in HARMLESS if kind.matches(message, server_major)), None)


class RestoreMessages:
    """Reads pg_restore's stderr line by line into errors.

    :param on_error: called with each error once it is read whole.
    """

    def __init__(self, on_error: Callable[[RestoreMessage], None]) -> None:
        self._on_error = on_error
        self._lines: list[str] = []
        self._entry = ""
        self._has_started = False
        # What was said before pg_restore itself said anything, such as by the dynamic loader.
        self.before_start = ""
        self.ignored_count = 0

    def feed(self, line: str) -> None:
        match = _PROGRAM_LINE.fullmatch(line)
        if match is None:
            if self._lines:
                self._lines.append(line)
            elif not self._has_started:
                self.before_start += line
            return
        self._has_started = True
        severity, text = match.groups()
        if severity in ("detail", "hint") and self._lines:
            self._lines.append(f"{severity.upper()}:  {text}")
            return
        self.close()
        if severity == "error":
            self._lines = [text]
        elif _STAGE_LINE.fullmatch(text):
            self._entry = ""
        elif entry := _ENTRY_LINE.fullmatch(text):
            self._entry = entry.group(1)
        elif ignored := _IGNORED_LINE.fullmatch(text):
            self.ignored_count = int(ignored.group(1))

    def close(self) -> None:
        """Take the last error as whole."""
        if self._lines:
            # pg_restore names an entry before its first error only.
            message = _message(self._lines, self._entry)
            self._lines = []
            self._on_error(message)


def without_row_data(lines: Iterable[str]) -> str:
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
            said.append(_without_values(line, is_raised=False))
    return "\n".join(said)


def _message(lines: list[str], entry: str) -> RestoreMessage:
    starts = [number for number, line in enumerate(lines) if line.startswith(_COMMAND)]
    end = starts[0] if starts else len(lines)
    return RestoreMessage(_said(lines[:end]), _command(lines[end:]), entry)


def _said(lines: list[str]) -> str:
    """Return what of an error may be logged: never a value of a row."""
    first, *rest = lines
    shown = [_without_values(first, is_raised=any(_RAISED.search(line) for line in rest))]
    # With a context the error arose from a row or within a function, and so may the hint.
    if not any(line.startswith(_CONTEXT) for line in rest):
        shown += [_names_only(line) for line in rest if line.startswith(_HINT)]
    shown += [match.group(1) for line in rest if (match := _COPY_CONTEXT.match(line))]
    return "; ".join(shown)


def _without_values(line: str, *, is_raised: bool) -> str:
    match = _SERVER_SAID.fullmatch(line)
    if match is None:
        return line  # pg_restore's own
    head, severity, said = match.group(1), match.group(2) or "", match.group(3)
    if is_raised:
        return f"{head}{severity}{REDACTED}"
    if not severity:
        return head + _ANY_QUOTES.sub(REDACTED, _BYTES.sub(REDACTED, said))
    return head + severity + _BYTES.sub(REDACTED, _names_only(said))


def _names_only(said: str) -> str:
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


def _command(lines: list[str]) -> str:
    """Return the first line of a statement, with no literal."""
    statement = "\n".join(lines).removeprefix(_COMMAND).strip()
    shown = _INSERTED.sub(f"VALUES {REDACTED}", without_literals(statement))
    first_line = shown.strip().partition("\n")[0]
    if len(first_line) > MAX_COMMAND_CHARACTERS:
        return first_line[:MAX_COMMAND_CHARACTERS] + REDACTED
    return first_line


def without_literals(statement: str) -> str:
    """Return SQL in which no literal and no comment tells a value."""
    return _TOKEN.sub(_redacted, statement)


def has_comment(statement: str) -> bool:
    """Whether SQL has a comment."""
    tokens = _TOKEN.finditer(statement)
    return any(token[0].startswith(("--", "/*")) for token in tokens)


def outside_literals(statement: str, change: Callable[[str], str]) -> str:
    """Return SQL in which all but literals, quoted names and comments was changed."""
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
