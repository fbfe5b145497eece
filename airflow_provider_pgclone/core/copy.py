"""Copy a database on its own server."""

import logging
import secrets

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database, connect
from airflow_provider_pgclone.core.dump_key import LocalKey, attempt_database_name
from airflow_provider_pgclone.core.leftovers import (
    drop_old,
    dropped_on_error,
    remove_leftovers,
)
from airflow_provider_pgclone.core.marker import Marker, mark_newborn
from airflow_provider_pgclone.core.properties import read_properties
from airflow_provider_pgclone.core.sessions import target_lock
from airflow_provider_pgclone.core.swap import Swap, exchange
from airflow_provider_pgclone.core.target import (
    check_replaceable,
    check_source,
    check_strategy,
    check_target,
    clone_database,
)

log = logging.getLogger(__name__)


def copy(
    source: Database,
    maintenance: Database,
    key: LocalKey,
    *,
    strategy: str | None,
    replace: bool,
    wait_seconds: float,
    cancellation: Cancellation,
) -> None:
    """Copy a database to another name, with its owner, rights, settings, limit and comment.

    Sessions on the source are ended, and new ones wait until the copy is made.

    :param key: the name of the copy; not ``:pre`` or ``:post``.
    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    :param replace: whether a database of that name is replaced, once the copy is whole.
    :param wait_seconds: how long to wait for another copy to the same name.
    :raises InvalidInputError: for a name that cannot be, or one that is taken.
    :raises NotFoundError: when the source does not exist.
    """
    key.check_not_reserved()
    attempt = secrets.token_hex(4)
    temp_name = attempt_database_name(key.name, "temp", attempt)
    old_name = attempt_database_name(key.name, "old", attempt)
    with connect(maintenance, cancellation) as connection:
        check_target(connection, maintenance, key.name)
        check_strategy(connection, strategy)
        check_source(connection, maintenance, source.name, key.name)
        check_replaceable(connection, key.name, replace=replace)
        with target_lock(
            connection, key.name, wait_seconds=wait_seconds, cancellation=cancellation
        ):
            check_replaceable(connection, key.name, replace=replace)
            remove_leftovers(connection, key.name, maker="")
            with dropped_on_error(connection, maintenance, [temp_name]):
                clone_database(
                    connection,
                    maintenance,
                    source.name,
                    temp_name,
                    strategy=strategy,
                    cancellation=cancellation,
                )
                mark_newborn(connection, temp_name, Marker("temp", key.name, attempt))
                plan = Swap(
                    temp_name,
                    key.name,
                    old_name,
                    Marker("old", key.name, attempt),
                    may_replace=replace,
                )
                properties = read_properties(connection, source.name)
                exchange(connection, maintenance, plan, properties, cancellation)
            drop_old(connection, key.name)
    log.info("copied %r to %s", source.name, key)
