"""Tell what a database holds now, since when, and what it could be turned back to."""

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.replacing import (
    PRE,
    Marker,
    Origin,
    kept_database_name,
    kept_markers,
    read_markers,
    read_origins,
)


@dataclass(frozen=True)
class KeptDatabase:
    """A database beside the target: the one before its last restore, or one that waits.

    :param name: its name on the server.
    :param key: what it was restored from; empty if unknown.
    :param since: since when it is this: of the kept one when it became the target, of a waiting one
        when it became ready; in ISO 8601, empty if unknown.
    :param size_bytes: its size; ``None`` where the user may not connect to it.
    """

    name: str
    key: str
    since: str
    size_bytes: int | None


@dataclass(frozen=True)
class CurrentDatabase:
    """A database and where it comes from.

    :param key: the dump key or local key that was swapped in; empty for a copy, and for a database
        that this package did not put in place.
    :param since: the time of the swap, in ISO 8601; empty for a database that was not swapped in.
    :param made_by: who restored it: ``dag``, ``task`` and ``run``, or what was given as the maker.
    :param size_bytes: its size; ``None`` where the user may not connect to it.
    :param pre: the database before the last reversible restore; ``None`` if none is kept.
    :param waiting: the restored databases that wait for their swap.
    """

    name: str
    key: str
    since: str
    made_by: Mapping[str, str]
    size_bytes: int | None
    pre: KeptDatabase | None
    waiting: tuple[KeptDatabase, ...]


def current(maintenance: Database, name: str, *, cancellation: Cancellation) -> CurrentDatabase:
    """Return what a database holds now, by its comment.

    :param maintenance: a database of its server.
    :raises NotFoundError: when the database does not exist.
    """
    with connect(maintenance, cancellation) as session:
        sizes = _sizes(session)
        if name not in sizes:
            raise NotFoundError(f"database {name!r} does not exist")
        origin = read_origins(session).get(name)
        markers = read_markers(session)
        kept = kept_markers(session, name)
    pre_name = kept_database_name(name, PRE)
    pre = kept.get(pre_name)
    return CurrentDatabase(
        name=name,
        key=origin.key if origin else "",
        since=origin.swapped_at if origin else "",
        made_by=_made_by(origin) if origin else {},
        size_bytes=sizes[name],
        pre=KeptDatabase(pre_name, pre.held_key, pre.held_since, sizes.get(pre_name))
        if pre
        else None,
        waiting=tuple(
            KeptDatabase(temp, marker.key, marker.created_at, sizes.get(temp))
            for temp, marker in markers.items()
            if _waits_for(temp, marker, name)
        ),
    )


def _waits_for(temp: str, marker: Marker, target: str) -> bool:
    is_temp = marker.role == "temp" and marker.fits(temp)
    return is_temp and marker.ready and marker.target == target


def _made_by(origin: Origin) -> dict[str, str]:
    """Return who swapped a database in; the names of DAGs and tasks have no slash in them."""
    parts = origin.maker.split("/")
    if len(parts) == 3:  # as PgCloneRestoreOperator names its task
        return {"dag": parts[0], "task": parts[1], "run": origin.run.rpartition("/")[0]}
    return {"maker": origin.maker, "run": origin.run} if origin.maker else {}


def _sizes(session: Session) -> dict[str, int | None]:
    """Return the databases of a server with their sizes, which not everybody may ask for."""
    rows = session.execute(
        "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT')"
        " OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END"
        " FROM pg_database"
    )
    return dict(rows.fetchall())
