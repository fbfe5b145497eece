"""Tells the lines of pg_restore from the text of a server and of an archive that it repeats.

pg_restore writes messages of the server between its own, and as they are. A function of the dump
may raise a message of several lines, each of which looks like a line of pg_restore. ``RAISE INFO``
reaches a client whatever ``client_min_messages`` is, and pg_restore sets that itself. Names with
line breaks are written as they are, too.

The programs of PostgreSQL color the prefix of their own messages if ``PG_COLOR`` asks for it, and
``PG_COLORS`` names the color: ``pg_log_generic_v()`` in logging.c. So the color of a run is a
random word, which neither the server nor the author of the archive gets to know.
"""

import re
import secrets
from collections.abc import Mapping

_PROGRAM = "pg_restore"
_RESET = "\x1b[0m"


class OwnLines:
    """The mark that one run of pg_restore sets before each message of its own."""

    def __init__(self) -> None:
        word = secrets.token_hex(16)
        self.mark = f"\x1b[{word}m"
        self.environment: Mapping[str, str] = {
            "PG_COLOR": "always",
            "PG_COLORS": f"locus={word}",
        }
        self._prefix = re.compile(rf"\A(?:{_PROGRAM}:|{re.escape(_RESET)}| )*")

    def read(self, line: str) -> str | None:
        """Return what pg_restore says in a line, ``None`` if it did not write the line itself."""
        _, mark, text = line.partition(self.mark)
        return self._prefix.sub("", text) if mark else None


def is_unmarked(line: str) -> bool:
    """Tell whether a line begins as that of a pg_restore that does not mark its lines."""
    return line.startswith(f"{_PROGRAM}: ")
