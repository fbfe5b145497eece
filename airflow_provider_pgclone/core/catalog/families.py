"""Which table's rules a column is under, where tables have partitions or inherit from others."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog.tables import Catalog, CatalogTable, Column, Index


@dataclass(frozen=True)
class Family:
    """A table with columns of its own, and all that have them from it.

    :param columns: those that it does not have from another.
    :param members: the table and what inherits from it, partitions or not.
    :param leaves: those of them whose rows are of interest.
    """

    table: CatalogTable
    columns: tuple[Column, ...]
    members: tuple[CatalogTable, ...]
    leaves: tuple[CatalogTable, ...]

    def refuses_null(self, column: Column) -> bool:
        """Whether some member takes no null in a column."""
        return any(
            own.not_null or own.type.refuses_null
            for member in self.members
            if (own := member.by_name.get(column.name))
        )

    def unique_indexes(self, catalog: Catalog, column: Column) -> list[Index]:
        oids = {member.oid for member in self.members}
        return [
            index
            for index in catalog.indexes
            if index.table in oids
            and column.name in index.columns
            and (index.is_unique or index.is_exclusion)
        ]

    def is_partition_key(self, column: Column) -> bool:
        """Whether a column decides in which partition a row is."""
        name = re.escape(column.name.replace('"', '""'))
        named = re.compile(rf'(?<![\w$"]){name}(?![\w$"])|"{name}"')
        return any(
            member.partition_check is not None and named.search(member.partition_check)
            for member in self.members
        )

    def checks(self, catalog: Catalog, column: Column) -> list[str]:
        """Return the names of the check constraints that a column is under."""
        oids = {member.oid for member in self.members}
        return sorted(
            {one.name for one in catalog.checks if one.table in oids and column.name in one.columns}
        )


def families(catalog: Catalog, tables: Sequence[CatalogTable]) -> list[Family]:
    """Return the tables whose rules some tables with rows are under, by name.

    :param tables: those with rows.
    """
    leaves: dict[int, list[CatalogTable]] = {}
    for table in tables:
        for owner in (table, *catalog.ancestors(table)):
            leaves.setdefault(owner.oid, []).append(table)
    members: dict[int, list[CatalogTable]] = {}
    for table in catalog.tables.values():
        for owner in (table, *catalog.ancestors(table)):
            members.setdefault(owner.oid, []).append(table)
    found = [
        Family(table, columns, tuple(members[oid]), tuple(leaves[oid]))
        for oid, table in catalog.tables.items()
        if oid in leaves
        and not table.is_partition
        # Even one without columns is shown, unless it has them all from others.
        and ((columns := own_columns(catalog, table)) or not table.parents)
    ]
    return sorted(found, key=lambda family: (family.table.schema, family.table.name))


def own_columns(catalog: Catalog, table: CatalogTable) -> tuple[Column, ...]:
    """Return the columns that a table does not inherit."""
    inherited = {name for parent in catalog.ancestors(table) for name in parent.by_name}
    return tuple(column for column in table.columns if column.name not in inherited)


def owner(catalog: Catalog, oid: int, column: str) -> tuple[int, str]:
    """Return the table whose rules a column is under, with the column."""
    table = catalog.tables[oid]
    lineage: Iterable[CatalogTable] = (table, *catalog.ancestors(table))
    owners = [one.oid for one in lineage if column in one.by_name]
    return (owners[-1] if owners else oid), column
