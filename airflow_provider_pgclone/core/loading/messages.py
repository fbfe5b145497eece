"""Parses the messages of pg_restore, and decides which errors are harmless.

pg_restore exits with code 1 both after a harmless error and after it lost a table, so only its
messages tell the difference. ``LC_ALL=C`` makes its own messages English. Messages of the server
may be in any language, so errors are identified by their statement if possible.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.postgres import (
    REDACTED,
    Child,
    redact_all_but_names,
    redact_values,
    without_literals,
)

log = logging.getLogger(__name__)

# Its processes write the prefix separately, so several prefixes may precede a message.
_PROGRAM_LINE = re.compile(r"(?:pg_restore: *)+(?:(\w+): )?(.*)")
# The prefixes of messages of several processes may precede it.
_LAUNCHING = re.compile(r"(?:pg_restore:|error:|warning:|detail:|hint:| )*launching item (\d+) .*")
_STAGE_LINE = re.compile(r"while [A-Z ]+:")
_ENTRY_LINE = re.compile(r"from TOC entry \d+; \d+ \d+ (.*)")
_IGNORED_LINE = re.compile(r"errors ignored on restore: (\d+)")
_COMMAND = "Command was: "
_HINT = "HINT: "
_CONTEXT = "CONTEXT: "
# The author of a function wrote the text of such an error, so it may contain row data.
_RAISED = re.compile(r"PL/pgSQL.*\b(?:RAISE|ASSERT)\b|PL/(?!pgSQL)|Traceback")
_COPY_CONTEXT = re.compile(r"(?:CONTEXT: +)?(COPY .+?, line \d+(?:, column [^:]+)?)(?::|$)")
# Extensions are made before there are rows, so what they raise then is not of a row.
_CREATE_EXTENSION = "CREATE EXTENSION "
_CREATE_PUBLIC = "CREATE SCHEMA public;"
# Quoted as the languages of PostgreSQL do it.
_PUBLIC = re.compile("[\"'`´“”„‟‘’‚«»‹›「」『』] ?public ?[\"'`´“”„‟‘’‚«»‹›「」『』]")
_INSERTED = re.compile(r"\bVALUES\b.*", re.IGNORECASE | re.DOTALL)
MAX_COMMAND_CHARACTERS = 200


@dataclass(frozen=True)
class RestoreMessage:
    """One error of pg_restore.

    :param text: the message of the server or of pg_restore, without row data.
    :param command: the first line of the statement, without literals; empty if rows were loaded.
    :param entry: the archive entry that was being restored; empty if there was none.
    :param names_public: whether the message names the schema public, in whatever language.
    """

    text: str
    command: str = ""
    entry: str = ""
    names_public: bool = False

    def __str__(self) -> str:
        entry = f"{self.entry}: " if self.entry else ""
        command = f" [{self.command}]" if self.command else ""
        return f"{entry}{self.text}{command}"


@dataclass(frozen=True)
class Harmless:
    """A kind of error that does not change the restored database."""

    name: str
    matches: Callable[[RestoreMessage, int], bool]


# Statements as written by pg_backup_archiver.c and pg_dump.c.
HARMLESS: Sequence[Harmless] = (
    Harmless(
        # pg_dump and pg_restore since version 17 set it at the start of every session.
        "a session setting that the older server does not have",
        lambda message, server: server < 17 and message.command == "SET transaction_timeout = 0;",
    ),
    Harmless(
        # Archives made with --schema=public contain it; a new database already has this schema.
        "the schema public of a new database",
        # PostgreSQL says so in the language of the server. Other errors of the statement name the
        # database.
        lambda message, _: message.command == _CREATE_PUBLIC and message.names_public,
    ),
)


def harmless_name(message: RestoreMessage, server_major: int) -> str | None:
    """Return the kind of a harmless error; ``None`` for an error that matters."""
    return next((kind.name for kind in HARMLESS if kind.matches(message, server_major)), None)


class RestoreMessages:
    """Parses the stderr of pg_restore line by line into errors.

    :param on_error: called with each complete error.
    """

    def __init__(self, on_error: Callable[[RestoreMessage], None]) -> None:
        self._on_error = on_error
        self._lines: list[str] = []
        self._entry = ""
        self._has_started = False
        # Messages from before pg_restore started, such as those of the dynamic loader.
        self.before_start = ""
        self.ignored_count = 0

    def feed(self, line: str) -> None:
        """Parse a line."""
        match = _PROGRAM_LINE.fullmatch(line)
        if match is None:
            if self._lines:
                self._lines.append(line)
            elif not self._has_started:
                self.before_start = f"{self.before_start} {line}".strip()
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
        """Complete the last error."""
        if self._lines:
            # pg_restore names an entry only before the first error of the entry.
            message = _message(self._lines, self._entry)
            self._lines = []
            self._on_error(message)


class RestoreMonitor:
    """Watches the messages of pg_restore, and ends it at the first error that matters.

    :param server_major: the major version of the server.
    :param on_launch: called with the id of each entry that a parallel pg_restore starts.
    :param trusts_lines: whether each line is pg_restore's own. It is not where names have line
        breaks, which pg_restore writes as they are. Then its exit code tells whether there was an
        error, and it is not ended before.
    """

    def __init__(
        self,
        server_major: int,
        on_launch: Callable[[int], None] | None = None,
        *,
        trusts_lines: bool = True,
    ) -> None:
        self._server_major = server_major
        self._on_launch = on_launch
        self._trusts_lines = trusts_lines
        self._messages = RestoreMessages(self._handle)
        self._harmless: list[RestoreMessage] = []
        self._fatal: list[RestoreMessage] = []
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Set the program to end at an error that matters."""
        self._child = child
        if self._fatal and self._trusts_lines:
            child.kill()

    def feed(self, line: str) -> None:
        """Process a line of the stderr of pg_restore."""
        launching = _LAUNCHING.fullmatch(line)
        if launching is None or self._on_launch is None:
            self._messages.feed(line)
        else:
            self._on_launch(int(launching.group(1)))

    def raise_for_result(self, code: int, child: Child) -> None:
        """Check that pg_restore succeeded, or reported only harmless errors.

        :param code: the exit code of pg_restore.
        :raises RestoreError: with the first error that matters.
        """
        self._messages.close()
        if self._fatal and (code != 0 or self._trusts_lines):
            raise RestoreError(f"pg_restore failed: {self._fatal[0]}")
        explained = code == 1 and 0 < self._messages.ignored_count == len(self._harmless)
        if code != 0 and not explained:
            before = self._messages.before_start
            raise RestoreError(f"{child.failure(code)}{f': {before}' if before else ''}")

    def _handle(self, message: RestoreMessage) -> None:
        kind = harmless_name(message, self._server_major)
        if kind is not None:
            self._harmless.append(message)
            log.info("harmless error of pg_restore (%s): %s", kind, message)
            return
        self._fatal.append(message)
        if self._child is not None and self._trusts_lines:
            self._child.kill()


def _message(lines: list[str], entry: str) -> RestoreMessage:
    starts = [number for number, line in enumerate(lines) if line.startswith(_COMMAND)]
    end = starts[0] if starts else len(lines)
    command = _command(lines[end:])
    return RestoreMessage(
        _said(lines[:end], may_have_rows=not command.startswith(_CREATE_EXTENSION)),
        command,
        entry,
        names_public=_PUBLIC.search(lines[0]) is not None,
    )


def _said(lines: list[str], *, may_have_rows: bool) -> str:
    """Return the part of an error that can be logged, without row data."""
    first, *rest = lines
    is_raised = may_have_rows and any(_RAISED.search(line) for line in rest)
    shown = [redact_values(first, is_raised=is_raised)]
    # An error with a context comes from a row or a function, so its hint may contain row data.
    if not may_have_rows or not any(line.startswith(_CONTEXT) for line in rest):
        shown += [redact_all_but_names(line) for line in rest if line.startswith(_HINT)]
    shown += [match.group(1) for line in rest if (match := _COPY_CONTEXT.match(line))]
    return "; ".join(shown)


def _command(lines: list[str]) -> str:
    """Return the first line of a statement, without literals."""
    statement = "\n".join(lines).removeprefix(_COMMAND).strip()
    shown = _INSERTED.sub(f"VALUES {REDACTED}", without_literals(statement))
    first_line = shown.strip().partition("\n")[0]
    if len(first_line) > MAX_COMMAND_CHARACTERS:
        return first_line[:MAX_COMMAND_CHARACTERS] + REDACTED
    return first_line
