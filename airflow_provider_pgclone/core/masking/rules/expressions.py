"""A rule and a column as the SQL that is read in its place, which fits the column. Pure."""

from collections.abc import Mapping

from airflow_provider_pgclone.core.catalog import Column, ColumnType
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.rules.builders import (
    TIMES,
    Builder,
    builder_of,
    kinds_of,
)
from airflow_provider_pgclone.core.masking.rules.json_paths import json_value
from airflow_provider_pgclone.core.masking.rules.language import Rule
from airflow_provider_pgclone.core.postgres import literal

LEAST_CHARS = 8


def expression(rule: Rule, column: Column, reference: str) -> str:
    """Return the SQL of a column's masked value, of its type.

    :param reference: the column in SQL.
    :raises InvalidInputError: when the rule cannot fit the column; the caller names it.
    """
    if rule.name == "keep":
        return reference
    check_nullable(rule, column)
    return _cast(value(rule, column, reference), column, strictly=rule.name in ("sql", "constant"))


def value(rule: Rule, column: Column, reference: str) -> str:
    """Return the SQL of a column's masked value, before it is made to be of its type."""
    kind = column.type.kind
    if rule.name == "null":
        return "NULL"
    if rule.name == "constant":
        return f"CASE WHEN {reference} IS NOT NULL THEN {literal(rule['value'])} END"
    if rule.name == "sql":
        return f"(\n{rule['expression']}\n)"  # it may end in a comment
    if column.type.element_sql is not None:
        return _array(rule, column, reference)
    if rule.name == "json" and kind == "json":
        return f"CASE WHEN {reference} IS NOT NULL THEN {json_value(rule, reference)} END"
    return _scalar(rule, column.type, reference)


def keeps_unique(rule: Rule, column: Column) -> bool:
    """Whether different values of a column stay different by construction."""
    if rule.name == "keep":
        return True
    builder = builder_of(rule, column.type.kind)
    if builder is None or not builder.keeps_unique or column.type.element_sql is not None:
        return False  # arrays of another shape may have the same elements
    limit = column.type.max_chars
    return limit is None or builder.longest is None or builder.longest <= limit


def needs_key(rule: Rule, column: Column) -> bool:
    """Whether a rule is the same each time by a secret."""
    if rule.name == "json":
        return bool(rule.all_names - {"json", "null", "constant", "bucket", "keep"})
    builder = builder_of(rule, column.type.kind)
    return builder is not None and builder.is_keyed


def check_nullable(rule: Rule, column: Column) -> None:
    """Refuse to make a column null that must not be.

    :raises InvalidInputError: without the column's name.
    """
    if rule.name == "null" and (column.not_null or column.type.refuses_null):
        raise InvalidInputError(
            "must not be null",
            hint='Use another rule, such as {"constant": …} or "text".',
        )


def constant(rule: Rule, column: Column) -> str:
    """Return the SQL of a constant, of a column's type."""
    return _cast(literal(rule["value"]), column, strictly=True)


def _scalar(rule: Rule, column: ColumnType, reference: str) -> str:
    builder = _fitting(rule, column)
    source = f"{reference}::text" if column.kind == "text" else reference
    if column.base == "citext":  # to which letters are alike
        source = f"lower({source})"
    made = builder.build(source, column, rule)
    limit = column.max_chars
    if limit is not None and builder.longest is not None and builder.longest > limit:
        return f"left({made}, {limit})"
    return made


def _fitting(rule: Rule, column: ColumnType) -> Builder:
    builder = builder_of(rule, column.kind)
    if builder is None:
        if rule.name == "bucket" and column.kind in kinds_of("bucket"):
            wanted = "a word such as month" if column.kind in TIMES else "a number such as 10"
            raise InvalidInputError(
                f"is of the type {column.sql}, of which a bucket is {wanted}",
                hint=f"Give the rule bucket that in the place of {rule['step']}.",
            )
        kinds = ", ".join(kinds_of(rule.name)) or "json"
        raise InvalidInputError(
            f"is of the type {column.sql}, which the rule {rule.display_name} cannot make",
            hint=f"It makes {kinds}; any type takes null, constant and sql.",
        )
    limit, longest = column.max_chars, builder.longest
    if limit is None or longest is None or longest <= limit:
        return builder
    if not builder.may_be_cut or (limit < min(LEAST_CHARS, longest) and rule.name in _HASHES):
        raise InvalidInputError(
            f"has room for {limit} characters, and the rule {rule.name} needs {longest}",
            hint='Use a shorter rule, such as "text", "null" or {"sql": …}.',
        )
    return builder


# What is of no use when it is cut to a few characters.
_HASHES: Mapping[str, None] = {"hash": None, "phone": None}


def _array(rule: Rule, column: Column, reference: str) -> str:
    if rule.name == "json":
        inner = f"CASE WHEN e.v IS NOT NULL THEN {json_value(rule, 'e.v')} END"
    else:
        inner = _scalar(rule, column.type, "e.v")
    elements = (
        f"ARRAY(SELECT ({inner})::{column.type.element_sql} "
        f"FROM unnest({reference}) WITH ORDINALITY AS e(v, n) ORDER BY e.n)"
    )
    return f"CASE WHEN {reference} IS NOT NULL THEN {elements} END"


def _cast(made: str, column: Column, *, strictly: bool) -> str:
    """Return a value as one of the column's type.

    :param strictly: whether what is too long is refused, which a cast would cut silently.
    """
    found = column.type
    has_limit = found.max_chars is not None and found.base in ("varchar", "bpchar")
    if strictly and has_limit and found.element_sql is None:
        made = f'pg_catalog."{found.base}"(({made})::{found.base}, {found.modifier}, false)'
    return f"({made})::{found.sql}"
