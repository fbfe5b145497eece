"""Builds the conditions that leave rows out, and the rows that refer to them. Pure: no I/O.

The conditions read the original rows in the snapshot of the dump, never masked ones.
"""

from airflow_provider_pgclone.core.catalog import Catalog, CatalogTable, ForeignKey
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment
from airflow_provider_pgclone.core.postgres import qualified, quote_ascii

# Names that no table is likely to have.
_PARENT, _LEFT_OUT = "pgclone_parent_row", "pgclone_rows_left_out"


class RowFilter:
    """Tells which rows of a table are read; tables out of scope have none.

    :param follow_fks: whether rows that refer to left-out rows are left out too.
    """

    def __init__(self, assignment: Assignment, *, follow_fks: bool) -> None:
        self._catalog = assignment.catalog
        self._assigned = assignment.tables
        self._in_scope = {one.table.oid for one in assignment.in_scope}
        self._follow_fks = follow_fks

    def condition(self, table: CatalogTable) -> str | None:
        """Return the condition for the rows of a table; ``None`` if all are read.

        :raises InvalidInputError: when foreign keys lead in a circle through several tables.
        :raises UnsupportedError: when a foreign key with a period leads to rows that are left out.
        """
        return _all_of(self._conditions(table, ()))

    def is_filtered(self, table: CatalogTable) -> bool:
        """Tell whether rows of a table may be left out."""
        return self._is_filtered(table, set())

    def foreign_keys_of(self, table: CatalogTable) -> list[ForeignKey]:
        """Return the foreign keys of a table and, for a partition, of its partitioned tables."""
        own = {table.oid}
        if table.is_partition:
            own |= {one.oid for one in self._catalog.ancestors(table)}
        return [key for key in self._catalog.foreign_keys if key.child in own]

    @property
    def foreign_keys(self) -> list[ForeignKey]:
        """All foreign keys to rows that may be left out."""
        tables = self._catalog.tables
        return [
            key
            for key in self._catalog.foreign_keys
            if key.parent in tables and self.is_filtered(tables[key.parent])
        ]

    def has_parent(self, table: CatalogTable, key: ForeignKey) -> str:
        """Return the condition that a row refers to a row that is read, or to none."""
        return self._has_parent(table, key, (self._catalog.root(table).oid,))

    def _conditions(self, table: CatalogTable, below: tuple[int, ...]) -> list[str]:
        conditions = [f"(\n{sql}\n)" for sql in self._assigned[table.oid].conditions]
        if not self._has_rows(table):
            conditions.append("false")
        if not self._follow_fks:
            return conditions
        root = self._catalog.root(table).oid
        own_keys = []
        for key in self.foreign_keys_of(table):
            parent = self._catalog.tables.get(key.parent)
            if parent is None or not self.is_filtered(parent):
                continue
            if key.is_temporal:
                raise UnsupportedError(
                    f"rows of {table.display_name} cannot be left out by the foreign key "
                    f"{key.name}, because it has a period",
                    hint="Set follow_fks to false and give the table a condition in rows.",
                )
            if self._catalog.root(parent).oid == root:
                own_keys.append(key)
            else:
                conditions.append(self._has_parent(table, key, (*below, root)))
        if own_keys:
            conditions.append(self._not_below_left_out(table, own_keys, conditions))
        return conditions

    def _has_parent(self, table: CatalogTable, key: ForeignKey, below: tuple[int, ...]) -> str:
        parent = self._catalog.tables[key.parent]
        if self._catalog.root(parent).oid in below and len(below) > 1:
            names = " and ".join(self._catalog.tables[oid].display_name for oid in below)
            raise InvalidInputError(
                f"foreign keys lead in a circle through {names}, so follow_fks cannot tell which "
                "rows to leave out",
                hint="Set follow_fks to false and give each of them a condition in rows.",
            )
        alias = alias_of(table, self._catalog)
        columns = ", ".join(quote_ascii(column) for column in key.parent_columns)
        where = _all_of(self._conditions(parent, below)) or "true"
        own = {here: f"{alias}.{quote_ascii(here)}" for here in key.child_columns}
        same = key.matches(
            {there: f"{_PARENT}.{quote_ascii(there)}" for there in key.parent_columns}, own
        )
        nothing = " OR ".join(f"{column} IS NULL" for column in own.values())
        return (
            f"({nothing} OR EXISTS (SELECT FROM (SELECT {columns} FROM "
            f"{self._rows_of(parent)} WHERE {where}) AS {_PARENT} WHERE {same}))"
        )

    def _is_filtered(self, table: CatalogTable, seen: set[int]) -> bool:
        if table.oid in seen:
            return False
        seen.add(table.oid)
        if self._assigned[table.oid].conditions or not self._has_rows(table):
            return True
        if not self._follow_fks:
            return False
        if self._left_out_partitions(table):
            return True
        parents = (self._catalog.tables.get(k.parent) for k in self.foreign_keys_of(table))
        return any(one is not None and self._is_filtered(one, seen) for one in parents)

    def _rows_of(self, table: CatalogTable) -> str:
        """Return the SQL of a table's rows without those of partitions that are left out."""
        name = qualified(table.schema, table.name)
        alias = alias_of(table, self._catalog)
        if not table.is_partitioned:
            return f"ONLY {name} AS {alias}"
        out = self._left_out_partitions(table)
        if not out:
            return f"{name} AS {alias}"
        rows = f"SELECT *, tableoid, ctid FROM {name} WHERE tableoid <> ALL ('{{{out}}}')"
        return f"({rows}) AS {alias}"

    def _left_out_partitions(self, table: CatalogTable) -> str:
        """Return the OIDs of partitions that are left out, separated by commas."""
        leaves = [
            one.oid
            for one in self._catalog.tables.values()
            if not one.is_partitioned and table in self._catalog.ancestors(one)
        ]
        return ",".join(str(oid) for oid in leaves if oid not in self._in_scope)

    def _not_below_left_out(
        self, table: CatalogTable, keys: list[ForeignKey], conditions: list[str]
    ) -> str:
        root = self._catalog.root(table)
        only = "" if root.is_partitioned else "ONLY "
        name = qualified(root.schema, root.name)
        alias = alias_of(table, self._catalog)
        kept = _all_of(conditions) or "true"
        if out := self._left_out_partitions(root):
            kept = f"{kept} AND {alias}.tableoid <> ALL ('{{{out}}}')"
        return _not_below(f"{only}{name} AS {alias}", alias, keys, kept)

    def _has_rows(self, table: CatalogTable) -> bool:
        if not table.is_partitioned:
            return table.oid in self._in_scope
        return any(
            table in self._catalog.ancestors(self._catalog.tables[oid]) for oid in self._in_scope
        )


def alias_of(table: CatalogTable, catalog: Catalog) -> str:
    """Return the name of a table in conditions and masks: for a partition, that of its root."""
    return quote_ascii(catalog.root(table).name)


def _not_below(rows: str, alias: str, keys: list[ForeignKey], kept: str) -> str:
    """Return the condition that a row does not lead to a left-out row of its own table.

    :param rows: the SQL of the rows of the whole table.
    :param alias: the name of the table in that SQL.
    :param keys: the foreign keys of the table that refer to itself.
    :param kept: the condition for rows that are read, apart from these foreign keys.
    """
    referred = sorted({column for key in keys for column in key.parent_columns})
    columns = ", ".join(f"{alias}.{quote_ascii(column)}" for column in referred)
    names = ", ".join(f"k{number}" for number in range(len(referred)))
    left_out_columns = {name: f"{_LEFT_OUT}.k{place}" for place, name in enumerate(referred)}
    own = {here: f"{alias}.{quote_ascii(here)}" for key in keys for here in key.child_columns}
    leads = " OR ".join(f"({key.matches(left_out_columns, own)})" for key in keys)
    left_out = f"({kept}) IS NOT TRUE"
    found = f"SELECT {alias}.tableoid, {alias}.ctid, {columns} FROM {rows}"
    return (
        f"(({alias}.tableoid, {alias}.ctid) IN (WITH RECURSIVE {_LEFT_OUT} (t, c, {names}) AS "
        f"({found} WHERE {left_out} UNION {found} JOIN {_LEFT_OUT} ON {leads}) "
        f"SELECT t, c FROM {_LEFT_OUT})) IS NOT TRUE"
    )


def _all_of(conditions: list[str]) -> str | None:
    return " AND ".join(conditions) if conditions else None
