"""The tables of a database, their columns, and what constrains their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from airflow_provider_pgclone.core.catalog.patterns import display_name
from airflow_provider_pgclone.core.postgres import quote_ascii

# Masking rules depend on the kind. Only rules that fit every type apply to "other".
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
# The modifier of varchar(n) and char(n) is n + 4: VARHDRSZ in varchar.c.
_TYPMOD_OFFSET = 4


@dataclass(frozen=True)
class ColumnType:
    """The type of a column, and the base type of its domains and arrays.

    :param sql: the name of the type with its modifier, as in a cast.
    :param kind: the kind of the values; for an array, of its elements.
    :param base: the name of the base type, below all domains; for an array, of its elements.
    :param modifier: the modifier of the base type; -1 for none.
    :param element_sql: the type of the elements of an array; ``None`` if it is not an array.
    :param is_domain: whether the type, or that of the elements, is a domain. A domain may have
        check constraints.
    :param refuses_null: whether a domain does not allow nulls.
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
        """The maximum number of characters of a value; ``None`` for no limit."""
        if self.base == "name":
            return _MAX_NAME_CHARS
        if self.base in ("varchar", "bpchar") and self.modifier >= _TYPMOD_OFFSET:
            return self.modifier - _TYPMOD_OFFSET
        return None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :param generation: the expression of a generated column; ``None`` for other columns.
    """

    name: str
    type: ColumnType
    not_null: bool
    generation: str | None = None


@dataclass(frozen=True)
class CatalogTable:
    """A table, a partition or a partitioned table.

    :param parents: the OIDs of the tables that it inherits from or is a partition of.
    :param is_partitioned: whether the table is partitioned, so that it has no rows of its own.
    :param partition_check: the SQL condition that the rows of a partition satisfy.
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
        """The name of the table in messages; it is also a valid pattern."""
        return display_name(self.schema, self.name)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


@dataclass(frozen=True)
class KeyOperator:
    """An operator that compares the columns of a foreign key, such as that of citext.

    :param left: the type of its left operand, in SQL.
    """

    schema: str
    name: str
    left: str
    right: str


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key. The copies that partitions inherit are not included.

    :param operators: what compares each column of the parent, on the left, with one of the child;
        ``None`` is PostgreSQL's own ``=``. None at all: all of them are.
    :param is_full: whether the key is MATCH FULL: all of its columns are null, or none is.
    :param is_temporal: whether the key contains a PERIOD.
    """

    name: str
    child: int
    child_columns: tuple[str, ...]
    parent: int
    parent_columns: tuple[str, ...]
    is_full: bool = False
    is_temporal: bool = False
    operators: tuple[KeyOperator | None, ...] = ()
    oid: int = 0

    @property
    def calls_functions(self) -> bool:
        """Whether a comparison calls functions that are not PostgreSQL's own."""
        return any(operator is not None for operator in self.operators)

    def matches(self, parent: Mapping[str, str], child: Mapping[str, str]) -> str:
        """Return the condition that a row refers to another one, as PostgreSQL decides it.

        :param parent: the SQL of the values of columns of the row that is referred to.
        :param child: that of the row that refers to it.
        """
        operators = self.operators or (None,) * len(self.child_columns)
        columns = zip(self.parent_columns, operators, self.child_columns, strict=True)
        return " AND ".join(_compared(parent[one], by, child[other]) for one, by, other in columns)


@dataclass(frozen=True)
class Index:
    """An index that can reject a row: unique, on expressions, partial, or an exclusion constraint.

    :param keys: columns and expressions, in SQL.
    :param columns: the columns that the keys and the predicate read.
    :param plain: whether all keys are columns.
    :param predicate: the SQL condition of a partial index; ``None`` for other indexes.
    :param nulls_are_equal: whether the index is NULLS NOT DISTINCT.
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
    """All tables of a database except system tables."""

    tables: Mapping[int, CatalogTable]
    foreign_keys: Sequence[ForeignKey] = ()
    indexes: Sequence[Index] = ()
    checks: Sequence[Check] = ()

    def ancestors(self, table: CatalogTable) -> list[CatalogTable]:
        """Return the tables that a table inherits from, the nearest first."""
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
        """Return the topmost partitioned table of a partition; any other table is its own root."""
        while table.is_partition and table.parents[0] in self.tables:
            table = self.tables[table.parents[0]]
        return table


def _compared(left: str, operator: KeyOperator | None, right: str) -> str:
    if operator is None:
        return f"{left} = {right}"
    # With operands of exactly its types, no other operator of this name and schema fits better.
    name = f"{quote_ascii(operator.schema)}.{operator.name}"
    return f"{left}::{operator.left} OPERATOR({name}) {right}::{operator.right}"
