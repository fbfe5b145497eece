"""Chooses a rule that fits the type and the constraints of a column. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_pgclone.core.catalog import Catalog, Column, Family, Index, Kind
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.rules import (
    UNIQUE_HASH_CHARS,
    keeps_unique,
    parse_rule,
    value,
)

KEEP = "keep"
# Not a rule: masks with it are refused until a person has chosen one.
DECIDE = "decide"
MUST_DECIDE = "a person must decide"
# The rules for columns that no better rule fits.
_RULES_OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    "text": ("text", "hash"),
    "integer": ("noise",),
    "number": ("noise",),
    "date": ("date_shift",),
    "timestamp": ("date_shift",),
    "timestamptz": ("date_shift",),
    "uuid": ("uuid",),
    "inet": ("ip",),
    "bytea": ("hash",),
}
# Their values look like the original ones, so that most checks still hold.
_NO_HARM_TO_CHECKS = ("null", "email", "digits", "date_shift", "uuid", "ip", "url", "noise")
_HASH_CHARS = parse_rule("hash")["chars"]
# For types that no rule supports: a value that tells nothing.
_EMPTY_VALUES: Mapping[str, str] = {
    **dict.fromkeys(("json", "jsonb"), "{}"),
    **dict.fromkeys(("tsvector", "hstore"), ""),
    **dict.fromkeys(("macaddr", "macaddr8"), "00:00:00:00:00:00"),
    "cidr": "0.0.0.0/0",
    "point": "(0,0)",
    "lseg": "[(0,0),(0,0)]",
    "box": "(0,0),(0,0)",
    "path": "[(0,0)]",
    "polygon": "((0,0))",
    "circle": "<(0,0),0>",
    "money": "0",
    "interval": "0",
    "bool": "false",
}


@dataclass(frozen=True)
class ColumnConstraints:
    """A column with the constraints on its values.

    :param takes_null: whether the column may be null.
    :param indexes: the unique indexes that read it.
    :param checks: the names of the check constraints that read it.
    :param is_partition_key: whether it decides to which partition a row belongs.
    """

    column: Column
    takes_null: bool = True
    indexes: tuple[Index, ...] = ()
    checks: tuple[str, ...] = ()
    is_partition_key: bool = False

    @classmethod
    def of(cls, catalog: Catalog, family: Family, column: Column) -> "ColumnConstraints":
        return cls(
            column,
            takes_null=not family.refuses_null(column),
            indexes=tuple(family.unique_indexes(catalog, column)),
            checks=tuple(family.checks(catalog, column)),
            is_partition_key=family.is_partition_key(column),
        )

    @property
    def has_checks(self) -> bool:
        return bool(self.checks) or self.column.type.is_domain

    @property
    def may_be_null(self) -> bool:
        """Whether all values may become null without breaking a unique index."""
        return self.takes_null and all(
            index.plain
            and index.predicate is None
            and not index.nulls_are_equal
            and not index.is_exclusion
            for index in self.indexes
        )

    def takes(self, rule: Any, *, unique: bool = False) -> bool:
        """Tell whether a rule fits the column.

        :param unique: whether different values must stay different, even without a unique index.
        """
        if rule == "null":
            return self.may_be_null and not unique
        if self.is_partition_key:
            return False
        parsed = parse_rule(rule)
        try:
            value(parsed, self.column, "x")
        except InvalidInputError:
            return False
        if keeps_unique(parsed, self.column):
            return True
        # A text of digits may stay unique: a dump tries that before it starts.
        return not unique and (not self.indexes or rule == "digits")


def lengths_of_hash(limits: Sequence[int | None]) -> list[Any]:
    """Return the rule ``hash`` with a length that columns of some lengths take without a cut."""
    most = min((limit for limit in limits if limit is not None), default=_HASH_CHARS)
    if most < _HASH_CHARS:
        return [{"hash": most}] if most >= UNIQUE_HASH_CHARS else []
    return ["hash"]


def choose_rule(wanted: Sequence[str], place: ColumnConstraints) -> tuple[Any, str]:
    """Return a rule that fits a column, and a note for the person who reviews it, or ``""``.

    :param wanted: the rules for the data in the column, the best first.
    """
    if place.is_partition_key:
        return DECIDE, f"{MUST_DECIDE}: it decides to which partition a row belongs"
    column_type = place.column.type
    rules: list[Any] = [*wanted, *_RULES_OF_KIND.get(column_type.kind, ()), "null"]
    if place.indexes:
        rules += lengths_of_hash([column_type.max_chars])
        # Null does not break a unique index, but rows can no longer be told apart: it comes last.
        rules.sort(key=lambda rule: rule == "null")
    fitting = [rule for rule in rules if place.takes(rule)]
    if not fitting:
        return _without_rule(place)
    best = fitting[0]
    if not place.has_checks or best in _NO_HARM_TO_CHECKS:
        return best, _checked(place)
    return ("null" if "null" in fitting else best), _checked(place)


def _checked(place: ColumnConstraints) -> str:
    if place.checks:
        return f"see that it meets the check {', '.join(place.checks)}"
    return f"see that it meets the domain {place.column.type.sql}" if place.has_checks else ""


def _without_rule(place: ColumnConstraints) -> tuple[Any, str]:
    """Return a value that the type of a column takes, or leave the decision to a person."""
    column_type = place.column.type
    if place.indexes:
        names = ", ".join(index.name for index in place.indexes)
        return (
            DECIDE,
            f"{MUST_DECIDE}: no rule for its type keeps values apart, as {names} requires",
        )
    if column_type.element_sql is None and not place.has_checks:
        if column_type.kind == "enum":
            return {"sql": f"pg_catalog.enum_first(NULL::{column_type.sql})"}, ""
        if column_type.base in _EMPTY_VALUES:
            return {"sql": f"'{_EMPTY_VALUES[column_type.base]}'::{column_type.sql}"}, ""
    return DECIDE, f"{MUST_DECIDE}: no rule fits {column_type.sql} NOT NULL"
