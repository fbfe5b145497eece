"""Groups a table with its partitions and the tables that inherit from it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog.tables import Catalog, CatalogTable, Column, Index


@dataclass(frozen=True)
class Family:
    """A table that defines columns, and all tables that inherit these columns from it.

    :param columns: the columns that the table does not inherit.
    :param members: the table, its partitions and the tables that inherit from it.
    :param leaves: the members that :func:`families` was asked about.
    """

    table: CatalogTable
    columns: tuple[Column, ...]
    members: tuple[CatalogTable, ...]
    leaves: tuple[CatalogTable, ...]

    def refuses_null(self, column: Column) -> bool:
        """Tell whether a member does not allow nulls in a column."""
        return any(
            own.not_null or own.type.refuses_null
            for member in self.members
            if (own := member.by_name.get(column.name))
        )

    def unique_indexes(self, catalog: Catalog, column: Column) -> list[Index]:
        """Return the unique indexes and exclusion constraints of the members on a column."""
        oids = {member.oid for member in self.members}
        return [
            index
            for index in catalog.indexes
            if index.table in oids
            and column.name in index.columns
            and (index.is_unique or index.is_exclusion)
        ]

    def is_partition_key(self, column: Column) -> bool:
        """Tell whether a column is part of the partition key of a member."""
        name = re.escape(column.name.replace('"', '""'))
        named = re.compile(rf'(?<![\w$"]){name}(?![\w$"])|"{name}"')
        return any(
            member.partition_check is not None and named.search(member.partition_check)
            for member in self.members
        )

    def checks(self, catalog: Catalog, column: Column) -> list[str]:
        """Return the names of the members' check constraints on a column, sorted."""
        oids = {member.oid for member in self.members}
        return sorted(
            {one.name for one in catalog.checks if one.table in oids and column.name in one.columns}
        )


def families(catalog: Catalog, tables: Sequence[CatalogTable]) -> list[Family]:
    """Return the families that some tables belong to, sorted by schema and name.

    :param tables: the tables of interest; they become the leaves.
    """
    leaves: dict[int, list[CatalogTable]] = {}
    for table in tables:
        for one in (table, *catalog.ancestors(table)):
            leaves.setdefault(one.oid, []).append(table)
    members: dict[int, list[CatalogTable]] = {}
    for table in catalog.tables.values():
        for one in (table, *catalog.ancestors(table)):
            members.setdefault(one.oid, []).append(table)
    found = [
        Family(table, columns, tuple(members[oid]), tuple(leaves[oid]))
        for oid, table in catalog.tables.items()
        if oid in leaves
        and not table.is_partition
        # A table without any column is shown; one that inherits all of its columns is not.
        and ((columns := _own_columns(catalog, table)) or not table.parents)
    ]
    return sorted(found, key=lambda family: (family.table.schema, family.table.name))


def owner(catalog: Catalog, oid: int, column: str) -> tuple[int, str]:
    """Return the OID of the table that defines a column, and the name of the column."""
    table = catalog.tables[oid]
    candidates: Iterable[CatalogTable] = (table, *catalog.ancestors(table))
    owners = [one.oid for one in candidates if column in one.by_name]
    return (owners[-1] if owners else oid), column


def _own_columns(catalog: Catalog, table: CatalogTable) -> tuple[Column, ...]:
    """Return the columns that a table does not inherit."""
    inherited = {name for parent in catalog.ancestors(table) for name in parent.by_name}
    return tuple(column for column in table.columns if column.name not in inherited)
