"""Finds columns that look personal by their names, their types or their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_pgclone.core.catalog import Catalog, CatalogTable, Column, Family, families
from airflow_provider_pgclone.core.masking.discovery.column_names import signature_of
from airflow_provider_pgclone.core.masking.discovery.contents import (
    SampleCounts,
    is_number,
    read_contents,
)
from airflow_provider_pgclone.core.masking.discovery.json_contents import json_rule
from airflow_provider_pgclone.core.masking.discovery.rule_choice import (
    ColumnConstraints,
    choose_rule,
)
from airflow_provider_pgclone.core.postgres import Session

# By the name of a type: the data that it holds, and the rules that mask it.
_PERSONAL_TYPES = {
    "inet": ("IP addresses", ("ip",)),
    "cidr": ("networks", ("null",)),
    "macaddr": ("hardware addresses", ("null",)),
    "macaddr8": ("hardware addresses", ("null",)),
    "tsvector": ("words of a text", ("null",)),
    **dict.fromkeys(
        ("point", "lseg", "path", "box", "polygon", "circle", "geometry", "geography"),
        ("positions", ("null",)),
    ),
}
# One in ten integers has a valid check digit by chance.
_LEAST_SHARE_OF_CARDS = 0.5


@dataclass(frozen=True)
class Suspect:
    """A column that looks personal.

    :param rule: a rule that fits it, as users write it.
    :param reason: why it looks personal, with a note on the rule; never a value of a row.
    """

    table: CatalogTable
    column: Column
    rule: Any
    reason: str


@dataclass(frozen=True)
class _Sign:
    reason: str
    rules: tuple[str, ...]


def find_suspects(
    session: Session, catalog: Catalog, tables: Sequence[CatalogTable]
) -> list[Suspect]:
    """Return the columns of some tables that look personal, in the current transaction.

    Generated columns are not among them, because a restore computes them from other columns.

    :param tables: the tables that hold rows: partitions in place of their partitioned table.
    :raises ServerError: when the rows of a table cannot be searched.
    """
    return [
        Suspect(table, table.by_name[suspect.column.name], suspect.rule, suspect.reason)
        for family in families(catalog, tables)
        for suspect in suspects_of(session, catalog, family)
        for table in family.leaves
        if suspect.column.name in table.by_name
    ]


def suspects_of(session: Session, catalog: Catalog, family: Family) -> Iterator[Suspect]:
    """Yield the columns of a family of tables that look personal."""
    columns = [column for column in family.columns if column.generation is None]
    contents = read_contents(session, family.leaves, columns)
    for column in columns:
        sign = _sign(family, column, contents.get(column.name))
        rule, note = None, ""
        if column.type.kind == "json" and column.type.element_sql is None:
            rule = json_rule(session, family.leaves, column)
        if sign is None and rule is not None:
            sign = _Sign("keys or values in it look personal", ("null",))
        if sign is None:
            continue
        place = ColumnConstraints.of(catalog, family, column)
        if not isinstance(rule, dict) or place.indexes or place.has_checks:
            rule, note = choose_rule(sign.rules, place)
        reason = f"{sign.reason}; {note}" if note else sign.reason
        yield Suspect(family.table, column, rule, reason)


def _sign(family: Family, column: Column, seen: SampleCounts | None) -> _Sign | None:
    """Return why a column looks personal, and the rules for it.

    An email address in the rows counts most, then the name, other contents and the type.
    """
    content = None if seen is None else _sign_of_content(column, seen)
    signature = signature_of(family.table.name, column.name, column.type.kind)
    if content is not None and (signature is None or content.rules[0] == "email"):
        return content
    if signature is not None:
        return _Sign(f"its name is like that of {signature.what}", signature.rules)
    if column.type.base in _PERSONAL_TYPES:
        what, rules = _PERSONAL_TYPES[column.type.base]
        return _Sign(f"its type is that of {what}", rules)
    return None


def _sign_of_content(column: Column, seen: SampleCounts) -> _Sign | None:
    found = seen.found()
    if found is None:
        return None
    content, is_alone = found
    count = seen.count(content)
    if is_number(column) and count < seen.values * _LEAST_SHARE_OF_CARDS:
        return None
    rules = content.rules if is_alone else ("text",)
    return _Sign(f"{count:,} of {seen.values:,} sampled values hold {content.what}", rules)
