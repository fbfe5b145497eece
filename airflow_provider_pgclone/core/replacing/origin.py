"""A line in the comment of each database that was swapped in, which tells what it is.

It stands below the owner's own comment. Whoever may rename the database may write it.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.replacing.marker import parsed, read_comments

_HEAD = "airflow-provider-pgclone-origin "


@dataclass(frozen=True)
class Origin:
    """Where a database comes from.

    :param key: the dump key or local key that was restored; empty for a copy.
    :param temp: the name that the database had before it was swapped in.
    :param maker: who restored or copied it, such as a task.
    :param run: the run of the maker.
    :param swapped_at: the time of the swap, in ISO 8601.
    """

    key: str
    temp: str
    maker: str = ""
    run: str = ""
    swapped_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def below(self, comment: str | None) -> str:
        """Return the comment of the database, below the owner's own."""
        line = _HEAD + json.dumps(asdict(self))
        return line if comment is None else f"{comment}\n{line}"

    @classmethod
    def parse(cls, comment: str | None) -> "Origin | None":
        """Return the origin in a comment, ``None`` if it has none."""
        _, line = _split(comment)
        return None if line is None else parsed(cls, line.removeprefix(_HEAD), {})


def own_comment(comment: str | None) -> str | None:
    """Return the owner's part of the comment of a database."""
    return _split(comment)[0]


def read_origins(session: Session) -> dict[str, Origin]:
    """Return where the databases of a server come from, by their names."""
    found = {name: Origin.parse(comment) for name, comment in read_comments(session)}
    return {name: origin for name, origin in found.items() if origin is not None}


def _split(comment: str | None) -> tuple[str | None, str | None]:
    if comment is None:
        return None, None
    own, separator, line = comment.rpartition("\n")
    if not line.startswith(_HEAD):
        return comment, None
    return (own if separator else None), line
