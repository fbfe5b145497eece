"""The tables of a database, their columns, and what constrains their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from airflow_provider_pgclone.core.catalog.patterns import display_name

# What a rule can be made for; "other" takes only those that need not know the type.
Kind = Literal[
    "text",
    "integer",
    "number",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "inet",
    "json",
    "bytea",
    "enum",
    "other",
]


_MAX_NAME_CHARS = 63


# varchar(n) and char(n) keep n + 4: VARHDRSZ in varchar.c.
_TYPMOD_OFFSET = 4


@dataclass(frozen=True)
class ColumnType:
    """A type, down to what it is built on.

    :param sql: its name with its modifier, as a cast takes it.
    :param kind: of its values, or of the elements of an array.
    :param base: the name of the type below its domains; of the elements of an array.
    :param modifier: of that type, -1 for none.
    :param element_sql: the type of an array's elements, ``None`` where it is no array.
    :param is_domain: whether it or its elements are of a domain, which may have checks of its own.
    :param refuses_null: whether its domain does.
    """

    sql: str
    kind: Kind
    base: str
    modifier: int = -1
    element_sql: str | None = None
    is_domain: bool = False
    refuses_null: bool = False

    @property
    def max_chars(self) -> int | None:
        """How many characters a value may have at the most."""
        if self.base == "name":
            return _MAX_NAME_CHARS
        if self.base in ("varchar", "bpchar") and self.modifier >= _TYPMOD_OFFSET:
            return self.modifier - _TYPMOD_OFFSET
        return None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :param generation: the expression of a generated column; ``None`` where it is stored as given.
    """

    name: str
    type: ColumnType
    not_null: bool
    generation: str | None = None


@dataclass(frozen=True)
class CatalogTable:
    """A table, partitioned or not.

    :param parents: the OIDs of those that it inherits from, or is a partition of.
    :param is_partitioned: whether it has no rows of its own.
    :param partition_check: what the rows of a partition must be, in SQL.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    parents: tuple[int, ...] = ()
    is_partition: bool = False
    is_partitioned: bool = False
    partition_check: str | None = None

    @property
    def display_name(self) -> str:
        """What a message calls it, as a pattern takes it."""
        return display_name(self.schema, self.name)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key; of a partitioned table its own alone, not those of its partitions.

    :param is_full: whether all of its columns must be null where one is.
    :param is_temporal: whether a part of it is a period that must be covered.
    """

    name: str
    child: int
    child_columns: tuple[str, ...]
    parent: int
    parent_columns: tuple[str, ...]
    is_full: bool = False
    is_temporal: bool = False


@dataclass(frozen=True)
class Index:
    """An index that rows may not fit: a unique one, one of expressions, an exclusion constraint.

    :param keys: in SQL, each a column or an expression.
    :param columns: those that the keys and the predicate read.
    :param plain: whether the keys are nothing but columns.
    :param predicate: in SQL, of the rows that it is about.
    """

    name: str
    table: int
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    plain: bool = True
    predicate: str | None = None
    nulls_are_equal: bool = False
    is_exclusion: bool = False
    is_unique: bool = True
    oid: int = 0


@dataclass(frozen=True)
class Check:
    """A check constraint."""

    name: str
    table: int
    columns: tuple[str, ...]
    sql: str
    oid: int = 0


@dataclass(frozen=True)
class Catalog:
    """All tables of a database, but for those of the system."""

    tables: Mapping[int, CatalogTable]
    foreign_keys: Sequence[ForeignKey] = ()
    indexes: Sequence[Index] = ()
    checks: Sequence[Check] = ()

    def ancestors(self, table: CatalogTable) -> list[CatalogTable]:
        """Return what a table inherits from, the nearest first."""
        found: list[CatalogTable] = []
        waiting = list(table.parents)
        while waiting:
            oid = waiting.pop(0)
            parent = self.tables.get(oid)
            if parent is not None and parent not in found:
                found.append(parent)
                waiting += parent.parents
        return found

    def root(self, table: CatalogTable) -> CatalogTable:
        """Return the table that a partition belongs to in the end; any other is its own."""
        while table.is_partition and table.parents[0] in self.tables:
            table = self.tables[table.parents[0]]
        return table
