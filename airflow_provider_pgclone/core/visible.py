"""Texts for people, in which the names and messages of others cannot look like something else.

Whoever owns a database names what is in it, and whoever writes an archive chooses all its names. A
name may have line breaks, codes of a terminal, and characters that change the direction of writing.
Errors and messages of the log pass through here. The traceback that logging writes below a message
does not: it quotes errors of other libraries as they are.
"""

import logging
import re
import unicodedata
from typing import Any

# So that no line of a message looks like a line of the log.
_UNINDENTED = re.compile(r"\n(?!  )")


def visible_text(text: str) -> str:
    """Return a text in one line, with escapes for characters that are invisible or change others.

    An example of the latter is a character that changes the direction of writing.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def visible_lines(text: str) -> str:
    """Return a text of several lines likewise, in which all lines but the first are indented.

    Messages of servers have tabs, and spaces of other widths, such as those of French quotes.
    """
    shown = "".join(
        one if one in "\n\t" or unicodedata.category(one) == "Zs" else _escaped(one) for one in text
    )
    return _UNINDENTED.sub("\n  ", shown)


def get_log(name: str) -> "logging.LoggerAdapter[logging.Logger]":
    """Return the log of a module."""
    return _VisibleLog(logging.getLogger(name))


class _VisibleLog(logging.LoggerAdapter[logging.Logger]):
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            text = visible_lines(str(msg) % args if args else str(msg))
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            # Without arguments, logging takes a "%" for what it is.
            self.logger.log(level, text, **kwargs)


def _escaped(one: str) -> str:
    return one if one.isprintable() else one.encode("unicode_escape").decode()
