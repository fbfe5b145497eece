"""What pg_restore says went wrong: read, freed of row data, and told apart from what is harmless.

pg_restore exits with 1 both after an error that changes nothing and after one that lost a table;
only its messages tell which. Its own words are fixed by ``LC_ALL=C``; the server's may be in any
language, so that the statement decides where it can.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_PROGRAM_LINE = re.compile(r"pg_restore: (?:(\w+): )?(.*)")
_ENTRY_LINE = re.compile(r"from TOC entry \d+; \d+ \d+ (.*)")
_IGNORED_LINE = re.compile(r"errors ignored on restore: (\d+)")
_COMMAND = "Command was: "

_LITERAL = re.compile(r"'(?:[^']|'')*'?")
_QUOTED_VALUE = re.compile(r'(?<!ERROR): +".*"?$')
_INSERTED = re.compile(r"\bVALUES\b.*", re.IGNORECASE | re.DOTALL)
_COPY_CONTEXT = re.compile(r"(CONTEXT: +COPY [^:]*).*")
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
    Harmless(
        # The extension is there; only who created it may comment on it.
        "the comment on an extension that belongs to another role",
        lambda message, _: message.command.startswith("COMMENT ON EXTENSION ")
        and "must be owner of extension" in message.text,
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
        self.ignored_count = 0

    def feed(self, line: str) -> None:
        match = _PROGRAM_LINE.fullmatch(line)
        if match is None:
            if self._lines:
                self._lines.append(line)
            return
        severity, text = match.groups()
        if severity in ("detail", "hint") and self._lines:
            self._lines.append(f"{severity.upper()}:  {text}")
            return
        self.close()
        if severity == "error":
            self._lines = [text]
        elif entry := _ENTRY_LINE.fullmatch(text):
            self._entry = entry.group(1)
        elif ignored := _IGNORED_LINE.fullmatch(text):
            self.ignored_count = int(ignored.group(1))

    def close(self) -> None:
        """Take the last error as whole."""
        if self._lines:
            message = _message(self._lines, self._entry)
            self._lines, self._entry = [], ""
            self._on_error(message)


def _message(lines: list[str], entry: str) -> RestoreMessage:
    said: list[str] = []
    for position, line in enumerate(lines):
        if line.startswith(_COMMAND):
            return RestoreMessage("; ".join(said), _command(lines[position:]), entry)
        said += _without_data(line, first=position == 0)
    return RestoreMessage("; ".join(said), "", entry)


def _without_data(line: str, *, first: bool) -> list[str]:
    """Return what of a server's line may be logged: never a value of a row."""
    if first:
        return [_QUOTED_VALUE.sub(f": {REDACTED}", line)]
    if line.startswith("HINT:"):
        return [line]
    if context := _COPY_CONTEXT.match(line):
        return [context.group(1)]
    return []


def _command(lines: list[str]) -> str:
    """Return the first line of a statement; where it goes on, with an ellipsis."""
    statement = "\n".join(lines).removeprefix(_COMMAND).strip()
    shown = _INSERTED.sub(f"VALUES {REDACTED}", _LITERAL.sub(f"'{REDACTED}'", statement))
    first_line = shown.partition("\n")[0]
    if len(first_line) > MAX_COMMAND_CHARACTERS:
        return first_line[:MAX_COMMAND_CHARACTERS] + REDACTED
    return first_line
