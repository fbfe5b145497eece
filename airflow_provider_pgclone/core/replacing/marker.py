"""The comment by which this package knows the databases that it made."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from psycopg import sql

from airflow_provider_pgclone.core.postgres import Session

_HEAD = "airflow-provider-pgclone "

Role = Literal["temp", "post_temp", "pre", "post", "old", "drill"]


@dataclass(frozen=True)
class Marker:
    """What a database of ours is for.

    :param role: *temp* is being restored or copied, or waits for its swap, and *post_temp* with it;
        *old* was swapped out and is to be dropped; *pre* and *post* are kept by a reversible
        restore; *drill* shows that a dump can be restored, and is dropped then.
    :param target: the database that it was made for.
    :param attempt: which attempt made it.
    :param maker: who made it, such as a task; its next attempt replaces what is left of the last.
    :param run: which run of its maker; of one run only the first attempt sets *pre*.
    :param ready: whether it is whole, so that a swap may take it.
    :param key: what was restored into it.
    :param reversible: whether its swap keeps *pre* and *post*.
    :param created_at: when the database was made, or made ready, in ISO 8601; empty where nobody
        noted it.
    """

    role: Role
    target: str
    attempt: str
    maker: str = ""
    run: str = ""
    ready: bool = False
    key: str = ""
    reversible: bool = False
    created_at: str = ""

    def text(self) -> str:
        return _HEAD + json.dumps(asdict(self), sort_keys=True)

    def made_ready(self) -> "Marker":
        return replace(self, ready=True, created_at=_now())

    @property
    def made_at(self) -> datetime | None:
        """When it was made, or made ready; ``None`` where that is not known."""
        try:
            made_at = datetime.fromisoformat(self.created_at)
        except (ValueError, TypeError):
            return None
        return made_at if made_at.tzinfo else None

    @classmethod
    def parse(cls, comment: str | None) -> "Marker | None":
        """Read a database comment; ``None`` where it is not ours."""
        if comment is None or not comment.startswith(_HEAD):
            return None
        try:
            return cls(**json.loads(comment.removeprefix(_HEAD)))
        except (ValueError, TypeError):
            return None


# A new database has it from the statement that creates it, until it gets its marker: so that one
# whose maker is killed in between is known. It limits nothing: no server has as many connections.
BIRTHMARK_CONNECTION_LIMIT = 1_886_840_687


def mark_newborn(session: Session, name: str, marker: Marker) -> None:
    """Give a database that was just made its marker in the place of its birthmark."""
    marker = replace(marker, created_at=_now())
    with session.transaction():
        set_comment(session, name, marker.text())
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1")
        session.execute(statement.format(sql.Identifier(name)))


def unmarked_newborn(session: Session) -> list[str]:
    """Return the databases that have a birthmark and no marker."""
    rows = session.execute(
        "SELECT datname FROM pg_database WHERE datconnlimit = %s", [BIRTHMARK_CONNECTION_LIMIT]
    ).fetchall()
    marked = read_markers(session)
    return [name for (name,) in rows if name not in marked]


def set_comment(session: Session, name: str, comment: str | None) -> None:
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    session.execute(statement.format(sql.Identifier(name), sql.Literal(comment)))


def read_markers(session: Session) -> dict[str, Marker]:
    """Return our databases of a server by name."""
    rows = session.execute("SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database")
    markers = {name: Marker.parse(comment) for name, comment in rows}
    return {name: marker for name, marker in markers.items() if marker is not None}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
