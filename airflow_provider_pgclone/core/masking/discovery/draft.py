"""Drafts masks for a database, for a person to review."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from airflow_provider_pgclone.core.catalog import (
    Catalog,
    CatalogTable,
    Family,
    display_name,
    families,
)
from airflow_provider_pgclone.core.masking.discovery.key_groups import Line, Node, agree_on_keys
from airflow_provider_pgclone.core.masking.discovery.rule_choice import KEEP, ColumnConstraints
from airflow_provider_pgclone.core.masking.discovery.suspects import suspects_of
from airflow_provider_pgclone.core.postgres import Session

_HEADER = """\
# Masks proposed from the names, the types and a sample of the rows of your columns.
# A person must review them: no program can know what is personal in your data.
# A column with keep is not masked. A column with decide is refused until somebody
# chooses a rule or keep. The comment on each line gives the reason.
"""
_NO_SIGN = "nothing personal was seen in its name, its type or a sample of its rows"
_GENERATED = "generated: a restore computes it from other columns"
_PLAIN_SCALAR = re.compile("[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True)
class ProposedColumn:
    """A line of a proposal.

    :param rule: as users write it; ``None`` if the column cannot be masked.
    """

    name: str
    rule: Any
    reason: str


@dataclass(frozen=True)
class Proposal:
    """The proposed rule of each column of some tables.

    :param tables: patterns that match one table each, with the columns of that table.
    """

    tables: Sequence[tuple[str, Sequence[ProposedColumn]]]

    @property
    def masks(self) -> dict[str, dict[str, Any]]:
        """The rules as the option ``masks`` takes them."""
        return {
            pattern: {column.name: column.rule for column in columns if column.rule is not None}
            for pattern, columns in self.tables
        }

    def yaml(self) -> str:
        """Return the rules as YAML, with the reasons as comments."""
        if not self.tables:
            return f"{_HEADER}{{}}\n"
        return "\n".join([_HEADER, *(_yaml_of_table(*table) for table in self.tables)])


def propose(session: Session, catalog: Catalog, tables: Sequence[CatalogTable]) -> Proposal:
    """Return a rule for each column of some tables, in the current transaction.

    Partitions are not listed, since the rules of their partitioned table apply to them. Nor are
    columns that a table inherits.

    :param tables: the tables that hold rows: partitions in place of their partitioned table.
    :raises ServerError: when the rows of a table cannot be searched.
    """
    found = families(catalog, tables)
    suspects = {
        (family.table.oid, suspect.column.name): (suspect.rule, suspect.reason)
        for family in found
        for suspect in suspects_of(session, catalog, family)
    }
    places = {
        (family.table.oid, column.name): ColumnConstraints.of(catalog, family, column)
        for family in found
        for column in family.columns
    }
    lines = {**suspects, **agree_on_keys(catalog, places, suspects)}
    return Proposal(
        [
            (exact_pattern(family.table.schema, family.table.name), _columns(family, lines))
            for family in found
        ]
    )


def exact_pattern(schema: str, name: str) -> str:
    """Return the pattern that matches one table."""
    return display_name(schema, name)


def _columns(family: Family, lines: "dict[Node, Line]") -> list[ProposedColumn]:
    return [
        ProposedColumn(column.name, None, _GENERATED)
        if column.generation is not None
        else ProposedColumn(
            column.name, *lines.get((family.table.oid, column.name), (KEEP, _NO_SIGN))
        )
        for column in family.columns
    ]


def _yaml_of_table(pattern: str, columns: Sequence[ProposedColumn]) -> str:
    lines = []
    for column in columns:
        name, reason = _scalar(column.name), _comment(column.reason)
        is_left_out = column.rule is None
        lines.append(f"  # {name}: {reason}" if is_left_out else _yaml_of_column(column, reason))
    body = "\n".join(lines)
    if all(column.rule is None for column in columns):
        return f"{_scalar(pattern)}: {{}}\n{body}\n" if columns else f"{_scalar(pattern)}: {{}}\n"
    return f"{_scalar(pattern)}:\n{body}\n"


def _yaml_of_column(column: ProposedColumn, reason: str) -> str:
    if isinstance(column.rule, str):
        rule = _scalar(column.rule)
    else:
        # A text must stay on its line, whatever it contains.
        rule = yaml.safe_dump(
            column.rule, default_flow_style=True, width=float("inf"), default_style=None
        ).strip()
    return f"  {_scalar(column.name)}: {rule}  # {reason}"


def _scalar(text: str) -> str:
    """Return a text on one line, quoted unless every reader of YAML reads it as the same text."""
    if _PLAIN_SCALAR.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    quoted = yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return str(quoted).strip()


def _comment(text: str) -> str:
    """Return a text that stays within its comment, whatever names it contains."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
