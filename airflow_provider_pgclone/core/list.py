"""List dumps, parts of their keys, files, and the databases of a server."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.postgres import Database, connect
from airflow_provider_pgclone.core.repository import (
    Dump,
    is_dump_masked,
    list_files,
    list_parts,
    newest_dumps,
)
from airflow_provider_pgclone.core.storage import Storage

What = Literal["dumps", "instances", "databases", "configs", "local", "files"]


@dataclass(frozen=True)
class ListOptions:
    """What to list.

    :param what: dumps, the parts of their keys, local keys, or all files.
    :param limit: the largest number of dumps or files, ``None`` for all.
    :param verified: whether to return only dumps that a verification found intact.
    :param masked: whether to return only masked dumps, for which a little of each is read.
    """

    what: What = "dumps"
    limit: int | None = None
    verified: bool = False
    masked: bool = False


def list_keys(
    open_storage: Callable[[], Storage],
    maintenance: Database,
    prefix: str,
    options: ListOptions,
    cancellation: Cancellation,
) -> list[Dump] | list[str]:
    """Return what is under a prefix: dumps and files, the newest first, or names.

    :param open_storage: not called for local keys.
    :param maintenance: a database of the server whose databases are listed as local keys.
    """
    if options.what == "local":
        return list_local(maintenance, cancellation)
    storage = open_storage()
    if options.what == "files":
        return list_files(storage, prefix, limit=options.limit)
    if options.what == "dumps":
        return list_dumps(storage, prefix, options, cancellation)
    return list_parts(storage, prefix, options.what)


def list_dumps(
    storage: Storage, prefix: str, options: ListOptions, cancellation: Cancellation
) -> list[Dump]:
    """Return the newest dumps under a prefix."""
    masked = partial(is_dump_masked, storage, cancellation=cancellation)
    return newest_dumps(
        storage,
        prefix,
        limit=options.limit,
        verified=options.verified,
        only=masked if options.masked else None,
    )


def list_local(maintenance: Database, cancellation: Cancellation) -> list[str]:
    """Return the databases of the server as local keys, by name."""
    with connect(maintenance, cancellation) as session:
        rows = session.execute("SELECT datname FROM pg_database ORDER BY datname")
        return [f":{row[0]}" for row in rows]
