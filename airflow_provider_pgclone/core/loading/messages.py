"""What pg_restore reports, and which errors are harmless.

pg_restore exits with 1 both after an error that changes nothing and after one that lost a table;
only its messages tell which. Its own words are fixed by ``LC_ALL=C``. Those of the server may be in
any language, so the statement decides where it can.
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


# Its processes write the prefix apart from the rest, so that some may come together.
_PROGRAM_LINE = re.compile(r"(?:pg_restore: *)+(?:(\w+): )?(.*)")


_STAGE_LINE = re.compile(r"while [A-Z ]+:")


_ENTRY_LINE = re.compile(r"from TOC entry \d+; \d+ \d+ (.*)")


_IGNORED_LINE = re.compile(r"errors ignored on restore: (\d+)")


_COMMAND = "Command was: "


_HINT = "HINT: "


_CONTEXT = "CONTEXT: "


# Where the words of an error are those of a function's author, who may put a row into them.
_RAISED = re.compile(r"PL/pgSQL.*\b(?:RAISE|ASSERT)\b|PL/(?!pgSQL)|Traceback")


_COPY_CONTEXT = re.compile(r"(?:CONTEXT: +)?(COPY .+?, line \d+(?:, column [^:]+)?)(?::|$)")


_INSERTED = re.compile(r"\bVALUES\b.*", re.IGNORECASE | re.DOTALL)


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


def _message(lines: list[str], entry: str) -> RestoreMessage:
    starts = [number for number, line in enumerate(lines) if line.startswith(_COMMAND)]
    end = starts[0] if starts else len(lines)
    return RestoreMessage(_said(lines[:end]), _command(lines[end:]), entry)


def _said(lines: list[str]) -> str:
    """Return what of an error may be logged: never a value of a row."""
    first, *rest = lines
    shown = [redact_values(first, is_raised=any(_RAISED.search(line) for line in rest))]
    # With a context the error arose from a row or within a function, and so may the hint.
    if not any(line.startswith(_CONTEXT) for line in rest):
        shown += [redact_all_but_names(line) for line in rest if line.startswith(_HINT)]
    shown += [match.group(1) for line in rest if (match := _COPY_CONTEXT.match(line))]
    return "; ".join(shown)


def _command(lines: list[str]) -> str:
    """Return the first line of a statement, with no literal."""
    statement = "\n".join(lines).removeprefix(_COMMAND).strip()
    shown = _INSERTED.sub(f"VALUES {REDACTED}", without_literals(statement))
    first_line = shown.strip().partition("\n")[0]
    if len(first_line) > MAX_COMMAND_CHARACTERS:
        return first_line[:MAX_COMMAND_CHARACTERS] + REDACTED
    return first_line


# The prefix, which pg_restore's processes write apart from the rest, so that they mix.
_LAUNCHING = re.compile(r"(?:pg_restore:|error:|warning:|detail:|hint:| )*launching item (\d+) .*")


class RestoreMonitor:
    """Hears pg_restore, ends it at the first error that matters, and gives the verdict.

    :param on_launch: called with the id of each entry that a parallel pg_restore starts.
    """

    def __init__(self, server_major: int, on_launch: Callable[[int], None] | None = None) -> None:
        self._server_major = server_major
        self._on_launch = on_launch
        self._messages = RestoreMessages(self._hear)
        self._harmless: list[RestoreMessage] = []
        self._fatal: list[RestoreMessage] = []
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Say which program to end at an error that matters."""
        self._child = child
        if self._fatal:
            child.kill()

    def feed(self, line: str) -> None:
        """Take a line of its stderr."""
        launching = _LAUNCHING.fullmatch(line)
        if launching is None or self._on_launch is None:
            self._messages.feed(line)
        else:
            self._on_launch(int(launching.group(1)))

    def raise_for_result(self, code: int, child: Child) -> None:
        """Raise unless pg_restore succeeded, or failed only by errors that are harmless."""
        self._messages.close()
        if self._fatal:
            raise RestoreError(f"pg_restore failed: {self._fatal[0]}")
        explained = code == 1 and 0 < self._messages.ignored_count == len(self._harmless)
        if code != 0 and not explained:
            before = self._messages.before_start
            raise RestoreError(f"{child.failure(code)}{f': {before}' if before else ''}")

    def _hear(self, message: RestoreMessage) -> None:
        kind = harmless_name(message, self._server_major)
        if kind is not None:
            self._harmless.append(message)
            log.info("harmless error of pg_restore (%s): %s", kind, message)
            return
        self._fatal.append(message)
        if self._child is not None:
            self._child.kill()
