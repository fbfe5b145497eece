"""What of a database goes into its dump, as patterns say it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.request import Masking
from airflow_provider_pgclone.core.patterns import parse_schema_pattern, parse_table_pattern


@dataclass(frozen=True)
class DumpContent:
    """What of a database goes into its dump.

    :param exclude: patterns of tables whose data stays out.
    :param schemas: patterns of the only schemas to dump; none means all.
    :param exclude_schemas: patterns of schemas that stay out.
    :param pg_dump_args: more pg_dump options.
    :param masking: what is read in the place of personal data, and which rows.
    """

    exclude: Sequence[str] = ()
    schemas: Sequence[str] = ()
    exclude_schemas: Sequence[str] = ()
    pg_dump_args: Sequence[str] = ()
    masking: Masking = field(default_factory=Masking)

    def patterns(self) -> dict[str, list[str]]:
        """Return all but the masking, for the account of a dump."""
        return {
            "exclude": list(self.exclude),
            "schemas": list(self.schemas),
            "exclude_schemas": list(self.exclude_schemas),
            "pg_dump_args": list(self.pg_dump_args),
        }


def is_in_schemas(schema: str, content: DumpContent) -> bool:
    """Whether a schema is one of those that are dumped."""

    def matches(patterns: Sequence[str]) -> bool:
        return any(parse_schema_pattern(text).fullmatch(schema) for text in patterns)

    return (not content.schemas or matches(content.schemas)) and not matches(
        content.exclude_schemas
    )


def check_readable(patterns: Sequence[str], encoding: str) -> None:
    """Refuse patterns that pg_dump would read in another encoding, and so match nothing by.

    :raises InvalidInputError: naming the first of them.
    """
    for text in patterns:
        if encoding != "UTF8" and not text.isascii():
            raise InvalidInputError(
                f"the pattern {text!r} cannot be given to pg_dump in the encoding {encoding}",
                hint="Match the letters that are not ASCII by ? or *.",
            )


def check_schemas(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> None:
    """Refuse patterns that match no schema.

    :raises InvalidInputError: naming the first of them.
    """
    schemas = [row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")]
    for text in patterns:
        pattern = parse_schema_pattern(text)
        if not any(pattern.fullmatch(schema) for schema in schemas):
            raise InvalidInputError(f"no schema of database {database.name!r} matches {text!r}")


def excluded_tables(
    connection: psycopg.Connection, database: Database, patterns: Sequence[str]
) -> list[int]:
    """Return what the patterns match, with all partitions of partitioned tables.

    :raises InvalidInputError: for a pattern that matches nothing.
    """
    if not patterns:
        return []
    # The kinds of relations that pg_dump looks through: expand_table_name_patterns() in pg_dump.c.
    with connection.transaction(force_rollback=True):
        # That of the user, by which pg_dump looks for names without a schema.
        connection.execute("SET LOCAL search_path TO DEFAULT")
        tables: list[tuple[Any, ...]] = connection.execute(
            "SELECT c.oid, nspname, relname, pg_catalog.pg_table_is_visible(c.oid) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace "
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
