"""Texts that somebody else has chosen, such as names of tables, in Markdown."""

import re
from collections.abc import Iterable, Sequence

from airflow_provider_pgclone.core.visible import visible_text

# Characters that some Markdown renderer takes for markup. None does so with the "_" in user_id, the
# ":" in a time, or a ":" before a space.
_MARKUP = re.compile(
    r"[\\`*\[\]<>&|#~$@^!]|(?<![^\W_])_|_(?![^\W_])|(?<!\d):(?! )|\{(?=[{%#:])|(?<=www)\."
)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    :param header: its cells are Markdown.
    :param rows: their cells are texts, and shown as such.
    """
    lines = [list(header), ["---"] * len(header)]
    lines += [[markdown_text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Return a text with entities for markup.

    Not every renderer takes a backslash for an escape; all of them know entities.
    """
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", visible_text(text))
