"""Parses the messages of pg_restore and of the server, and decides which errors are harmless.

pg_restore exits with code 1 both after a harmless error and after it lost a table, so only its
messages tell the difference. ``LC_ALL=C`` makes its own messages English. Messages of the server
may be in any language, so errors are identified by their statement if possible. They may also have
any text in any number of lines: see :mod:`.own_lines`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import psycopg

from airflow_provider_pgclone.core.archive import TocEntry
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.executing.known_messages import (
    HINT_OF_WITHHELD,
    RAISED,
    is_known,
    is_of_statement,
    is_of_text,
    locations,
    reads_rows,
    repeated,
    withheld,
)
from airflow_provider_pgclone.core.executing.own_lines import OwnLines, is_unmarked
from airflow_provider_pgclone.core.executing.rights import RIGHTS_LEFT_OUT, warn_of_foreign
from airflow_provider_pgclone.core.postgres import (
    REDACTED,
    Child,
    Session,
    redact_all_but_names,
    redact_values,
    server_said,
    without_literals,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

_TEXT = re.compile(r"(?:(error|warning|detail|hint): )?(.*)")
_STAGE_LINE = re.compile(r"while [A-Z ]+:")
_ENTRY_LINE = re.compile(r"from TOC entry \d+; \d+ \d+ (.*)")
_IGNORED_LINE = re.compile(r"errors ignored on restore: (\d+)")
# Where another owner has the object, whatever the server calls a warning.
_LEFT_OUT = re.compile(rf".*: +{re.escape(RIGHTS_LEFT_OUT)}(\d+)")
# As pg_restore writes the error of a statement; that of a COPY has no statement.
_OF_COMMAND = "could not "
_COMMAND = "Command was: "
_HINT = "HINT: "
_CONTEXT = "CONTEXT: "
# Extensions are made before there are rows, so what they raise then is not of a row.
_CREATE_EXTENSION = "CREATE EXTENSION "
_CREATE_PUBLIC = "CREATE SCHEMA public;"
# Quoted as the languages of PostgreSQL do it.
_PUBLIC = re.compile("[\"'`´“”„‟‘’‚«»‹›「」『』] ?public ?[\"'`´“”„‟‘’‚«»‹›「」『』]")
_INSERTED = re.compile(r"\bVALUES\b.*", re.IGNORECASE | re.DOTALL)
_LINE_BREAK = re.compile(r"[\r\n]")
MAX_COMMAND_CHARACTERS = 200
_UNMARKED = (
    "its messages cannot be told from those of the server, because it does not get or does not "
    "heed the environment variables PG_COLOR and PG_COLORS"
)


@dataclass(frozen=True)
class RestoreMessage:
    """One error of pg_restore, or of a statement of ours.

    :param text: the message of the server or of pg_restore, without row data.
    :param command: the first line of the statement, without literals; empty if rows were loaded.
    :param entry: the archive entry that was being restored; empty if there was none.
    :param is_whole: whether the command is the whole statement of pg_restore.
    :param names_public: whether the message names the schema public, in whatever language.
    :param hint: a sentence about what is not shown, if anything.
    """

    text: str
    command: str = ""
    entry: str = ""
    is_whole: bool = False
    names_public: bool = False
    hint: str | None = None

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
    if not message.is_whole:
        return None
    return next((kind.name for kind in HARMLESS if kind.matches(message, server_major)), None)


class RestoreMessages:
    """Parses the stderr of pg_restore line by line into errors.

    :param own_lines: tells which lines are pg_restore's own.
    :param on_error: called with each complete error.
    :param on_text: called with each text that is its own.
    """

    def __init__(
        self,
        own_lines: OwnLines,
        on_error: Callable[[RestoreMessage], None],
        on_text: Callable[[str], object] = str,
    ) -> None:
        self._on_text = on_text
        self._own_lines = own_lines
        self._on_error = on_error
        self._lines: list[str] = []
        self._entry = ""
        # Whether pg_restore has written a line of its own, as it does when it connects.
        self.has_started = False
        # Messages from before pg_restore started, such as those of the dynamic loader.
        self.before_start = ""
        self.ignored_count = 0

    def feed(self, line: str) -> None:
        """Parse a line."""
        own = self._own_lines.read(line)
        if own is None:
            self._continue(line)
            return
        self.has_started = True
        self._on_text(own)
        severity, text = cast("re.Match[str]", _TEXT.fullmatch(own)).groups()
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

    def _continue(self, line: str) -> None:
        """Take a line that pg_restore repeats, or that was there before it started."""
        if self._lines:
            self._lines.append(line)
        elif not self.has_started and is_unmarked(line):
            self.has_started = True
            self._on_error(RestoreMessage(_UNMARKED))
        elif not self.has_started:
            self.before_start = f"{self.before_start} {line}".strip()


class RestoreMonitor:
    """Watches the messages of pg_restore, and ends it at the first error that matters.

    :param server_major: the major version of the server.
    :param guarded: the objects on which rights are restored only if the user owns them, by id.
    :param logged: the kinds of harmless errors that other runs have logged. Each of many runs may
        have the same error, and one line is enough.
    :param on_text: called with each text that is pg_restore's own.
    """

    def __init__(
        self,
        server_major: int,
        *,
        guarded: Mapping[int, str] | None = None,
        logged: set[str] | None = None,
        on_text: Callable[[str], object] = str,
    ) -> None:
        self._server_major = server_major
        self._logged = set() if logged is None else logged
        self._guarded = guarded or {}
        self._left_out: dict[int, None] = {}
        own_lines = OwnLines()
        self.environment = own_lines.environment
        self._messages = RestoreMessages(own_lines, self._handle, on_text)
        self._harmless: list[RestoreMessage] = []
        self._fatal: list[RestoreMessage] = []
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Set the program to end at an error that matters."""
        self._child = child
        if self._fatal:
            child.kill()

    def feed(self, line: str) -> None:
        """Process a line of the stderr of pg_restore."""
        left_out = _LEFT_OUT.fullmatch(line)
        if left_out is not None:
            self._left_out[int(left_out.group(1))] = None
        self._messages.feed(line)

    def raise_for_result(self, code: int, child: Child) -> None:
        """Check that pg_restore succeeded, or reported only harmless errors.

        :param code: the exit code of pg_restore.
        :raises RestoreError: with the first error that matters.
        """
        self._messages.close()
        if self._fatal:
            first = self._fatal[0]
            raise RestoreError(f"pg_restore failed: {first}", hint=first.hint)
        explained = code == 1 and 0 < self._messages.ignored_count == len(self._harmless)
        if code != 0 and not explained:
            before = self._messages.before_start
            raise RestoreError(f"{child.failure(code)}{f': {before}' if before else ''}")
        if not self._messages.has_started:
            raise RestoreError("pg_restore has ended without a word: it has restored nothing")
        warn_of_foreign([name for id_, name in self._guarded.items() if id_ in self._left_out])

    def _handle(self, message: RestoreMessage) -> None:
        kind = harmless_name(message, self._server_major)
        if kind is not None:
            self._harmless.append(message)
            if kind not in self._logged:
                self._logged.add(kind)
                log.info("harmless error of pg_restore (%s): %s", kind, message)
            return
        self._fatal.append(message)
        if self._child is not None:
            self._child.kill()


def message_of_server(error: psycopg.Error, entry: TocEntry, session: Session) -> RestoreMessage:
    """Return the error of a statement that a session of ours has executed for an entry.

    All such statements read rows.
    """
    said = error.diag
    # As pg_restore writes names that have line breaks: sanitize_line() in pg_backup_archiver.c.
    named = _LINE_BREAK.sub(" ", f"{entry.description} {entry.tag}")
    command = "" if entry.has_data else _command(entry.definition)
    if said.message_primary is None:  # of libpq, or of psycopg, which may quote what it was given
        is_of_libpq = isinstance(error, psycopg.OperationalError)
        text = str(error).partition("\n")[0] if is_of_libpq else type(error).__name__
        return RestoreMessage(text, command, named)
    severity = said.severity_nonlocalized or "ERROR"
    first = f"{severity}:  {said.message_primary}".partition("\n")[0]
    hints = [f"{_HINT} {said.message_hint}".partition("\n")[0]] if said.message_hint else []
    where = locations((said.context or "").split("\n"))
    if is_known(error):
        return RestoreMessage("; ".join([first, *hints, *where]), command, named)
    if is_of_text(error, session):
        return RestoreMessage(_redacted([first, *hints]), command, named)
    text = "; ".join([withheld(error, entry), *where])
    return RestoreMessage(text, command, named, hint=HINT_OF_WITHHELD)


def _message(lines: list[str], entry: str) -> RestoreMessage:
    """Return the error of these lines.

    The server's part of them and the statement may have any text. So where the statement begins is
    certain only if pg_restore writes one, and a single line looks like its beginning.
    """
    starts = [number for number, line in enumerate(lines) if line.startswith(_COMMAND)]
    has_command = len(starts) == 1 and lines[0].startswith(_OF_COMMAND)
    end = starts[0] if has_command else len(lines)
    statement = "\n".join(lines[end:]).removeprefix(_COMMAND).strip()
    command = _command(statement)
    text, hint = _said(lines[:end], entry, command)
    return RestoreMessage(
        text,
        command,
        entry,
        is_whole=has_command and command == statement,
        names_public=_PUBLIC.search(lines[0]) is not None,
        hint=hint,
    )


def _said(lines: list[str], entry: str, command: str) -> tuple[str, str | None]:
    """Return the part of an error that can be logged, without row data, and a hint on the rest."""
    first, *rest = lines
    parts = server_said(first)
    if parts is not None and reads_rows(entry, first):
        known = repeated(lines)
        if known is not None:
            return known, None
        if not is_of_statement(entry, rest):
            shown = f"{parts[0]}{parts[1]}{REDACTED}"
            return "; ".join([shown, *locations(rest)]), HINT_OF_WITHHELD
    may_have_rows = not command.startswith(_CREATE_EXTENSION)
    is_raised = may_have_rows and RAISED.search("\n".join(rest)) is not None
    # An error with a context comes from a row or a function, so its hint may contain row data.
    has_hint = not may_have_rows or not any(line.startswith(_CONTEXT) for line in rest)
    hints = [line for line in rest if line.startswith(_HINT)] if has_hint else []
    return _redacted([first, *hints], is_raised=is_raised), None


def _redacted(lines: Sequence[str], *, is_raised: bool = False) -> str:
    """Return the first line of an error and its hints with the names in them, and no values."""
    first, *hints = lines
    shown = [redact_values(first, is_raised=is_raised), *map(redact_all_but_names, hints)]
    return "; ".join(shown)


def _command(statement: str) -> str:
    """Return the first line of a statement, without literals."""
    shown = _INSERTED.sub(f"VALUES {REDACTED}", without_literals(statement))
    first_line = shown.strip().partition("\n")[0]
    if len(first_line) > MAX_COMMAND_CHARACTERS:
        return first_line[:MAX_COMMAND_CHARACTERS] + REDACTED
    return first_line
