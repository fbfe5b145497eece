"""The comment that identifies the databases that this package creates."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from psycopg import sql

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.core.postgres import Session, database_exists
from airflow_provider_pgclone.core.replacing.names import attempt_database_name

_HEAD = "airflow-provider-pgclone "
# A new database has this connection limit until it gets its marker. So it can be identified if its
# maker is killed in between. No server allows that many connections.
BIRTHMARK_CONNECTION_LIMIT = 1_886_840_687
Role = Literal["temp", "post_temp", "pre", "post", "old", "drill"]
Parsed = TypeVar("Parsed")


# The kinds of the values that are no texts.
_KINDS = {"ready": bool, "reversible": bool, "may_create": bool}
# Earlier versions know no marker that has these, so they are written only where they say something.
_NOT_KNOWN_EARLIER = ("held_key", "held_since", "may_create")


@dataclass(frozen=True)
class Marker:
    """The purpose and the origin of a database.

    :param role: *temp* is being filled, or waits for its swap. *post_temp* is a copy of *temp* that
        becomes *post* in the swap. *old* was swapped out and is dropped next. A reversible restore
        keeps *pre* and *post*. *drill* tests that a dump can be restored, and is then dropped.
    :param target: the name of the database that the attempt replaces.
    :param attempt: the id of the attempt that created the database.
    :param maker: the creator, such as an Airflow task. Its next attempt replaces the leftovers of
        the last one.
    :param run: the run of the maker. Only the first attempt of a run sets *pre*.
    :param ready: whether the database is complete, so that it can be swapped in.
    :param key: the key of the dump or local database that was restored.
    :param reversible: whether the swap keeps *pre* and *post*.
    :param may_create: whether the swap makes a target that does not exist.
    :param created_at: the time when the database was created or became ready, in ISO 8601; empty if
        unknown.
    :param held_key: of a database that was swapped out, the key that it was restored from; empty if
        unknown.
    :param held_since: since when it was the target, in ISO 8601; empty if unknown.
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
    held_key: str = ""
    held_since: str = ""
    may_create: bool = True

    def text(self) -> str:
        """Return the comment for the database."""
        values = asdict(self)
        for name in _NOT_KNOWN_EARLIER:
            if values[name] == getattr(type(self), name):
                del values[name]
        return _HEAD + json.dumps(values, sort_keys=True)

    def made_ready(self) -> "Marker":
        """Return the marker of the database once it is complete."""
        return replace(self, ready=True, created_at=_now())

    def fits(self, name: str) -> bool:
        """Tell whether a database of this name is the one that the attempt made for the target.

        The owner of a database may write its comment. Without this check, the owner of one that
        waits for its swap could have it swapped in for the target of others.
        """
        role = "post" if self.role == "post_temp" else self.role
        return name == attempt_database_name(self.target, role, self.attempt)

    @property
    def made_at(self) -> datetime | None:
        """The time when the database was created or became ready; ``None`` if unknown."""
        try:
            made_at = datetime.fromisoformat(self.created_at)
        except (ValueError, TypeError):
            return None
        return made_at if made_at.tzinfo else None

    @classmethod
    def parse(cls, comment: str | None) -> "Marker | None":
        """Parse the comment of a database; return ``None`` if it is not a marker."""
        if comment is None or not comment.startswith(_HEAD):
            return None
        return parsed(cls, comment.removeprefix(_HEAD), _KINDS)


def parsed(kind: type[Parsed], text: str, kinds: Mapping[str, type]) -> Parsed | None:
    """Build a dataclass of the JSON in a comment, ``None`` if that is another text.

    Whoever owns a database may write its comment: a value of another kind would end each verb on
    the server. What a later version of this package adds is ignored.

    :param kinds: the kinds of the values that are no texts, by name.
    """
    made: Any = kind
    try:
        values = json.loads(text)
        known = {one.name: values[one.name] for one in fields(made) if one.name in values}
        has_kinds = all(isinstance(known[name], kinds.get(name, str)) for name in known)
        return made(**known) if has_kinds else None
    except (ValueError, TypeError, RecursionError):
        return None


def mark_newborn(session: Session, name: str, marker: Marker) -> None:
    """Replace the birthmark of a new database by its marker."""
    marker = replace(marker, created_at=_now())
    with session.transaction():
        set_comment(session, name, marker.text())
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1")
        session.execute(statement.format(sql.Identifier(name)))


def unmarked_newborn(session: Session) -> list[str]:
    """Return the names of the databases with a birthmark and without a marker."""
    rows = session.execute(
        "SELECT datname FROM pg_database WHERE datconnlimit = %s", [BIRTHMARK_CONNECTION_LIMIT]
    ).fetchall()
    marked = read_markers(session)
    return [name for (name,) in rows if name not in marked]


def set_comment(session: Session, name: str, comment: str | None) -> None:
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    session.execute(statement.format(sql.Identifier(name), sql.Literal(comment)))


def read_comments(session: Session) -> Iterable[tuple[str, str | None]]:
    """Return the databases of a server with their comments."""
    return session.execute(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database"
    ).fetchall()


def read_markers(session: Session) -> dict[str, Marker]:
    """Return the databases of a server that have a marker, by name."""
    markers = {name: Marker.parse(comment) for name, comment in read_comments(session)}
    return {name: marker for name, marker in markers.items() if marker is not None}


def ready_marker(session: Session, temp_name: str) -> Marker:
    """Return the marker of a database that waits for its swap.

    :raises NotFoundError: when the database does not exist.
    :raises InvalidInputError: when it is another one.
    """
    marker = read_markers(session).get(temp_name)
    if marker is None and not database_exists(session, temp_name):
        raise NotFoundError(
            f"database {temp_name!r} does not exist",
            hint="It was swapped in or dropped already, or another restore replaced it.",
        )
    is_temp = marker is not None and marker.role == "temp" and marker.fits(temp_name)
    if marker is None or not is_temp or not marker.ready:
        raise InvalidInputError(
            f"database {temp_name!r} is not waiting for a swap",
            hint="Give the name that a restore with swap=False returned.",
        )
    return marker


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
