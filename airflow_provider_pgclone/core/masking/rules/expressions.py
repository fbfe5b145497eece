"""Turns a rule into the SQL that a dump reads in place of a column. Pure: no I/O."""

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

# Rules whose values are useless if less than this is left of them.
_HASHES = frozenset({"hash", "phone"})
_LEAST_CHARS = 8


def expression(rule: Rule, column: Column, reference: str) -> str:
    """Return the SQL of a column's masked value, cast to the type of the column.

    :param reference: the column in SQL.
    :raises InvalidInputError: when the rule does not fit the column; the caller adds its name.
    """
    if rule.name == "keep":
        return reference
    _check_nullable(rule, column)
    return _cast(value(rule, column, reference), column, strictly=rule.name in ("sql", "constant"))


def value(rule: Rule, column: Column, reference: str) -> str:
    """Return the SQL of a column's masked value, before the cast to the type of the column."""
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
    """Tell whether a rule always keeps different values of a column different."""
    if rule.name == "keep":
        return True
    builder = builder_of(rule, column.type.kind)
    if builder is None or not builder.keeps_unique or column.type.element_sql is not None:
        return False  # arrays of different shapes may have the same elements
    limit = column.type.max_chars
    return limit is None or builder.longest is None or builder.longest <= limit


def needs_key(rule: Rule, column: Column) -> bool:
    """Tell whether a rule needs the mask key."""
    if rule.name == "json":
        return bool(rule.all_names - {"json", "null", "constant", "bucket", "keep"})
    builder = builder_of(rule, column.type.kind)
    return builder is not None and builder.is_keyed


def constant(rule: Rule, column: Column) -> str:
    """Return the SQL of a constant, cast to the type of a column."""
    return _cast(literal(rule["value"]), column, strictly=True)


def _check_nullable(rule: Rule, column: Column) -> None:
    if rule.name == "null" and (column.not_null or column.type.refuses_null):
        raise InvalidInputError(
            "must not be null",
            hint='Use another rule, such as {"constant": …} or "text".',
        )


def _scalar(rule: Rule, column: ColumnType, reference: str) -> str:
    builder = _builder_for(rule, column)
    source = f"{reference}::text" if column.kind == "text" else reference
    if column.base == "citext":  # which ignores case
        source = f"lower({source})"
    masked = builder.build(source, column, rule)
    limit = column.max_chars
    if limit is not None and builder.longest is not None and builder.longest > limit:
        return f"left({masked}, {limit})"
    return masked


def _builder_for(rule: Rule, column: ColumnType) -> Builder:
    """Return the builder of a rule.

    :raises InvalidInputError: when its values do not fit the type of the column.
    """
    builder = builder_of(rule, column.kind)
    if builder is None:
        if rule.name == "bucket" and column.kind in kinds_of("bucket"):
            wanted = "a word such as month" if column.kind in TIMES else "a number such as 10"
            raise InvalidInputError(
                f"is of the type {column.sql}, for which a bucket is {wanted}",
                hint=f"Give the rule bucket {wanted}, in place of {rule['step']}.",
            )
        kinds = ", ".join(kinds_of(rule.name)) or "json"
        raise InvalidInputError(
            f"is of the type {column.sql}, which the rule {rule.display_name} cannot mask",
            hint=f"It can mask {kinds}. The rules null, constant and sql fit any type.",
        )
    limit, longest = column.max_chars, builder.longest
    if limit is None or longest is None or longest <= limit:
        return builder
    if not builder.may_be_cut or (limit < min(_LEAST_CHARS, longest) and rule.name in _HASHES):
        raise InvalidInputError(
            f"has room for {limit} characters, and the rule {rule.name} needs {longest}",
            hint='Use a shorter rule, such as "text", "null" or {"sql": …}.',
        )
    return builder


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


def _cast(masked: str, column: Column, *, strictly: bool) -> str:
    """Return the SQL of a value, cast to the type of a column.

    :param strictly: whether a value that is too long is an error; a plain cast would shorten it.
    """
    found = column.type
    has_limit = found.max_chars is not None and found.base in ("varchar", "bpchar")
    if strictly and has_limit and found.element_sql is None:
        masked = f'pg_catalog."{found.base}"(({masked})::{found.base}, {found.modifier}, false)'
    return f"({masked})::{found.sql}"
