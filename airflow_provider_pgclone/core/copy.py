"""Copy a database: as a template on its own server, or by a stream to any server."""

import secrets
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.checking import check_rows
from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.core.executing import LoadOptions, loading_for
from airflow_provider_pgclone.core.loading import Analysis, load_database
from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.meter import REPORT_SECONDS, ProgressMeter
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.reading import open_skeleton, open_snapshot
from airflow_provider_pgclone.core.replacing import (
    AllowedTargets,
    Attempt,
    LocalKey,
    Marker,
    Properties,
    check_makeable,
    check_replaceable,
    check_source,
    check_strategy,
    check_target,
    creation_for,
    fitted,
    read_properties,
    replace_database,
    wait_for_readers,
)
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.core.watching import expect_analyze, limit_of_load, watching

log = get_log(__name__)


def copy_by_template(
    source: Database,
    maintenance: Database,
    key: LocalKey,
    *,
    strategy: str | None,
    replace: bool,
    why_not_replace: str,
    restore_over: AllowedTargets,
    wait_seconds: float,
    cancellation: Cancellation,
) -> None:
    """Copy a database to another name on its server.

    Sessions on the source are ended, but for those of dumps and other copies of this package. New
    ones wait until the copy is complete. A copy to a new
    name has the owner, rights, settings, connection limit and comment of its source. A copy that
    replaces a database keeps those of the database that it replaces.

    :param key: the name of the copy; not ``:pre`` or ``:post``.
    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    :param replace: whether to replace an existing database of that name once the copy is complete.
    :param why_not_replace: what says that it may not be replaced, for an error.
    :param restore_over: which names a setting allows.
    :param wait_seconds: the longest wait for another copy to the same name, and for a dump of the
        source or of what it replaces, in seconds.
    :raises BusyError: when one of them has not finished by then.
    :raises NotAllowedError: when a setting does not allow the name.
    :raises InvalidInputError: when the name is reserved or is taken.
    :raises NotFoundError: when the source does not exist.
    """
    key.check_not_reserved()
    restore_over.check(key.name)
    with connect(maintenance, cancellation) as session:
        check_target(session, key.name)
        check_strategy(session, strategy)
        check_source(session, source.name, key.name)
        check_replaceable(session, key.name, replace=replace, why_not=why_not_replace)
        attempt = Attempt(
            session,
            Marker("temp", key.name, secrets.token_hex(4)),
            new_properties=lambda: read_properties(session, source.name),
            may_replace=replace,
        )

        def fill(attempt: Attempt) -> None:
            wait_for_readers(session, source.name, wait_seconds=wait_seconds)
            attempt.clone_closed(source.name, strategy=strategy)

        replace_database(attempt, fill, ending="swap", wait_seconds=wait_seconds)
    log.info("copied %r to %s", source.name, key)


@dataclass(frozen=True)
class StreamCopyOptions:
    """How to copy by a stream.

    :param selection: the part of the source to copy.
    :param masking: the masks of columns and the conditions on rows.
    :param load: how to load the target.
    :param analyze: whether to analyze the copied tables.
    :param replace: whether to replace an existing target once the copy is complete.
    :param why_not_replace: what says that it may not be replaced, for an error.
    :param restore_over: which targets a setting allows.
    :param create_target: whether the target is made if it does not exist.
    :param require_masked: whether to refuse a copy in which no column is masked.
    :param wait_seconds: the longest wait for another copy to the same name, and for a dump of what
        it replaces, in seconds.
    """

    selection: Selection = field(default_factory=Selection)
    masking: Masking = field(default_factory=Masking)
    load: LoadOptions = field(default_factory=LoadOptions)
    analyze: bool = True
    replace: bool = True
    why_not_replace: str = ""
    restore_over: AllowedTargets = field(default_factory=AllowedTargets)
    create_target: bool = True
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
    report_seconds: float = REPORT_SECONDS,
) -> None:
    """Copy a live database into a temporary one, compare the rows, and swap it in.

    Sessions on the source are not disturbed.

    :param target: the database that the copy becomes; it need not exist.
    :param maintenance: another database of the target's server.
    :param report_seconds: the time between two reports of the progress.
    :raises NotAllowedError: when a setting does not allow the target.
    :raises InvalidInputError: when the target cannot be or may not be replaced.
    :raises NotFoundError: when the target does not exist and may not be made.
    :raises UnsupportedError: when no installed client fits both servers.
    :raises ToolError: when pg_dump, psql or pg_restore failed; the target is unchanged.
    """
    options.restore_over.check(target.name)
    meter = ProgressMeter(on_progress, interval_seconds=report_seconds)
    with (
        cancellation.own() as own,
        meter.reporting(own),
        connect(maintenance, own) as session,
    ):
        properties = _source_properties(session, source, target)
        check_target(session, target.name)
        check_replaceable(
            session, target.name, replace=options.replace, why_not=options.why_not_replace
        )
        check_makeable(session, target.name, create=options.create_target)
        attempt = Attempt(
            session,
            Marker("temp", target.name, secrets.token_hex(4), may_create=options.create_target),
            new_properties=lambda: properties,
            may_replace=options.replace,
        )

        def fill(attempt: Attempt) -> None:
            _fill_from(source, attempt, options, meter)
            meter.enter("swap", f"swapping the database in for {target.name!r}")

        replace_database(attempt, fill, ending="swap", wait_seconds=options.wait_seconds)
    log.info("copied %r to %r", source.name, target.name)
    title = f"copied {source.name!r} to {target.name!r}"
    log.info("%s", meter.summary(title, limit=limit_of_load(meter)))


def _source_properties(session: Session, source: Database, target: Database) -> Properties:
    """Return the properties of the source, for a copy that is a new database.

    On another server, rights of roles that it does not have are left out.

    :param session: on the target's server.
    :raises InvalidInputError: when source and target are the same database.
    """
    with connect(source, session.cancellation) as on_source:
        is_same_server = _is_same_server(on_source, session)
        if is_same_server and source.name == target.name:
            raise InvalidInputError(
                f"database {target.name!r} cannot be copied over itself",
                hint="Copy to another name or another server.",
            )
        properties = read_properties(on_source, source.name)
        return properties if is_same_server else fitted(session, properties)


def _is_same_server(one: Session, other: Session) -> bool:
    """Tell whether two sessions are on the same server, or on a primary and its standby.

    A clone that was promoted has the system identifier of its origin, and is another server.
    """
    if _sees_lock_of(one, other):
        return True
    query: LiteralString = "SELECT pg_is_in_recovery()"
    if not any(session.fetch_row(query)[0] for session in (one, other)):
        return False
    query = "SELECT system_identifier FROM pg_control_system()"
    try:
        return one.fetch_row(query) == other.fetch_row(query)
    except psycopg.errors.InsufficientPrivilege:  # on some managed services
        return False


def _sees_lock_of(one: Session, other: Session) -> bool:
    """Tell whether a session sees a lock of another, as all sessions of a server do."""
    # Two halves, as pg_locks shows them: https://www.postgresql.org/docs/current/view-pg-locks.html
    key = [secrets.randbits(31), secrets.randbits(31)]
    one.execute("SELECT pg_advisory_lock(%s::int, %s::int)", key)
    try:
        (sees,) = other.fetch_row(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND classid = %s::int::oid AND objid = %s::int::oid AND objsubid = 2)",
            key,
        )
    finally:
        one.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", key)
    return bool(sees)


def _fill_from(
    source: Database, attempt: Attempt, options: StreamCopyOptions, meter: ProgressMeter
) -> None:
    """Create the temporary database of an attempt, load the source into it, and compare the rows.

    :raises NotAllowedError: when the copy must be masked and is not.
    """
    session = attempt.session
    meter.enter("snapshot", f"planning the copy of {source.name!r}")
    with session.cancellation.own() as cancellation:
        with (
            open_snapshot(
                source,
                options.selection,
                options.masking,
                pg_bin_dir=options.load.pg_bin_dir,
                cancellation=cancellation,
            ) as snapshot,
            open_skeleton(snapshot) as skeleton,
        ):
            if options.require_masked and not snapshot.masks.masks_columns:
                raise NotAllowedError(
                    f"a copy to {attempt.marker.target!r} must be masked, and no column is",
                    hint="Give masks, or copy to a target without require_masked.",
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
            analysis = None
            if options.analyze:
                analysis = Analysis(attempt.temp, loading, meter, cancellation)
                sizes = [table.size_bytes for table in snapshot.ranged]
                expect_analyze(meter, [*sizes, *snapshot.small_sizes(toc).values()])
            with watching(meter, attempt.temp, counts_waits=True):
                rows_of_tables = load_database(
                    *(snapshot, skeleton, attempt.temp, loading), analysis=analysis, meter=meter
                )
        meter.enter("check", "counting the rows of each table")
        with connect(loading.database(attempt.temp), cancellation) as on_temp:
            check_rows(on_temp, toc, rows_of_tables, snapshot.encoding)
        meter.complete("check")
        if analysis is not None:
            with watching(meter, attempt.temp):
                analysis.finish()
