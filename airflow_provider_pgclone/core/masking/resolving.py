"""Which rule each column has, and which condition each table. Pure."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.catalog import Catalog, CatalogTable
from airflow_provider_pgclone.core.masking.json_paths import others_of
from airflow_provider_pgclone.core.masking.request import Masking
from airflow_provider_pgclone.core.masking.spec import Rule
from airflow_provider_pgclone.core.masking.user_sql import at_instant
from airflow_provider_pgclone.core.patterns import (
    ColumnPattern,
    parse_column_pattern,
    parse_table_pattern,
)

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WILDCARDS = frozenset("*?[](){}|+^$\\")


@dataclass
class Resolved:
    """What was said of the tables, by their OIDs.

    :param rules: of the columns that the table has itself or hands down.
    :param conditions: of its rows.
    :param exact: the columns whose rule stands under the table's own name.
    """

    catalog: Catalog
    keep: Sequence[ColumnPattern]
    rules: dict[int, dict[str, Rule]] = field(default_factory=dict)
    conditions: dict[int, list[str]] = field(default_factory=dict)
    exact: set[tuple[int, str]] = field(default_factory=set)

    def rules_of(self, table: CatalogTable) -> dict[str, Rule]:
        """Return the rules of a table's columns; those of what it inherits from apply to it.

        :raises InvalidInputError: where it inherits two masks for a column.
        """
        found = {column: self._rule(table, column) for column in table.by_name}
        return {column: rule for column, rule in found.items() if rule is not None}

    def _rule(self, table: CatalogTable, column: str) -> Rule | None:
        """Return that of the table's own name, else the mask of all that it inherits from."""
        if (table.oid, column) in self.exact:
            return self.rules[table.oid][column]
        said = [self.rules.get(one.oid, {}).get(column) for one in self._lineage(table)]
        rules = [rule for rule in said if rule is not None]
        masks = [rule for rule in rules if rule.name != "keep"]
        if any(rule != masks[0] for rule in masks):
            raise InvalidInputError(
                f"the column {table.label}.{column} has two rules by inheritance: "
                f"{masks[0].name} and {masks[-1].name}",
                hint="Give it one under the table's own name.",
            )
        return next(iter([*masks, *rules]), None)

    def conditions_of(self, table: CatalogTable) -> list[str]:
        """Return the conditions of a table's rows, those of what it inherits from first."""
        return [sql for one in self._lineage(table) for sql in self.conditions.get(one.oid, ())]

    def is_kept(self, table: CatalogTable, column: str) -> bool:
        """Whether a column is declared safe."""
        rule = self._rule(table, column)
        if rule is not None:
            return rule.name == "keep"
        return any(
            pattern.matches(one.schema, one.name, column)
            for one in self._lineage(table)
            for pattern in self.keep
        )

    def masked(self, table: CatalogTable) -> dict[str, Rule]:
        """Return the rules of the columns that are masked."""
        return {c: rule for c, rule in self.rules_of(table).items() if rule.name != "keep"}

    def _lineage(self, table: CatalogTable) -> list[CatalogTable]:
        return [*reversed(self.catalog.ancestors(table)), table]


def resolve_masking(masking: Masking, catalog: Catalog, instant: datetime) -> Resolved:
    """Find the tables and columns that masking is about.

    :param instant: when it is now, for the SQL of the user.
    :raises InvalidInputError: for a pattern or a column that does not exist, a generated column, a
        partition, or two rules of one column.
    """
    resolved = Resolved(catalog, [parse_column_pattern(text) for text in masking.keep])
    for pattern, rules in masking.masks.items():
        tables = _tables(catalog, pattern, "masks")
        _check_columns(tables, pattern, rules)
        for table in tables:
            for column, rule in rules.items():
                if column in table.by_name:
                    made = _at_instant(rule, instant)
                    _add_rule(resolved, table, column, made, is_exact=_is_exact(pattern))
    for pattern, condition in masking.rows.items():
        for table in _tables(catalog, pattern, "rows"):
            made_then = at_instant(condition, instant)
            resolved.conditions.setdefault(table.oid, []).append(made_then)
    return resolved


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
            raise InvalidInputError(
                f"the pattern {text!r} of {option} means the partition {table.label}, and not "
                f"{root.label}",
                hint=f"Name {root.label}: what is said of it applies to all of its partitions.",
            )
    if found:
        return [table for table in found if not table.is_partition]
    raise InvalidInputError(
        f"no table matches the pattern {text!r} of {option}", hint=_hint_of(catalog, text)
    )


def _hint_of(catalog: Catalog, text: str) -> str:
    by_letters = {one.label.replace('"', "").lower(): one.label for one in catalog.tables.values()}
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
                    f"the column {table.label}.{name} is generated, and cannot be masked itself",
                    hint="Mask what it is generated from: it is computed anew by a restore.",
                )


def _add_rule(
    resolved: Resolved,
    table: CatalogTable,
    column: str,
    rule: Rule,
    *,
    is_exact: bool,
) -> None:
    """Add a rule; that of a table's own name counts more than that of a pattern."""
    rules = resolved.rules.setdefault(table.oid, {})
    before, place = rules.get(column), (table.oid, column)
    if before is not None and before != rule and is_exact == (place in resolved.exact):
        raise InvalidInputError(
            f"the column {table.label}.{column} has two rules: {before.name} and {rule.name}",
            hint="Give it one under the table's own name.",
        )
    if before is None or is_exact:
        rules[column] = rule
    if is_exact:
        resolved.exact.add(place)


def _is_exact(pattern: str) -> bool:
    return not _WILDCARDS & set(_QUOTED.sub("", pattern))


def unclassified(
    resolved: Resolved, tables: Sequence[CatalogTable]
) -> Iterator[tuple[CatalogTable, str]]:
    """Yield the columns that are neither masked nor declared safe; generated ones follow others."""
    for table in tables:
        rules = resolved.rules_of(table)
        for column in table.columns:
            rule = rules.get(column.name)
            is_said = rule is not None or resolved.is_kept(table, column.name)
            if column.generation is None and not is_said:
                yield table, column.name


def open_documents(
    resolved: Resolved, tables: Sequence[CatalogTable]
) -> Iterator[tuple[CatalogTable, str]]:
    """Yield the columns whose documents may have keys of which nothing is said."""
    for table in tables:
        for name, rule in resolved.masked(table).items():
            if rule.name == "json" and others_of(rule) is None:
                yield table, name
