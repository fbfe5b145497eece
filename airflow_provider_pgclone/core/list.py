"""List dumps, and the databases of a server."""

from functools import partial

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.postgres import Database, connect
from airflow_provider_pgclone.core.repository import Dump, is_dump_masked, newest_dumps
from airflow_provider_pgclone.core.storage import Storage


def list_dumps(
    storage: Storage,
    prefix_text: str,
    *,
    limit: int | None,
    verified: bool,
    masked: bool,
    cancellation: Cancellation,
) -> list[Dump]:
    """Return the newest dumps under a prefix.

    :param limit: the largest number of dumps, ``None`` for all.
    :param verified: whether to return only dumps that a verification has found whole.
    :param masked: whether to return only masked dumps; the manifest of each dump is read then.
    """
    only = partial(is_dump_masked, storage, cancellation=cancellation) if masked else None
    return newest_dumps(storage, prefix_text, limit=limit, verified=verified, only=only)


def list_local(maintenance: Database, cancellation: Cancellation) -> list[str]:
    """Return the databases of the server as local keys, by name."""
    with connect(maintenance, cancellation) as session:
        rows = session.execute("SELECT datname FROM pg_database ORDER BY datname")
        return [f":{row[0]}" for row in rows]
