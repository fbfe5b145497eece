"""Copy a live database to another, on its server or elsewhere, with no storage between.

The sessions on the source go on. psql writes the rows of its snapshot straight into the named pipes
that pg_restore reads; what psql cannot read comes from pg_dump, one block after another.
"""

import logging
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.attempt import Attempt, replace_database
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.compare import check_rows
from airflow_provider_pgclone.core.copy_out import open_session
from airflow_provider_pgclone.core.database import Database, connect, fetch_row
from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.core.load import DataFile, analyze, load_pipes
from airflow_provider_pgclone.core.loading import LoadOptions, creation_for, loading_for
from airflow_provider_pgclone.core.marker import Marker
from airflow_provider_pgclone.core.pg_restore import Loading
from airflow_provider_pgclone.core.plan import add_ranges
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.properties import Properties, fitted, read_properties
from airflow_provider_pgclone.core.schedule import schedule
from airflow_provider_pgclone.core.scope import DumpContent
from airflow_provider_pgclone.core.skeleton import Skeleton, open_skeleton
from airflow_provider_pgclone.core.source import Source, open_source
from airflow_provider_pgclone.core.streams import SessionPool, SkeletonBlocks
from airflow_provider_pgclone.core.target import check_replaceable, check_target

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamCopyOptions:
    """How to copy.

    :param content: what of the source is copied.
    :param load: how the target is loaded.
    :param replace: whether a database of the target's name is replaced, once the copy is whole.
    :param require_masked: whether a copy of which nothing is masked is refused.
    :param wait_seconds: how long to wait for another copy to the same name.
    """

    content: DumpContent = field(default_factory=DumpContent)
    load: LoadOptions = field(default_factory=LoadOptions)
    replace: bool = True
    require_masked: bool = False
    wait_seconds: float = 0.0


def stream_copy(
    source_database: Database,
    target: Database,
    maintenance: Database,
    options: StreamCopyOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Copy a database into a temporary one, compare it, and swap it in.

    :param target: what the copy is to be; it need not exist.
    :param maintenance: another database of the target's server.
    :raises InvalidInputError: for a target that cannot be, or one that may not be replaced.
    :raises UnsupportedError: when no client fits both servers.
    :raises ToolError: when pg_dump, psql or pg_restore failed; the target is as it was.
    """
    with connect(maintenance, cancellation) as connection:
        with connect(source_database, cancellation) as on_source:
            is_same_server = _is_same_server(on_source, connection)
            if is_same_server and source_database.name == target.name:
                raise InvalidInputError(
                    f"database {target.name!r} cannot be copied over itself",
                    hint="Give the copy another name or another server.",
                )
            properties = read_properties(on_source, source_database.name)
            if not is_same_server:
                properties = fitted(connection, properties)
        check_target(connection, maintenance, target.name)
        check_replaceable(connection, target.name, replace=options.replace)
        marker = Marker("temp", target.name, secrets.token_hex(4))
        attempt = Attempt(connection, maintenance, marker, cancellation)

        def fill(attempt: Attempt) -> None:
            _fill(attempt, source_database, properties, options, on_progress)

        replace_database(
            attempt,
            fill,
            swap=True,
            wait_seconds=options.wait_seconds,
            replace=options.replace,
        )
    log.info("copied %r to %r", source_database.name, target.name)


def _is_same_server(one: psycopg.Connection, other: psycopg.Connection) -> bool:
    """Whether both are the same server, or a standby and its primary."""
    query: LiteralString = "SELECT system_identifier FROM pg_control_system()"
    try:
        return fetch_row(one, query, []) == fetch_row(other, query, [])
    except psycopg.errors.InsufficientPrivilege:  # as a managed service may have it
        query = "SELECT pg_postmaster_start_time()"
        return fetch_row(one, query, []) == fetch_row(other, query, [])


def _fill(
    attempt: Attempt,
    database: Database,
    properties: Properties,
    options: StreamCopyOptions,
    on_progress: ProgressCallback,
) -> None:
    content, load = options.content, options.load
    keyed = content.masking.keyed(database)
    with attempt.cancellation.own() as cancellation:
        with (
            open_source(keyed, content, load.pg_bin_dir, cancellation, small_too=True) as source,
            open_skeleton(database, source, content, cancellation) as skeleton,
        ):
            if options.require_masked and not source.masks.tables_are_masked:
                raise NotAllowedError(
                    f"only masked copies may be made as {attempt.marker.target!r}",
                    hint="Give masks, or copy to where require_masked is not set.",
                )
            loading = loading_for(attempt.connection, skeleton.toc, load)
            creation = creation_for(attempt.connection, attempt.marker.target, skeleton.toc)
            attempt.create_temp(creation, properties)
            log.info(
                "copying %r of PostgreSQL %s into %r",
                database.name,
                source.version,
                attempt.temp.name,
            )
            stream = _Stream(keyed, source, skeleton, attempt.temp, loading)
            rows_of_tables = stream.run(on_progress, cancellation)
        with connect(attempt.temp, cancellation) as connection:
            check_rows(connection, skeleton.toc, rows_of_tables, source.encoding)
        analyze(attempt.temp, loading, cancellation)


@dataclass(frozen=True)
class _Stream:
    """From which database into which the rows go, and how."""

    database: Database
    source: Source
    skeleton: Skeleton
    temp: Database
    loading: Loading

    def run(
        self, on_progress: ProgressCallback, cancellation: Cancellation
    ) -> dict[tuple[str, str], int]:
        """Load all data, and return the rows of each table."""
        toc, planned = add_ranges(self.skeleton.toc, self.source.planned)
        ranges = {planned_range.entry.dump_id: planned_range for planned_range in planned}
        in_skeleton = [entry.dump_id for entry in self.skeleton.toc.entries if entry.has_data]
        blocks = SkeletonBlocks(self.skeleton, in_skeleton)
        meter = ProgressMeter(
            on_progress, work_total=sum(planned_range.size_bytes for planned_range in planned)
        )
        rows_of: dict[int, int] = {}
        plan = schedule(
            toc.without(self.loading.left_out),
            {id_: planned_range.size_bytes for id_, planned_range in ranges.items()},
            first=set(in_skeleton),
        )
        with ExitStack() as stack:
            # Started here, since each lives no longer than the thread that started it.
            pool = SessionPool(
                [
                    stack.enter_context(open_session(self.database, self.source, cancellation))
                    for _ in range(self.loading.sessions)
                ]
            )

            def feed(dump_id: int, file: DataFile) -> None:
                planned_range = ranges.get(dump_id)
                if planned_range is None:
                    rows_of[dump_id] = blocks.write(dump_id, file)
                    meter.add(rows=rows_of[dump_id])
                else:
                    with file.in_use() as path, pool.session(file.check) as session:
                        rows_of[dump_id] = session.copy(planned_range.pages, path)
                    meter.add(rows=rows_of[dump_id], work=planned_range.size_bytes)
                if len(rows_of) == len(in_skeleton) + len(ranges):
                    # Indexes may take hours, for which the source is not to keep dead rows.
                    pool.end()
                    self.source.release()

            load_pipes(plan, feed, self.temp, self.loading, cancellation=cancellation)
        blocks.finish()
        meter.finish()
        return _rows_of_tables(toc, rows_of)


def _rows_of_tables(toc: Toc, rows_of: Mapping[int, int]) -> dict[tuple[str, str], int]:
    """Return how many rows each table has, of the rows of each entry."""
    tables: dict[tuple[str, str], int] = {}
    for entry in toc.entries:
        if entry.description == "TABLE DATA":
            name = (entry.namespace, entry.tag)
            tables[name] = tables.get(name, 0) + rows_of[entry.dump_id]
    return tables
