"""Compare a restored database that waits for its swap with the database that it is to replace."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.comparing import Comparison, Side, count_rows
from airflow_provider_pgclone.core.current import current
from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.core.postgres import Database, connect, database_exists
from airflow_provider_pgclone.core.replacing import LOCAL_MARK, plan_swap, ready_marker
from airflow_provider_pgclone.core.repository import DumpKey, find_dump, read_summaries
from airflow_provider_pgclone.core.storage import Storage


def compare(
    maintenance: Database,
    temp_name: str,
    open_storage: Callable[[], Storage],
    *,
    cancellation: Cancellation,
) -> Comparison:
    """Return what the swap of a waiting database would change.

    Rows are counted for half a minute at most in each database; what is not counted by then is
    estimated.

    :param maintenance: a database of the server.
    :param temp_name: the temporary database, as the restore returned it.
    :param open_storage: returns the storage of the dump; not called for a local key.
    :raises NotFoundError: when the database does not exist.
    :raises InvalidInputError: when it does not wait for a swap.
    :raises StorageError: when the storage cannot be reached.
    """
    with connect(maintenance, cancellation) as session:
        marker = ready_marker(session, temp_name)
        plan = plan_swap(session, temp_name, marker)
        exists = database_exists(session, marker.target)
        (size,) = session.fetch_row("SELECT pg_database_size(%s)", [temp_name])

    def counted(side: Side) -> Side:
        database = maintenance.named(side.name)
        with connect(database, cancellation, is_passing=True) as session:
            return replace(side, tables=count_rows(session))

    now = _now(maintenance, marker.target, cancellation) if exists else None
    after = Side(temp_name, marker.key, _dumped_at(marker.key), marker.made_at, size)
    compared = Comparison(
        target=marker.target,
        now=counted(now) if now else None,
        after=counted(after),
        kept=plan.retired if exists and plan.retired_marker.role == "pre" else "",
        dropped=sorted(plan.moved_aside),
    )
    return _with_facts(compared, marker.key, open_storage, cancellation)


def _now(maintenance: Database, target: str, cancellation: Cancellation) -> Side:
    found = current(maintenance, target, cancellation=cancellation)
    return Side(target, found.key, _dumped_at(found.key), _moment(found.since), found.size_bytes)


def _moment(text: str) -> datetime | None:
    """Return the time in the comment of a database, ``None`` if its owner wrote another text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _dumped_at(key: str) -> datetime | None:
    """Return when the dump was made that a key names, ``None`` for another key."""
    try:
        return DumpKey.parse(key).created_at
    except InvalidInputError:
        return None


def _with_facts(
    compared: Comparison,
    key: str,
    open_storage: Callable[[], Storage],
    cancellation: Cancellation,
) -> Comparison:
    """Add what the dump tells of itself; one that cannot be read any more is restored already."""
    if key.startswith(LOCAL_MARK):
        return compared
    storage = open_storage()
    try:
        dump = find_dump(storage, key)
    except NotFoundError:
        return replace(compared, note="the dump was deleted after it was restored")
    (summary,) = read_summaries(storage, [dump], known={}, cancellation=cancellation)
    note = f"the dump cannot be read: {summary.problem}" if summary.problem else ""
    return replace(
        compared, is_masked=summary.is_masked, left_out=tuple(summary.left_out), note=note
    )
