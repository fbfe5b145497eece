"""Copy a database: on its server from its files, or to any server by a stream."""

import logging
import secrets
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.checking import check_rows
from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.core.loading import LoadOptions, analyze, load_database, loading_for
from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.reading import open_skeleton, open_snapshot
from airflow_provider_pgclone.core.replacing import (
    Attempt,
    LocalKey,
    Marker,
    Properties,
    check_replaceable,
    check_source,
    check_strategy,
    check_target,
    creation_for,
    fitted,
    read_properties,
    replace_database,
)

log = logging.getLogger(__name__)


def copy_by_template(
    source: Database,
    maintenance: Database,
    key: LocalKey,
    *,
    strategy: str | None,
    replace: bool,
    wait_seconds: float,
    cancellation: Cancellation,
) -> None:
    """Copy a database to another name on its server.

    Sessions on the source are ended, and new ones wait until the copy is made. A copy to a new name
    has the owner, rights, settings, limit and comment of its source. One that replaces a database
    has those of that database.

    :param key: the name of the copy; not ``:pre`` or ``:post``.
    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    :param replace: whether a database of that name is replaced, once the copy is whole.
    :param wait_seconds: how long to wait for another copy to the same name.
    :raises InvalidInputError: for a name that is not allowed, or one that is taken.
    :raises NotFoundError: when the source does not exist.
    """
    key.check_not_reserved()
    with connect(maintenance, cancellation) as session:
        check_target(session, key.name)
        check_strategy(session, strategy)
        check_source(session, source.name, key.name)
        check_replaceable(session, key.name, replace=replace)
        attempt = Attempt(
            session,
            Marker("temp", key.name, secrets.token_hex(4)),
            new_properties=read_properties(session, source.name),
            may_replace=replace,
        )

        def fill(attempt: Attempt) -> None:
            attempt.clone_temp(source.name, strategy=strategy)

        replace_database(attempt, fill, ending="swap", wait_seconds=wait_seconds)
    log.info("copied %r to %s", source.name, key)


@dataclass(frozen=True)
class StreamCopyOptions:
    """How to copy by a stream.

    :param selection: which part of the source is copied.
    :param masking: what is read in place of personal data, and which rows.
    :param load: how the target is loaded.
    :param replace: whether a database of the target's name is replaced, once the copy is whole.
    :param require_masked: whether a copy in which nothing is masked is refused.
    :param wait_seconds: how long to wait for another copy to the same name.
    """

    selection: Selection = field(default_factory=Selection)
    masking: Masking = field(default_factory=Masking)
    load: LoadOptions = field(default_factory=LoadOptions)
    replace: bool = True
    require_masked: bool = False
    wait_seconds: float = 0.0


def copy_by_stream(
    source: Database,
    target: Database,
    maintenance: Database,
    options: StreamCopyOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Copy a live database into a temporary one, compare it, and swap it in.

    The sessions on the source go on.

    :param target: the database that the copy becomes; it need not exist.
    :param maintenance: another database of the target's server.
    :raises InvalidInputError: for a target that is not allowed, or that may not be replaced.
    :raises UnsupportedError: when no client fits both servers.
    :raises ToolError: when pg_dump, psql or pg_restore failed; the target is as it was.
    """
    with connect(maintenance, cancellation) as session:
        properties = _source_properties(session, source, target)
        check_target(session, target.name)
        check_replaceable(session, target.name, replace=options.replace)
        attempt = Attempt(
            session,
            Marker("temp", target.name, secrets.token_hex(4)),
            new_properties=properties,
            may_replace=options.replace,
        )

        def fill(attempt: Attempt) -> None:
            _fill_from(source, attempt, options, on_progress)

        replace_database(attempt, fill, ending="swap", wait_seconds=options.wait_seconds)
    log.info("copied %r to %r", source.name, target.name)


def _source_properties(session: Session, source: Database, target: Database) -> Properties:
    """Return what the copy gets where it is a new database, as far as its server has the roles.

    :param session: on the target's server.
    :raises InvalidInputError: when source and target are the same database.
    """
    with connect(source, session.cancellation) as on_source:
        is_same_server = _is_same_server(on_source, session)
        if is_same_server and source.name == target.name:
            raise InvalidInputError(
                f"database {target.name!r} cannot be copied over itself",
                hint="Give the copy another name or another server.",
            )
        properties = read_properties(on_source, source.name)
        return properties if is_same_server else fitted(session, properties)


def _is_same_server(one: Session, other: Session) -> bool:
    """Whether both are the same server, or a standby and its primary."""
    query: LiteralString = "SELECT system_identifier FROM pg_control_system()"
    try:
        return one.fetch_row(query) == other.fetch_row(query)
    except psycopg.errors.InsufficientPrivilege:  # as a managed service may have it
        query = "SELECT pg_postmaster_start_time()"
        return one.fetch_row(query) == other.fetch_row(query)


def _fill_from(
    source: Database, attempt: Attempt, options: StreamCopyOptions, on_progress: ProgressCallback
) -> None:
    session = attempt.session
    with session.cancellation.own() as cancellation:
        with (
            open_snapshot(
                source,
                options.selection,
                options.masking,
                pg_bin_dir=options.load.pg_bin_dir,
                cancellation=cancellation,
                small_too=True,
            ) as snapshot,
            open_skeleton(snapshot) as skeleton,
        ):
            if options.require_masked and not snapshot.masks.masks_columns:
                raise NotAllowedError(
                    f"only masked copies may be made as {attempt.marker.target!r}",
                    hint="Give masks, or copy to where require_masked is not set.",
                )
            toc = skeleton.toc
            loading = loading_for(session, toc, options.load)
            attempt.create_temp(creation_for(session, attempt.marker.target, toc.database_options))
            log.info(
                "copying %r of PostgreSQL %s into %r",
                source.name,
                snapshot.version,
                attempt.temp.name,
            )
            rows_of_tables = load_database(
                snapshot, skeleton, attempt.temp, loading, on_progress=on_progress
            )
        with connect(attempt.temp, cancellation) as on_temp:
            check_rows(on_temp, toc, rows_of_tables, snapshot.encoding)
        analyze(attempt.temp, loading, cancellation)
