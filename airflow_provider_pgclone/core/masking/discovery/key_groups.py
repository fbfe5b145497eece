"""Finds one rule for all columns that foreign keys connect. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pgclone.core.catalog import Catalog, owner
from airflow_provider_pgclone.core.masking.discovery.rule_choice import (
    DECIDE,
    MUST_DECIDE,
    ColumnConstraints,
    lengths_of_hash,
)
from airflow_provider_pgclone.core.masking.rules import parse_rule, value

# The OID of a table and the name of a column.
Node = tuple[int, str]
# A rule as users write it, and its reason.
Line = tuple[Any, str]


def key_groups(catalog: Catalog) -> list[list[Node]]:
    """Return the groups of columns that foreign keys connect, directly or through others."""
    group_of: dict[Node, list[Node]] = {}
    for key in catalog.foreign_keys:
        for child_column, parent_column in zip(key.child_columns, key.parent_columns, strict=True):
            child = owner(catalog, key.child, child_column)
            parent = owner(catalog, key.parent, parent_column)
            one, other = (group_of.setdefault(node, [node]) for node in (child, parent))
            if one is not other:
                one += other
                group_of.update(dict.fromkeys(other, one))
    return list({id(group): group for group in group_of.values()}.values())


def agree_on_keys(
    catalog: Catalog, places: Mapping[Node, ColumnConstraints], suspects: Mapping[Node, Line]
) -> dict[Node, Line]:
    """Return a rule for each column that foreign keys connect to one that looks personal.

    :param places: the columns that get rules.
    :param suspects: the columns that look personal, with their rules.
    """
    agreed: dict[Node, Line] = {}
    for group in key_groups(catalog):
        within = [node for node in group if node in places]
        suspected = [node for node in within if node in suspects]
        if not suspected:
            continue
        rule = _common_rule(
            [places[node] for node in within], [suspects[node][0] for node in suspected]
        )
        for node in within:
            agreed[node] = (rule, _reason(catalog, node, suspected, suspects, rule))
    return agreed


def _common_rule(places: Sequence[ColumnConstraints], wanted: Sequence[Any]) -> Any:
    if any(place.column.generation is not None for place in places):
        return DECIDE
    hashes = lengths_of_hash([place.column.type.max_chars for place in places])
    for rule in [*wanted, *hashes, "uuid"]:
        if rule != DECIDE and all(place.takes(rule, unique=True) for place in places):
            parsed = parse_rule(rule)
            # Parent and child would differ if only one of them is cut to its length, for example.
            if len({value(parsed, place.column, "x") for place in places}) == 1:
                return rule
    return DECIDE


def _reason(
    catalog: Catalog,
    node: Node,
    suspected: Sequence[Node],
    suspects: Mapping[Node, Line],
    rule: Any,
) -> str:
    names = [_label(catalog, other) for other in suspected if other != node]
    reasons = [suspects[node][1].partition("; ")[0]] if node in suspects else []
    if names:
        reasons.append(f"foreign keys bind it to {', '.join(names)}")
    if not names:
        reasons.append("foreign keys bind it, so the columns at their other ends get the same rule")
    if rule == DECIDE:
        reasons.append(f"{MUST_DECIDE}: no rule that fits all of their types keeps values apart")
    return "; ".join(reasons)


def _label(catalog: Catalog, node: Node) -> str:
    return f"{catalog.tables[node[0]].display_name}.{node[1]}"
