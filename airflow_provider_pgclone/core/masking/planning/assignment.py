"""Assigns rules, conditions and safe columns to each table. Pure."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_pgclone.core.catalog import (
    Catalog,
    CatalogTable,
    ColumnPattern,
    parse_column_pattern,
    parse_table_pattern,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.planning.user_sql import at_instant
from airflow_provider_pgclone.core.masking.rules import Rule, others_of

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WILDCARDS = frozenset("*?[](){}|+^$\\")


@dataclass(frozen=True)
class TableAssignment:
    """What was said of one table; what is said of those that it inherits from applies to it.

    :param rules: of the columns that are masked.
    :param kept: the columns that are declared safe.
    :param conditions: of its rows, those of what it inherits from first.
    """

    table: CatalogTable
    rules: Mapping[str, Rule]
    kept: frozenset[str]
    conditions: tuple[str, ...]

    @property
    def unclassified(self) -> list[str]:
        """The columns that are neither masked nor declared safe; generated ones follow others."""
        return [
            column.name
            for column in self.table.columns
            if column.generation is None
            and column.name not in self.rules
            and column.name not in self.kept
        ]

    @property
    def open_documents(self) -> list[str]:
        """The columns whose documents may have keys of which nothing is said."""
        return [
            name
            for name, rule in self.rules.items()
            if rule.name == "json" and others_of(rule) is None
        ]


@dataclass(frozen=True)
class UserSql:
    """SQL of the user's, and what an error about it names."""

    subject: str
    sql: str


@dataclass(frozen=True)
class Assignment:
    """What was said of each table of a database.

    :param tables: by their OIDs.
    :param user_sql: the conditions and masks that the user has written in SQL.
    :param keeps_large_objects: whether large objects are declared safe.
    """

    catalog: Catalog
    tables: Mapping[int, TableAssignment]
    user_sql: Sequence[UserSql]
    keeps_large_objects: bool


def assign_rules(
    masking: Masking, catalog: Catalog, in_scope: Collection[int], instant: datetime
) -> Assignment:
    """Find the rules, the conditions and the safe columns of each table.

    :param in_scope: the OIDs of the tables whose rows the dump holds.
    :param instant: the present moment, for the SQL of the user.
    :raises InvalidInputError: for a pattern or a column that does not exist, a generated column, a
        partition, or two rules of one column.
    """
    said = _Said(catalog, [parse_column_pattern(text) for text in masking.keep])
    for pattern, rules in masking.masks.items():
        tables = _tables(catalog, pattern, "masks")
        _check_columns(tables, pattern, rules)
        for table in tables:
            for column, rule in rules.items():
                if column in table.by_name:
                    made = _at_instant(rule, instant)
                    said.add_rule(table, column, made, is_exact=_is_exact(pattern))
    for pattern, condition in masking.rows.items():
        for table in _tables(catalog, pattern, "rows"):
            said.conditions.setdefault(table.oid, []).append(at_instant(condition, instant))
    scope = set(in_scope)
    return Assignment(
        catalog,
        {
            oid: said.of_table(table, is_in_scope=oid in scope)
            for oid, table in catalog.tables.items()
        },
        said.user_sql(),
        any(one.matches("pg_catalog", "pg_largeobject", "data") for one in said.keep),
    )


@dataclass
class _Said:
    """What was said of the tables that patterns name, by their OIDs.

    :param exact: the columns whose rule stands under the table's own name.
    """

    catalog: Catalog
    keep: Sequence[ColumnPattern]
    rules: dict[int, dict[str, Rule]] = field(default_factory=dict)
    conditions: dict[int, list[str]] = field(default_factory=dict)
    exact: set[tuple[int, str]] = field(default_factory=set)

    def add_rule(self, table: CatalogTable, column: str, rule: Rule, *, is_exact: bool) -> None:
        """Add a rule; that of a table's own name counts more than that of a pattern."""
        rules = self.rules.setdefault(table.oid, {})
        before, place = rules.get(column), (table.oid, column)
        if before is not None and before != rule and is_exact == (place in self.exact):
            raise InvalidInputError(
                f"the column {table.display_name}.{column} has two rules: {before.name} and "
                f"{rule.name}",
                hint="Give it one under the table's own name.",
            )
        if before is None or is_exact:
            rules[column] = rule
        if is_exact:
            self.exact.add(place)

    def user_sql(self) -> list[UserSql]:
        tables = self.catalog.tables
        conditions = [
            UserSql(f"the condition of {tables[oid].display_name}", sql)
            for oid, conditions in self.conditions.items()
            for sql in conditions
        ]
        masks = [
            UserSql(f"the mask of {tables[oid].display_name}.{column}", rule["expression"])
            for oid, rules in self.rules.items()
            for column, rule in rules.items()
            if rule.name == "sql"
        ]
        return [*conditions, *masks]

    def of_table(self, table: CatalogTable, *, is_in_scope: bool) -> TableAssignment:
        """Return what applies to a table.

        :raises InvalidInputError: where a column in scope inherits two masks.
        """
        lineage = [*reversed(self.catalog.ancestors(table)), table]
        found = {
            column: self._rule(table, column, lineage, is_in_scope=is_in_scope)
            for column in table.by_name
        }
        kept = frozenset(
            column
            for column, rule in found.items()
            if (rule.name == "keep" if rule is not None else self._is_kept(column, lineage))
        )
        masked = {c: rule for c, rule in found.items() if rule is not None and rule.name != "keep"}
        conditions = tuple(sql for one in lineage for sql in self.conditions.get(one.oid, ()))
        return TableAssignment(table, masked, kept, conditions)

    def _rule(
        self,
        table: CatalogTable,
        column: str,
        lineage: Sequence[CatalogTable],
        *,
        is_in_scope: bool,
    ) -> Rule | None:
        """Return that of the table's own name, else the mask of all that it inherits from."""
        if (table.oid, column) in self.exact:
            return self.rules[table.oid][column]
        said = [self.rules.get(one.oid, {}).get(column) for one in lineage]
        rules = [rule for rule in said if rule is not None]
        masks = [rule for rule in rules if rule.name != "keep"]
        if is_in_scope and any(rule != masks[0] for rule in masks):
            raise InvalidInputError(
                f"the column {table.display_name}.{column} has two rules by inheritance: "
                f"{masks[0].name} and {masks[-1].name}",
                hint="Give it one under the table's own name.",
            )
        return next(iter([*masks, *rules]), None)

    def _is_kept(self, column: str, lineage: Sequence[CatalogTable]) -> bool:
        return any(
            pattern.matches(one.schema, one.name, column)
            for one in lineage
            for pattern in self.keep
        )


def _at_instant(rule: Rule, instant: datetime) -> Rule:
    if rule.name != "sql":
        return rule
    return Rule("sql", (("expression", at_instant(rule["expression"], instant)),))


def _tables(catalog: Catalog, text: str, option: str) -> list[CatalogTable]:
    pattern = parse_table_pattern(text)
    found = [
        table
        for table in catalog.tables.values()
        if pattern.name.fullmatch(table.name)
        and (pattern.schema is None or pattern.schema.fullmatch(table.schema))
    ]
    for table in found:
        root = catalog.root(table)
        if root not in found:
            whole = root.display_name
            raise InvalidInputError(
                f"the pattern {text!r} of {option} means the partition {table.display_name}, and "
                f"not {whole}",
                hint=f"Name {whole}: what is said of it applies to all of its partitions.",
            )
    if found:
        return [table for table in found if not table.is_partition]
    raise InvalidInputError(
        f"no table matches the pattern {text!r} of {option}", hint=_hint_of(catalog, text)
    )


def _hint_of(catalog: Catalog, text: str) -> str:
    by_letters = {
        one.display_name.replace('"', "").lower(): one.display_name
        for one in catalog.tables.values()
    }
    near = difflib.get_close_matches(text.replace('"', "").lower(), by_letters, n=1)
    if near:
        return f"There is {by_letters[near[0]]}; capitals and signs need the double quotes."
    return "Correct it; a view has no rows of its own, but the tables that it reads."


def _check_columns(tables: Sequence[CatalogTable], pattern: str, rules: Mapping[str, Any]) -> None:
    for name in rules:
        having = [table for table in tables if name in table.by_name]
        if not having:
            raise InvalidInputError(
                f"no table that matches {pattern!r} has the column {name!r}, which masks names",
                hint="Correct it, so that nothing is dumped that was to be masked.",
            )
        for table in having:
            if table.by_name[name].generation is not None:
                raise InvalidInputError(
                    f"the column {table.display_name}.{name} is generated, and cannot be masked "
                    "itself",
                    hint="Mask what it is generated from: it is computed anew by a restore.",
                )


def _is_exact(pattern: str) -> bool:
    return not _WILDCARDS & set(_QUOTED.sub("", pattern))
