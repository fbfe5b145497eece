"""The rule ``json``: values at some paths of a document, each by a rule of its own.

What is not at a path stays. Where the document has another shape than the path, such as a list in
the place of an object, that part becomes null: it is not known what is in it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_provider_pgclone.core.catalog import ColumnType
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.rules.builders import builder_of
from airflow_provider_pgclone.core.masking.rules.language import Rule
from airflow_provider_pgclone.core.postgres import literal

_PART = re.compile(r'\[\*\]|(?:^|\.)(?:"((?:[^"\\]|\\.)+)"|([^."\[\]]+))')
_TEXT = ColumnType("text", "text", "text")
_NUMBER = ColumnType("numeric", "number", "numeric")
EACH, OTHERS = "[*]", "*"


@dataclass
class _Node:
    """What is done at a place of a document.

    :param others: the rule of the keys that no path names.
    """

    rule: Rule | None = None
    others: Rule | None = None
    children: "dict[str, _Node]" = field(default_factory=dict)


def json_value(rule: Rule, reference: str) -> str:
    """Return the SQL of a document, as jsonb, in which the paths of a rule are masked.

    :raises InvalidInputError: for a path that cannot be, or a rule that makes no such value.
    """
    others = others_of(rule)
    root = _Node(others=others)
    for path, inner in rule["paths"]:
        node = root
        if path == OTHERS:
            continue
        for part in _parts(path):
            if node.rule is not None:
                raise InvalidInputError(f"has a json path within another: {path!r}")
            node = node.children.setdefault(part, _Node(others=others))
        if node.rule is not None or node.children:
            raise InvalidInputError(f"has a json path within another: {path!r}")
        node.rule = inner
    return _masked(root, f"({reference})::jsonb", 0)


def others_of(rule: Rule) -> Rule | None:
    """Return the rule of all keys that no path names, ``None`` where there is none."""
    return dict(rule["paths"]).get(OTHERS)


def known_paths(rule: Rule) -> dict[str, str]:
    """Return the paths of a rule as jsonpath."""
    return {path: _jsonpath(_parts(path)) for path, _ in rule["paths"] if path != OTHERS}


def _jsonpath(parts: list[str]) -> str:
    steps = (EACH if part == EACH else f".{json.dumps(part)}" for part in parts)
    return f"${''.join(steps)}"


def _parts(path: str) -> list[str]:
    text = re.sub(r"^\$(?=[.\[])\.?", "", path)
    found = list(_matches(text))
    if not found:
        raise InvalidInputError(
            f"has the json path {path!r}, which cannot be read",
            hint="Write it as contact.email or items[*].name.",
        )
    return found


def _matches(text: str) -> Iterator[str]:
    place = 0
    parts = []
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            return
        quoted, plain = match.groups()
        parts.append(EACH if match[0] == EACH else plain or re.sub(r"\\(.)", r"\1", quoted))
        place = match.end()
    yield from parts


def _masked(node: _Node, document: str, depth: int) -> str:
    if node.rule is not None:
        return _leaf(node.rule, document)
    if EACH in node.children and len(node.children) > 1:
        raise InvalidInputError("has json paths that take the same place for a list and an object")
    if EACH in node.children:
        return _each(node.children[EACH], document, depth)
    changed = document
    if node.others is not None and node.others.name != "keep":
        changed = _only_named(node, document)
    for key, child in node.children.items():
        if child.rule is not None and child.rule.name == "keep":
            continue
        key_sql = literal(key)
        inner = _masked(child, f"({document} -> {key_sql})", depth)
        changed = f"jsonb_set({changed}, ARRAY[{key_sql}], {inner}, false)"
    return f"CASE jsonb_typeof({document}) WHEN 'object' THEN {changed} ELSE 'null'::jsonb END"


def _only_named(node: _Node, document: str) -> str:
    """Return an object in which the values of all other keys than a node has are masked."""
    assert node.others is not None  # noqa: S101
    names = ", ".join(literal(key) for key in node.children) or "NULL"
    made = _leaf(node.others, "o.value")
    return (
        f"(SELECT coalesce(jsonb_object_agg(o.key, CASE WHEN o.key IN ({names}) THEN o.value "
        f"ELSE {made} END), '{{}}') FROM jsonb_each({document}) AS o)"
    )


def _each(node: _Node, document: str, depth: int) -> str:
    element = f"e{depth}"
    inner = _masked(node, f"{element}.v", depth + 1)
    return (
        f"CASE jsonb_typeof({document}) WHEN 'array' THEN (SELECT coalesce(jsonb_agg({inner} "
        f"ORDER BY {element}.n), '[]') FROM jsonb_array_elements({document}) WITH ORDINALITY "
        f"AS {element}(v, n)) ELSE 'null'::jsonb END"
    )


def _leaf(rule: Rule, document: str) -> str:
    """Return what takes the place of a value: a text, of lists and objects as well."""
    if rule.name == "keep":
        return document
    if rule.name == "null":
        return "'null'::jsonb"
    if rule.name == "constant":
        return f"to_jsonb({literal(rule['value'])}::text)"
    if rule.name in ("noise", "bucket"):
        builder = builder_of(rule, "number")
        assert builder is not None  # noqa: S101
        made = builder.build(f"({document} #>> '{{}}')::numeric", _NUMBER, rule)
        return f"CASE jsonb_typeof({document}) WHEN 'number' THEN to_jsonb({made}) ELSE 'null' END"
    builder = builder_of(rule, "text")
    if builder is None:
        raise InvalidInputError(f"has the rule {rule.name} within json, which cannot be there")
    made = builder.build(f"({document} #>> '{{}}')", _TEXT, rule)
    return f"coalesce(to_jsonb(({made})::text), 'null'::jsonb)"
