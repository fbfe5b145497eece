"""Builds what a dump reads of each table in place of its rows. Pure: no I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

# These may mask equal values differently. Equal numbers may differ in scale, by which noise is
# rounded, and equal documents may contain such numbers.
_NEVER_ALIKE = frozenset({"sql", "constant", "null", "noise", "json"})


@dataclass(frozen=True)
class MaskedTable:
    """A table with masked columns or left-out rows.

    :param rules: by the names of the masked columns.
    :param generated: the generated columns that depend on masked ones.
    :param checks: the check constraints that masks could violate.
    :param unique: the unique indexes that masks could violate.
    :param indexes: the indexes with expressions or a predicate that read masked columns.
    :param computed: the SQL that is computed from masked columns: generated columns, and the
        expressions and predicates of indexes.
    :param not_null: the NOT NULL columns that are generated, or masked by the user's SQL.
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
        """The columns that are not generated."""
        return tuple(c.name for c in self.table.columns if c.generation is None)

    @property
    def rows(self) -> str:
        """The query of the masked rows, with the names of their columns."""
        table = Table(self.table.schema, self.table.name, 0, 0, self.columns, self.masked)
        return named_rows_query(table)


def plan_tables(assignment: Assignment, row_filter: RowFilter) -> dict[int, MaskedTable]:
    """Return what is read of the tables in scope that have masks or conditions, by their OIDs.

    :raises InvalidInputError: naming the column that a rule does not fit, or the foreign key whose
        sides are masked differently.
    :raises UnsupportedError: when nothing can check that a constraint holds.
    """
    planned: dict[int, MaskedTable] = {}
    for one in assignment.in_scope:
        condition = row_filter.condition(one.table)
        if one.rules or condition is not None:
            planned[one.table.oid] = _plan_table(assignment.catalog, one, condition)
    _check_foreign_keys(assignment, row_filter)
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
    masked = Masked(alias, tuple(_values(assigned, alias)), condition)
    # The columns that they read are known from their text only: rather one too many.
    generated = [
        column.name
        for column in table.columns
        if (computed := column.generation) is not None
        and any(_is_named(name, computed) for name in rules)
    ]
    touched = {*rules, *generated}
    indexes = _touched_indexes(catalog, table, touched)
    return MaskedTable(
        table,
        masked,
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


def _values(assigned: TableAssignment, alias: str) -> Iterator[str]:
    """Yield the SQL of each stored column, masked where it has a rule."""
    for column in assigned.table.columns:
        if column.generation is not None:
            continue
        reference = f"{alias}.{quote_ascii(column.name)}"
        rule = assigned.rules.get(column.name)
        try:
            yield reference if rule is None else expression(rule, column, reference)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"the column {assigned.table.display_name}.{column.name} {error.message}",
                hint=error.hint,
            ) from error


def _checks(catalog: Catalog, table: CatalogTable, touched: set[str]) -> list[Check]:
    """Return the checks that read a masked column, including the bounds of a partition."""
    found = [
        check
        for check in catalog.checks
        if check.table == table.oid
        and (touched.intersection(check.columns) or (touched and ".*" in check.sql))
    ]
    # Its columns are known from its text only: rather one too many.
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
                "column: nothing can check whether it still holds",
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
    # A row with a null is not equal to any other.
    if not index.nulls_are_equal and any(rule.name == "null" for rule in masked.values()):
        return True
    return all(keeps_unique(rule, table.by_name[name]) for name, rule in masked.items())


def _check_foreign_keys(assignment: Assignment, row_filter: RowFilter) -> None:
    """Refuse masks after which rows would no longer refer to the same rows."""
    for one in assignment.in_scope:
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
            masked = value(one, table.by_name[here], "?")
            if masked == value(other, parent.by_name[there], "?"):
                continue
        raise InvalidInputError(
            f"the columns {table.display_name}.{here} and {parent.display_name}.{there} are bound "
            f"by the foreign key {key.name}, but the first is {_described(one)}, and the second "
            f"is {_described(other)}",
            hint="Give both the same rule that keeps values apart, such as hash, or give the first "
            "the rule null.",
        )


def _check_not_generated(
    table: CatalogTable, rules: Mapping[str, Rule], columns: Sequence[str], key: ForeignKey
) -> None:
    generated = [name for name in columns if table.by_name[name].generation is not None]
    if generated and rules:
        raise UnsupportedError(
            f"the generated column {table.display_name}.{generated[0]} is part of the foreign key "
            f"{key.name}, and would be computed from masked columns",
            hint="Declare the columns of that table safe, or exclude the table.",
        )


def _described(rule: Rule | None) -> str:
    return "not masked" if rule is None else f"masked by {rule.display_name}"
