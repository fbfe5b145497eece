"""Assigns rules, conditions and safe columns to each table. Pure: no I/O."""

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
    display_name,
    parse_column_pattern,
    parse_table_pattern,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.planning.user_sql import UserSql, at_instant
from airflow_provider_pgclone.core.masking.rules import Rule, others_of

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WILDCARDS = frozenset("*?[](){}|+^$\\")


@dataclass(frozen=True)
class TableAssignment:
    """All that the user asks for one table, including what it inherits from other tables.

    :param rules: by the names of the masked columns.
    :param kept: the columns that are declared safe.
    :param conditions: which rows are read, in SQL; inherited ones come first.
    """

    table: CatalogTable
    rules: Mapping[str, Rule]
    kept: frozenset[str]
    conditions: tuple[str, ...]

    @property
    def unclassified(self) -> list[str]:
        """The columns that are neither masked nor safe; generated ones depend on others."""
        return [
            column.name
            for column in self.table.columns
            if column.generation is None
            and column.name not in self.rules
            and column.name not in self.kept
        ]

    @property
    def open_documents(self) -> list[str]:
        """The columns masked by paths of json, without a rule for other keys."""
        return [
            name
            for name, rule in self.rules.items()
            if rule.name == "json" and others_of(rule) is None
        ]


@dataclass(frozen=True)
class Assignment:
    """All that the user asks for the tables of a database.

    :param tables: all tables, by their OIDs.
    :param in_scope: the tables whose rows the dump holds.
    :param user_sql: the conditions and masks that the user wrote in SQL.
    :param safe: the patterns of what the user declares safe.
    """

    catalog: Catalog
    tables: Mapping[int, TableAssignment]
    in_scope: Sequence[TableAssignment]
    user_sql: Sequence[UserSql]
    safe: Collection[str]

    def declares_safe(self, schema: str, table: str, column: str) -> bool:
        """Tell whether a part of a system catalog is declared safe by its whole name."""
        return display_name(schema, table, column) in self.safe


def assign_rules(
    masking: Masking, catalog: Catalog, in_scope: Collection[int], instant: datetime
) -> Assignment:
    """Return the rules, the conditions and the safe columns of each table.

    :param in_scope: the OIDs of the tables whose rows the dump holds.
    :param instant: the current time in the user's SQL.
    :raises InvalidInputError: for a pattern or a column that does not exist, a generated column, a
        partition without its partitioned table, or a column with two rules.
    """
    given = _Given(catalog, [parse_column_pattern(text) for text in masking.keep])
    for pattern, rules in masking.masks.items():
        tables = _tables(catalog, pattern, "masks")
        _check_columns(tables, pattern, rules)
        for table in tables:
            for column, rule in rules.items():
                if column in table.by_name:
                    fixed = _rule_at_instant(rule, instant)
                    given.add_rule(table, column, fixed, is_exact=_is_exact(pattern))
    for pattern, condition in masking.rows.items():
        for table in _tables(catalog, pattern, "rows"):
            given.conditions.setdefault(table.oid, []).append(at_instant(condition, instant))
    scope = set(in_scope)
    assigned = {
        oid: given.for_table(table, is_in_scope=oid in scope)
        for oid, table in catalog.tables.items()
    }
    return Assignment(
        catalog=catalog,
        tables=assigned,
        in_scope=[assigned[oid] for oid in in_scope],
        user_sql=given.user_sql(),
        safe=frozenset(masking.keep),
    )


@dataclass
class _Given:
    """The rules and conditions as given, by the OIDs of the tables that their patterns match.

    :param exact: the columns with a rule under the table's own name.
    """

    catalog: Catalog
    keep: Sequence[ColumnPattern]
    rules: dict[int, dict[str, Rule]] = field(default_factory=dict)
    conditions: dict[int, list[str]] = field(default_factory=dict)
    exact: set[tuple[int, str]] = field(default_factory=set)

    def add_rule(self, table: CatalogTable, column: str, rule: Rule, *, is_exact: bool) -> None:
        """Add a rule; one under a table's own name has precedence over one under a pattern."""
        rules = self.rules.setdefault(table.oid, {})
        before, place = rules.get(column), (table.oid, column)
        if before is not None and before != rule and is_exact == (place in self.exact):
            raise InvalidInputError(
                f"the column {table.display_name}.{column} has two rules: {before.name} and "
                f"{rule.name}",
                hint="Give it one rule under the table's own name.",
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

    def for_table(self, table: CatalogTable, *, is_in_scope: bool) -> TableAssignment:
        """Return what applies to a table.

        :raises InvalidInputError: when a column in scope inherits two masks.
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
        """Return the rule under the table's own name, or else the one that a column inherits.

        A mask has precedence over the rule keep.
        """
        if (table.oid, column) in self.exact:
            return self.rules[table.oid][column]
        inherited = [self.rules.get(one.oid, {}).get(column) for one in lineage]
        rules = [rule for rule in inherited if rule is not None]
        masks = [rule for rule in rules if rule.name != "keep"]
        if is_in_scope and any(rule != masks[0] for rule in masks):
            raise InvalidInputError(
                f"the column {table.display_name}.{column} has two rules by inheritance: "
                f"{masks[0].name} and {masks[-1].name}",
                hint="Give it one rule under the table's own name.",
            )
        return next(iter([*masks, *rules]), None)

    def _is_kept(self, column: str, lineage: Sequence[CatalogTable]) -> bool:
        return any(
            pattern.matches(one.schema, one.name, column)
            for one in lineage
            for pattern in self.keep
        )


def _rule_at_instant(rule: Rule, instant: datetime) -> Rule:
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
                f"the pattern {text!r} of {option} matches the partition {table.display_name} but "
                f"not {whole}",
                hint=f"Name {whole}: its rules and conditions apply to all of its partitions.",
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
    meant = "Correct it"
    if near:
        meant = f"There is {by_letters[near[0]]}; capital letters and signs need double quotes"
    return f"{meant}. In place of a view, name the tables that it reads."


def _check_columns(tables: Sequence[CatalogTable], pattern: str, rules: Mapping[str, Any]) -> None:
    for name in rules:
        having = [table for table in tables if name in table.by_name]
        if not having:
            columns = sorted({column for table in tables for column in table.by_name})
            near = difflib.get_close_matches(name, columns, n=1)
            meant = [f"Did you mean {near[0]!r}?"] if near else []
            hint = " ".join([*meant, "Correct it, so that no column is left unmasked by mistake."])
            raise InvalidInputError(
                f"no table that matches {pattern!r} has the column {name!r} of masks", hint=hint
            )
        for table in having:
            if table.by_name[name].generation is not None:
                raise InvalidInputError(
                    f"the column {table.display_name}.{name} is generated, and cannot be masked "
                    "itself",
                    hint="Mask the columns that it depends on; a restore computes it from them.",
                )


def _is_exact(pattern: str) -> bool:
    return not _WILDCARDS & set(_QUOTED.sub("", pattern))
