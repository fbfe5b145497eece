"""Which part of a database is dumped, as patterns say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_pgclone.core.catalog.patterns import parse_schema_pattern, parse_table_pattern
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import USER_PATH_TRANSACTION, Session


@dataclass(frozen=True)
class Selection:
    """Which part of a database is dumped.

    :param exclude: patterns of tables whose rows are left out.
    :param schemas: patterns of the only schemas to dump; none means all.
    :param exclude_schemas: patterns of schemas that are left out.
    :param pg_dump_args: more pg_dump options.
    """

    exclude: Sequence[str] = ()
    schemas: Sequence[str] = ()
    exclude_schemas: Sequence[str] = ()
    pg_dump_args: Sequence[str] = ()

    @property
    def patterns(self) -> list[str]:
        """All patterns, of tables and of schemas."""
        return [*self.exclude, *self.schemas, *self.exclude_schemas]

    def as_dict(self) -> dict[str, list[str]]:
        """Return the selection as a manifest keeps it."""
        return {name: list(value) for name, value in vars(self).items()}

    def includes_schema(self, schema: str) -> bool:
        """Tell whether a schema is dumped."""
        included = not self.schemas or _matches(self.schemas, schema)
        return included and not _matches(self.exclude_schemas, schema)


def _matches(patterns: Sequence[str], schema: str) -> bool:
    return any(parse_schema_pattern(text).fullmatch(schema) for text in patterns)


def check_encodable(patterns: Sequence[str], encoding: str) -> None:
    """Refuse patterns that pg_dump would read in another encoding, and so would match nothing.

    :raises InvalidInputError: naming the first of them.
    """
    for text in patterns:
        if encoding != "UTF8" and not text.isascii():
            raise InvalidInputError(
                f"the pattern {text!r} cannot be given to pg_dump in the encoding {encoding}",
                hint="Match the letters that are not ASCII by ? or *.",
            )


def check_schemas(session: Session, patterns: Sequence[str]) -> None:
    """Refuse patterns that match no schema.

    :raises InvalidInputError: naming the first of them.
    """
    schemas = [row[0] for row in session.execute("SELECT nspname FROM pg_namespace")]
    for text in patterns:
        pattern = parse_schema_pattern(text)
        if not any(pattern.fullmatch(schema) for schema in schemas):
            raise InvalidInputError(
                f"no schema of database {session.database.name!r} matches {text!r}"
            )


def excluded_tables(session: Session, patterns: Sequence[str]) -> list[int]:
    """Return the OIDs of what the patterns match, with all partitions of partitioned tables.

    :raises InvalidInputError: for a pattern that matches nothing.
    """
    if not patterns:
        return []
    # The kinds of relations that pg_dump looks through: expand_table_name_patterns() in pg_dump.c.
    with session.transaction(rolled_back=True):
        session.execute(USER_PATH_TRANSACTION)
        tables: list[tuple[Any, ...]] = session.execute(
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
                f"no table of database {session.database.name!r} matches the exclude pattern "
                f"{text!r}",
                hint="Correct it, so that no data is dumped that was to be left out.",
            )
        found += matches
    rows = session.execute(
        "SELECT relid::oid FROM unnest(%s::oid[]) AS root, pg_partition_tree(root)", [found]
    )
    return [*found, *(row[0] for row in rows)]
