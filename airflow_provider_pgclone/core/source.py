"""The database of a dump: a snapshot of it, and what of it is dumped in which way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import (
    Database,
    connect,
    fetch_row,
    server_major,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.patterns import parse_schema_pattern, parse_table_pattern
from airflow_provider_pgclone.core.plan import Table, choose_tables

# What changes neither which rows pg_dump writes nor how.
_HARMLESS_ARGUMENTS = frozenset(
    {
        *("-O", "-x", "-v", "--no-owner", "--no-privileges", "--no-acl", "--no-comments"),
        *("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces"),
        *("--no-toast-compression", "--no-table-access-method", "--verbose", "--no-sync"),
        *("--quote-all-identifiers", "--lock-wait-timeout"),
    }
)


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
class Source:
    """A database as a dump sees it.

    :param snapshot: what pg_dump and every COPY read.
    :param excluded_names: schema and name of all tables whose data stays out.
    :param excluded_partitions: of the excluded tables, as patterns that mean just them.
    :param planned: the tables to read in ranges, which are locked against being rewritten.
    """

    major: int
    version: str
    encoding: str
    size_bytes: int
    snapshot: str
    excluded_names: frozenset[tuple[str, str]]
    excluded_partitions: Sequence[str]
    planned: Sequence[Table]


@contextmanager
def open_source(
    database: Database, content: DumpContent, cancellation: Cancellation
) -> Iterator[Source]:
    """Open the snapshot of a dump, for as long as the block runs.

    :raises InvalidInputError: when a pattern matches nothing: it would let data out that was meant
        to stay.
    """
    with connect(database, cancellation) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (snapshot,) = fetch_row(connection, "SELECT pg_export_snapshot()", [])
        size_bytes, encoding, version = fetch_row(
            connection,
            "SELECT pg_database_size(oid), pg_encoding_to_char(encoding), "
            "current_setting('server_version') FROM pg_database WHERE datname = %s",
            [database.name],
        )
        _check_readable([*content.exclude, *content.schemas, *content.exclude_schemas], encoding)
        _check_schemas(connection, database, [*content.schemas, *content.exclude_schemas])
        excluded = _excluded_tables(connection, database, content.exclude)
        yield Source(
            major=server_major(connection),
            version=version,
            encoding=encoding,
            size_bytes=size_bytes,
            snapshot=snapshot,
            excluded_names=_names(connection, excluded),
            excluded_partitions=_partitions(connection, excluded),
            planned=_plan(connection, content, excluded, encoding),
        )
        connection.execute("COMMIT")


def _plan(
    connection: psycopg.Connection, content: DumpContent, excluded: Sequence[int], encoding: str
) -> list[Table]:
    """Choose the tables that are read in ranges, and lock them as pg_dump does.

    Without the lock VACUUM FULL could move rows from a range that was not yet read into one that
    was.
    """
    arguments = {argument.partition("=")[0] for argument in content.pg_dump_args}
    if not arguments <= _HARMLESS_ARGUMENTS:
        return []  # pg_dump alone knows what they leave out
    candidates = {
        oid: table
        for oid, table in _tables(connection)
        if oid not in excluded
        and _is_in_schemas(table.schema, content)
        # In another encoding the table of contents could not be compared with the catalog.
        and (encoding == "UTF8" or f"{table.schema}{table.name}".isascii())
    }
    chosen = set(choose_tables(candidates.values()))
    if not chosen:
        return []
    names = [sql.Identifier(table.schema, table.name) for table in chosen]
    connection.execute(
        sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names))
    )
    locked = [oid for oid, table in candidates.items() if table in chosen]
    # Anew, since only now nobody can rewrite them.
    return choose_tables(table for _, table in _tables(connection, locked))


def _tables(
    connection: psycopg.Connection, oids: Sequence[int] | None = None
) -> Iterator[tuple[int, Table]]:
    """Yield the tables, all or the given ones, whose rows a COPY by pages reads as pg_dump would.

    Not those of extensions, which pg_dump treats as it sees fit, nor of other access methods.
    """
    rows = connection.execute(
        """
        SELECT c.oid, nspname, relname,
            pg_relation_size(c.oid) / current_setting('block_size')::int,
            pg_relation_size(c.oid)
                + CASE reltoastrelid WHEN 0 THEN 0 ELSE pg_total_relation_size(reltoastrelid) END,
            ARRAY(
                SELECT attname::text FROM pg_attribute
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
                ORDER BY attnum
            )
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_am am ON am.oid = relam
        WHERE relkind = 'r' AND amname = 'heap' AND nspname !~ '^pg_'
            AND nspname <> 'information_schema'
            AND (relpersistence = 'p' OR relpersistence = 'u' AND NOT pg_is_in_recovery())
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
            )
            AND (%(oids)s::oid[] IS NULL OR c.oid = ANY(%(oids)s))
        """,
        {"oids": oids},
    )
    for oid, schema, name, pages, size_bytes, columns in rows:
        yield oid, Table(schema, name, pages, size_bytes, tuple(columns))


def _is_in_schemas(schema: str, content: DumpContent) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        return any(parse_schema_pattern(text).fullmatch(schema) for text in patterns)

    return (not content.schemas or matches(content.schemas)) and not matches(
        content.exclude_schemas
    )


def _check_readable(patterns: Sequence[str], encoding: str) -> None:
    """Refuse patterns that pg_dump would read in another encoding, and so match nothing by."""
    for text in patterns:
        if encoding != "UTF8" and not text.isascii():
            raise InvalidInputError(
                f"the pattern {text!r} cannot be given to pg_dump in the encoding {encoding}",
                hint="Match the letters that are not ASCII by ? or *.",
            )


def _names(connection: psycopg.Connection, oids: Sequence[int]) -> frozenset[tuple[str, str]]:
    rows = connection.execute(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE c.oid = ANY(%s)",
        [list(oids)],
    )
    return frozenset((schema, name) for schema, name in rows)


def _check_schemas(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> None:
    schemas = [row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")]
    for text in patterns:
        pattern = parse_schema_pattern(text)
        if not any(pattern.fullmatch(schema) for schema in schemas):
            raise InvalidInputError(f"no schema of database {database.name!r} matches {text!r}")


def _excluded_tables(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> list[int]:
    """Return what the patterns match, with all partitions of partitioned tables."""
    if not patterns:
        return []
    # The kinds of relations that pg_dump looks through: expand_table_name_patterns() in pg_dump.c.
    tables: list[tuple[Any, ...]] = connection.execute(
        "SELECT c.oid, nspname, relname, pg_table_is_visible(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'S', 'v', 'm', 'f', 'p')"
    ).fetchall()
    found: list[int] = []
    for text in patterns:
        pattern = parse_table_pattern(text)
        matches = [
            oid
            for oid, schema, name, visible in tables
            if pattern.name.fullmatch(name)
            and (visible if pattern.schema is None else pattern.schema.fullmatch(schema))
        ]
        if not matches:
            raise InvalidInputError(
                f"no table of database {database.name!r} matches the exclude pattern {text!r}",
                hint="Correct it, so that no data is dumped that was to be left out.",
            )
        found += matches
    rows = connection.execute(
        "SELECT relid::oid FROM unnest(%s::oid[]) AS root, pg_partition_tree(root)", [found]
    )
    return [*found, *(row[0] for row in rows)]


def _partitions(connection: psycopg.Connection, excluded: Sequence[int]) -> list[str]:
    """Return the partitions among excluded tables as patterns.

    A partitioned table has no data of its own, and pg_dump below 16 cannot exclude it with its
    partitions. Each part in quotes is a pattern that means just this name.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT
            '"' || replace(nspname, '"', '""') || '"."' || replace(relname, '"', '""') || '"'
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE c.oid = ANY(%s) AND relispartition
        ORDER BY 1
        """,
        [list(excluded)],
    )
    return [row[0] for row in rows]
