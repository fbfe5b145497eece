"""The rule ``json``: masks the values at some paths of a document, each by a rule of its own.

Other values stay, unless ``"*": "null"`` removes what no path names. Where a document does not have
the shape of a path, such as a list in place of an object, that part of it becomes null, because it
may contain anything.
"""

import json
import re
from dataclasses import dataclass, field

from airflow_provider_pgclone.core.catalog import ColumnType
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.rules.builders import builder_of
from airflow_provider_pgclone.core.masking.rules.language import Rule
from airflow_provider_pgclone.core.postgres import literal

_PART = re.compile(r'\[\*\]|(?:^|\.)(?:"((?:[^"\\]|\\.)+)"|([^."\[\]]+))')
_TEXT = ColumnType("text", "text", "text")
_NUMBER = ColumnType("numeric", "number", "numeric")
_EACH, _OTHERS = "[*]", "*"


@dataclass
class _Node:
    """A place in a document and how it is masked.

    :param others: the rule for keys that no path names: ``null`` removes them, ``keep`` keeps them.
    """

    rule: Rule | None = None
    others: Rule | None = None
    children: "dict[str, _Node]" = field(default_factory=dict)


def json_value(rule: Rule, reference: str) -> str:
    """Return the SQL of a document, as jsonb, in which the paths of a rule are masked.

    :raises InvalidInputError: for an invalid path, or a rule that json does not support.
    """
    others = others_of(rule)
    root = _Node(others=others)
    for path, inner in rule["paths"]:
        node = root
        if path == _OTHERS:
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
    """Return the rule for keys that no path names; ``None`` if there is none."""
    return dict(rule["paths"]).get(_OTHERS)


def known_paths(rule: Rule) -> dict[str, str]:
    """Return the paths of a rule, each with its jsonpath."""
    return {path: _jsonpath(_parts(path)) for path, _ in rule["paths"] if path != _OTHERS}


def _jsonpath(parts: list[str]) -> str:
    steps = (_EACH if part == _EACH else f".{json.dumps(part)}" for part in parts)
    return f"${''.join(steps)}"


def _parts(path: str) -> list[str]:
    text = re.sub(r"^\$(?=[.\[])\.?", "", path)
    parts: list[str] = []
    place = 0
    while match := _PART.match(text, place):
        quoted, plain = match.groups()
        parts.append(_EACH if match[0] == _EACH else plain or re.sub(r"\\(.)", r"\1", quoted))
        place = match.end()
    if not parts or place < len(text):
        raise InvalidInputError(
            f"has the json path {path!r}, which cannot be read",
            hint="Write it like contact.email or items[*].name.",
        )
    return parts


def _masked(node: _Node, document: str, depth: int) -> str:
    if node.rule is not None:
        return _leaf(node.rule, document)
    if _EACH in node.children and len(node.children) > 1:
        raise InvalidInputError(
            "has json paths that treat the same value as a list and as an object"
        )
    if _EACH in node.children:
        return _each(node.children[_EACH], document, depth)
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
    """Return the SQL of an object without its unnamed keys.

    The keys go with their values, since a key may be a value itself, such as an email address.
    """
    names = ", ".join(literal(key) for key in node.children) or "NULL"
    return (
        f"(SELECT coalesce(jsonb_object_agg(o.key, o.value), '{{}}') "
        f"FROM jsonb_each({document}) AS o WHERE o.key IN ({names}))"
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
    """Return the SQL of a masked value; a list or an object becomes a text."""
    if rule.name == "keep":
        return document
    if rule.name == "null":
        return "'null'::jsonb"
    if rule.name == "constant":
        return f"to_jsonb({literal(rule['value'])}::text)"
    if rule.name in ("noise", "bucket"):
        builder = builder_of(rule, "number")
        assert builder is not None  # noqa: S101
        masked = builder.build(f"({document} #>> '{{}}')::numeric", _NUMBER, rule)
        return (
            f"CASE jsonb_typeof({document}) WHEN 'number' THEN to_jsonb({masked}) ELSE 'null' END"
        )
    builder = builder_of(rule, "text")
    if builder is None:
        raise InvalidInputError(f"has the rule {rule.name} within json, which does not support it")
    masked = builder.build(f"({document} #>> '{{}}')", _TEXT, rule)
    return f"coalesce(to_jsonb(({masked})::text), 'null'::jsonb)"
