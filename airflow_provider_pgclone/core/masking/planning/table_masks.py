"""What is read of each table in place of its rows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog import (
    Catalog,
    CatalogTable,
    Check,
    ForeignKey,
    Index,
    Masked,
    Table,
    named_rows_query,
)
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment, TableAssignment
from airflow_provider_pgclone.core.masking.planning.row_filter import RowFilter, alias_of
from airflow_provider_pgclone.core.masking.rules import (
    Rule,
    expression,
    keeps_unique,
    needs_key,
    value,
)
from airflow_provider_pgclone.core.postgres import quote_ascii

# Equal numbers may have another scale, by which noise is rounded, and equal documents such numbers.
_NEVER_ALIKE = frozenset({"sql", "constant", "null", "noise", "json"})


@dataclass(frozen=True)
class MaskedTable:
    """A table of which something is masked or left out.

    :param rules: of the columns that are masked.
    :param generated: columns that are made of these.
    :param checks: constraints that masks could break.
    :param unique: indexes that masks could break; what keeps values apart by construction is none.
    :param indexes: those of expressions or with a predicate.
    :param computed: what is made of masked columns: generated ones and parts of indexes, in SQL.
    :param not_null: columns that must not be null, and are generated or made by SQL of the user's.
    """

    table: CatalogTable
    masked: Masked
    rules: Mapping[str, Rule]
    generated: Sequence[str] = ()
    checks: Sequence[Check] = ()
    unique: Sequence[Index] = ()
    indexes: Sequence[Index] = ()
    computed: Sequence[str] = ()
    not_null: Sequence[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are stored as they are given."""
        return tuple(c.name for c in self.table.columns if c.generation is None)

    @property
    def rows(self) -> str:
        """The query of the masked rows, under the names of their columns."""
        table = Table(self.table.schema, self.table.name, 0, 0, self.columns, self.masked)
        return named_rows_query(table)


def plan_tables(
    assignment: Assignment, assigned: Sequence[TableAssignment], row_filter: RowFilter
) -> dict[int, MaskedTable]:
    """Return what is read of the tables that masks and conditions are about, by their OIDs.

    :param assigned: the tables whose rows the dump holds.
    :raises InvalidInputError: naming the column that a rule does not fit, or the foreign key whose
        sides are masked differently.
    :raises UnsupportedError: where it cannot be told that a constraint holds.
    """
    planned: dict[int, MaskedTable] = {}
    for one in assigned:
        condition = row_filter.condition(one.table)
        if one.rules or condition is not None:
            planned[one.table.oid] = _plan_table(assignment.catalog, one, condition)
    _check_foreign_keys(assignment, row_filter, assigned)
    return planned


def keyed_columns(planned: Iterable[MaskedTable]) -> list[str]:
    """Return the columns whose masks need a key."""
    return [
        f"{one.table.display_name}.{name}"
        for one in planned
        for name, rule in one.rules.items()
        if needs_key(rule, one.table.by_name[name])
    ]


def _plan_table(catalog: Catalog, assigned: TableAssignment, condition: str | None) -> MaskedTable:
    table, rules = assigned.table, assigned.rules
    alias = alias_of(table, catalog)
    values = []
    for column in table.columns:
        if column.generation is not None:
            continue
        reference = f"{alias}.{quote_ascii(column.name)}"
        rule = rules.get(column.name)
        if rule is None:
            values.append(reference)
            continue
        try:
            values.append(expression(rule, column, reference))
        except InvalidInputError as error:
            raise InvalidInputError(
                f"the column {table.display_name}.{column.name} {error.message}", hint=error.hint
            ) from error
    # What they read is known by their text alone: rather one too many.
    generated = [
        column.name
        for column in table.columns
        if (made_of := column.generation) is not None
        and any(_is_named(name, made_of) for name in rules)
    ]
    touched = {*rules, *generated}
    indexes = _touched_indexes(catalog, table, touched)
    return MaskedTable(
        table,
        Masked(alias, tuple(values), condition),
        rules,
        generated=generated,
        checks=_checks(catalog, table, touched),
        unique=[
            index
            for index in indexes
            if index.is_unique and not _holds_by_construction(index, table, rules)
        ],
        indexes=[index for index in indexes if not index.plain or index.predicate is not None],
        computed=[
            *map(quote_ascii, generated),
            *(key for index in indexes if not index.plain for key in index.keys),
            *(index.predicate for index in indexes if index.predicate is not None),
        ],
        not_null=[
            name
            for name in touched
            if table.by_name[name].not_null and (name in generated or rules[name].name == "sql")
        ],
    )


def _checks(catalog: Catalog, table: CatalogTable, touched: set[str]) -> list[Check]:
    """Return the constraints that read a masked column, a partition's bounds among them."""
    found = [
        check
        for check in catalog.checks
        if check.table == table.oid
        and (touched.intersection(check.columns) or (touched and ".*" in check.sql))
    ]
    # Its columns are known by its text alone: rather one too many.
    bounds = table.partition_check
    if bounds is not None and any(_is_named(name, bounds) for name in touched):
        found.append(Check("partition bounds", table.oid, (), bounds))
    return found


def _is_named(name: str, sql: str) -> bool:
    return name in sql or name.replace('"', '""') in sql


def _touched_indexes(catalog: Catalog, table: CatalogTable, touched: set[str]) -> list[Index]:
    found = []
    for index in catalog.indexes:
        if index.table != table.oid or not touched.intersection(index.columns):
            continue
        if index.is_exclusion:
            raise UnsupportedError(
                f"the exclusion constraint {index.name} of {table.display_name} reads a masked "
                "column: nothing tells whether it holds",
                hint="Declare its columns safe, or dump without that table's rows.",
            )
        found.append(index)
    return found


def _holds_by_construction(index: Index, table: CatalogTable, rules: Mapping[str, Rule]) -> bool:
    if not index.plain or index.predicate is not None:
        return False
    if any(table.by_name[name].generation is not None for name in index.columns):
        return False
    masked = {name: rules[name] for name in index.columns if name in rules}
    # Where one is null, a row is equal to no other.
    if not index.nulls_are_equal and any(rule.name == "null" for rule in masked.values()):
        return True
    return all(keeps_unique(rule, table.by_name[name]) for name, rule in masked.items())


def _check_foreign_keys(
    assignment: Assignment, row_filter: RowFilter, assigned: Sequence[TableAssignment]
) -> None:
    """Refuse masks by which rows would no longer refer to what they refer to."""
    for one in assigned:
        for key in row_filter.foreign_keys_of(one.table):
            parent = assignment.tables.get(key.parent)
            if parent is not None:
                _check_foreign_key(one, parent, key)


def _check_foreign_key(child: TableAssignment, referred: TableAssignment, key: ForeignKey) -> None:
    table, rules = child.table, child.rules
    parent, parent_rules = referred.table, referred.rules
    _check_not_generated(table, rules, key.child_columns, key)
    _check_not_generated(parent, parent_rules, key.parent_columns, key)
    refers_to_nothing = any(
        (rule := rules.get(name)) is not None and rule.name == "null" for name in key.child_columns
    )
    if refers_to_nothing and not (key.is_full and len(key.child_columns) > 1):
        return
    for here, there in zip(key.child_columns, key.parent_columns, strict=True):
        one, other = rules.get(here), parent_rules.get(there)
        if one is None and other is None:
            continue
        if one is not None and other is not None and one.name not in _NEVER_ALIKE:
            made = value(one, table.by_name[here], "?")
            if made == value(other, parent.by_name[there], "?"):
                continue
        raise InvalidInputError(
            f"the columns {table.display_name}.{here} and {parent.display_name}.{there} are bound "
            f"by the foreign key {key.name}, and the first is {_said(one)}, the second "
            f"{_said(other)}",
            hint="Give both the same rule, one that keeps values apart, such as hash; "
            "or make the first null.",
        )


def _check_not_generated(
    table: CatalogTable, rules: Mapping[str, Rule], columns: Sequence[str], key: ForeignKey
) -> None:
    generated = [name for name in columns if table.by_name[name].generation is not None]
    if generated and rules:
        raise UnsupportedError(
            f"the generated column {table.display_name}.{generated[0]} is part of the foreign key "
            f"{key.name}, and would be made of masked columns",
            hint="Declare the columns of that table safe, or leave the table out.",
        )


def _said(rule: Rule | None) -> str:
    return "not masked" if rule is None else f"masked by {rule.display_name}"
