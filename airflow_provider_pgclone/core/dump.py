"""Dump a database: pg_dump's archive, streamed to storage, there only when it is whole."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database, connect, fetch_row, server_major
from airflow_provider_pgclone.core.dump_key import DumpKey
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.patterns import parse_schema_pattern, parse_table_pattern
from airflow_provider_pgclone.core.pg_tools import (
    ClientTools,
    check_extra_arguments,
    connection_arguments,
    tool_environment,
    tools_for_dump,
)
from airflow_provider_pgclone.core.process import run_child
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.storage import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DumpContent:
    """What of a database goes into its dump.

    :param exclude: patterns of tables whose data stays out.
    :param schemas: patterns of the only schemas to dump; none means all.
    :param exclude_schemas: patterns of schemas that stay out.
    :param pg_dump_args: more pg_dump options.
    """

    exclude: Sequence[str] = ()
    schemas: Sequence[str] = ()
    exclude_schemas: Sequence[str] = ()
    pg_dump_args: Sequence[str] = ()


@dataclass(frozen=True)
class _Source:
    """What the server says before the dump."""

    major: int
    size_bytes: int
    excluded_partitions: Sequence[str]


def dump(
    database: Database,
    storage: Storage,
    key: DumpKey,
    content: DumpContent,
    *,
    pg_bin_dir: str | None,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Stream an archive of a database to its key.

    :param pg_bin_dir: the folder of pg_dump, ``None`` to look for it.
    :raises InvalidInputError: when a pattern matches nothing, or an argument is not allowed.
    :raises UnsupportedError: when no pg_dump is as new as the server.
    :raises ToolError: when pg_dump failed; then nothing is listed.
    """
    check_extra_arguments("pg_dump", content.pg_dump_args)
    storage.check_writable()
    source = _examine(database, content, cancellation)
    tools = tools_for_dump(source.major, pg_bin_dir)
    argv = pg_dump_argv(tools, database, content, source.excluded_partitions)
    log.info("dumping %r of PostgreSQL %s to %s", database.name, source.major, key)
    meter = ProgressMeter(on_progress)
    with (
        run_child(
            argv, environment=tool_environment(database), cancellation=cancellation, stdout=True
        ) as pg_dump,
        storage.open_write(
            str(key), expected_bytes=source.size_bytes, cancellation=cancellation
        ) as upload,
    ):
        for chunk in pg_dump.output():
            upload.write(chunk)
            meter.add(len(chunk))
        pg_dump.wait_for_success()
    log.info("dumped %r to %s: %s", database.name, key, meter.finish())


def pg_dump_argv(
    tools: ClientTools,
    database: Database,
    content: DumpContent,
    excluded_partitions: Sequence[str],
) -> list[str]:
    """Return the command line of a dump; it holds nothing secret."""
    return [
        *(tools.path("pg_dump"), "--format=custom", *connection_arguments(database)),
        *tools.default_compression,
        *(f"--exclude-table-data={name}" for name in (*content.exclude, *excluded_partitions)),
        *(f"--schema={pattern}" for pattern in content.schemas),
        *(f"--exclude-schema={pattern}" for pattern in content.exclude_schemas),
        *content.pg_dump_args,
    ]


def _examine(database: Database, content: DumpContent, cancellation: Cancellation) -> _Source:
    with connect(database, cancellation) as connection:
        _check_schemas(connection, database, [*content.schemas, *content.exclude_schemas])
        (size_bytes,) = fetch_row(connection, "SELECT pg_database_size(%s)", [database.name])
        return _Source(
            major=server_major(connection),
            size_bytes=size_bytes,
            excluded_partitions=_excluded_partitions(connection, database, content.exclude),
        )


def _check_schemas(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> None:
    schemas = [row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")]
    for text in patterns:
        pattern = parse_schema_pattern(text)
        if not any(pattern.fullmatch(schema) for schema in schemas):
            raise InvalidInputError(f"no schema of database {database.name!r} matches {text!r}")


def _excluded_partitions(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> list[str]:
    """Return the partitions of all partitioned tables that the patterns exclude.

    A pattern that matches nothing would let data out that was meant to stay: it is refused. A
    partitioned table has no data of its own, and pg_dump below 16 cannot exclude it with its
    partitions.
    """
    if not patterns:
        return []
    # The kinds of relations that pg_dump looks through: expand_table_name_patterns() in pg_dump.c.
    tables = connection.execute(
        "SELECT c.oid, nspname, relname, relkind, pg_table_is_visible(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'S', 'v', 'm', 'f', 'p')"
    ).fetchall()
    partitioned: list[int] = []
    for text in patterns:
        pattern = parse_table_pattern(text)
        matches = [
            (oid, kind)
            for oid, schema, name, kind, visible in tables
            if pattern.name.fullmatch(name)
            and (visible if pattern.schema is None else pattern.schema.fullmatch(schema))
        ]
        if not matches:
            raise InvalidInputError(
                f"no table of database {database.name!r} matches the exclude pattern {text!r}",
                hint="Correct it, so that no data is dumped that was to be left out.",
            )
        partitioned += [oid for oid, kind in matches if kind == "p"]
    # Each part in quotes is a pattern that means just this name.
    rows = connection.execute(
        """
        SELECT DISTINCT
            '"' || replace(nspname, '"', '""') || '"."' || replace(relname, '"', '""') || '"'
        FROM unnest(%s::oid[]) AS root, pg_partition_tree(root)
        JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = relnamespace
        ORDER BY 1
        """,
        [partitioned],
    )
    return [row[0] for row in rows]
