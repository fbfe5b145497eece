"""The part of a database that a user selects by patterns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from airflow_provider_pgclone.core.catalog.patterns import (
    display_name,
    parse_schema_pattern,
    parse_table_pattern,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres import USER_PATH_TRANSACTION, Session

_WITH_BLOBS = frozenset({"-b", "--blobs", "--large-objects"})
_WITHOUT_BLOBS = frozenset({"-B", "--no-blobs", "--no-large-objects"})


@dataclass(frozen=True)
class Selection:
    """The part of a database to dump.

    :param exclude: patterns of tables whose rows are left out.
    :param schemas: patterns of the schemas to dump; empty dumps all schemas.
    :param exclude_schemas: patterns of schemas to leave out.
    :param pg_dump_args: additional arguments of pg_dump.
    """

    exclude: Sequence[str] = ()
    schemas: Sequence[str] = ()
    exclude_schemas: Sequence[str] = ()
    pg_dump_args: Sequence[str] = ()

    @property
    def patterns(self) -> list[str]:
        """All patterns of tables and schemas."""
        return [*self.exclude, *self.schemas, *self.exclude_schemas]

    @property
    def reads_large_objects(self) -> bool:
        """Whether large objects are dumped; beside chosen schemas, only if they are asked for."""
        arguments = {*self.pg_dump_args}
        if self.schemas:
            return not arguments.isdisjoint(_WITH_BLOBS)
        return arguments.isdisjoint(_WITHOUT_BLOBS)

    def as_dict(self) -> dict[str, list[str]]:
        """Return the selection for a manifest."""
        return {name: list(value) for name, value in vars(self).items()}

    def includes_schema(self, schema: str) -> bool:
        """Tell whether a schema is dumped."""
        included = not self.schemas or _matches(self.schemas, schema)
        return included and not _matches(self.exclude_schemas, schema)


def check_encodable(patterns: Sequence[str], encoding: str) -> None:
    """Refuse patterns that pg_dump would read in another encoding and so would not match.

    :raises InvalidInputError: names the first such pattern.
    """
    for text in patterns:
        if encoding != "UTF8" and not text.isascii():
            raise InvalidInputError(
                f"the pattern {text!r} cannot be given to pg_dump in the encoding {encoding}",
                hint="Write ? or * for letters that are not ASCII.",
            )


def check_schemas(session: Session, patterns: Sequence[str]) -> None:
    """Refuse patterns that do not match any schema.

    :raises InvalidInputError: names the first such pattern.
    """
    schemas = [row[0] for row in session.execute("SELECT nspname FROM pg_namespace")]
    for text in patterns:
        pattern = parse_schema_pattern(text)
        if not any(pattern.fullmatch(schema) for schema in schemas):
            users = sorted(one for one in schemas if not one.startswith("pg_"))
            raise InvalidInputError(
                f"no schema of database {session.database.name!r} matches {text!r}",
                hint=f"{_did_you_mean(text, users)}Correct the pattern, or leave it out.",
            )


def excluded_tables(session: Session, patterns: Sequence[str]) -> list[int]:
    """Return the OIDs of the relations that the patterns match, and of all their partitions.

    :raises InvalidInputError: when a pattern does not match anything.
    """
    if not patterns:
        return []
    # pg_dump matches its patterns against the same kinds of relations:
    # expand_table_name_patterns() in pg_dump.c.
    with session.transaction(rolled_back=True):
        session.execute(USER_PATH_TRANSACTION)
        tables: list[tuple[Any, ...]] = session.execute(
            "SELECT c.oid, nspname, relname, pg_catalog.pg_table_is_visible(c.oid) "
            "FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) relnamespace "
            "WHERE relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'S', 'v', 'm', 'f', 'p']"
            '::pg_catalog."char"[])'
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
                hint=f"{_did_you_mean(text, _names_like(text, tables))}Correct the pattern, or the "
                "dump would contain data that you want left out.",
            )
        found += matches
    rows = session.execute(
        "SELECT relid::oid FROM unnest(%s::oid[]) AS root, pg_partition_tree(root)", [found]
    )
    return [*found, *(row[0] for row in rows)]


def _names_like(text: str, tables: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return the names of tables in the form of a pattern: with their schema if it has one."""
    shown = (1, 2) if "." in text else (2,)
    return sorted(
        {display_name(*(row[n] for n in shown)) for row in tables if row[1] != "pg_catalog"}
    )


def _did_you_mean(text: str, names: Sequence[str]) -> str:
    """Return a sentence with the names that are spelled like a pattern, empty if none is."""
    near = get_close_matches(text, names)
    return f"Did you mean {' or '.join(map(repr, near))}? " if near else ""


def _matches(patterns: Sequence[str], schema: str) -> bool:
    return any(parse_schema_pattern(text).fullmatch(schema) for text in patterns)
