"""Finds personal data in JSON documents; PostgreSQL searches, and returns only paths.

A key may be personal itself, as in ``{"jane@example.org": {...}}``. So PostgreSQL returns a path
only if all of its keys consist of known words. Of other paths it returns only that there are some.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog import CatalogTable, Column
from airflow_provider_pgclone.core.masking.discovery.contents import CONTENTS, SAMPLED_CHARS, sample
from airflow_provider_pgclone.core.masking.discovery.vocabulary import ABOUT_SOMETHING, SIGNATURES
from airflow_provider_pgclone.core.masking.rules import builder_of, parse_rule
from airflow_provider_pgclone.core.postgres import SAMPLING_TRANSACTION, Session

# Fewer than rows of other columns, because each document has many values.
_SAMPLED_DOCUMENTS = 250
_MOST_DEPTH = 8
_MOST_PATHS = 100
# The number of the last signature, free text. Its words, such as "payload", mean nothing if they
# lead to an object.
_FREE_TEXT = len(SIGNATURES)
_NAMES = 1 + next(n for n, one in enumerate(SIGNATURES) if one.what == "names of persons")
# Keys that may lead to something personal, and words that may stand before a personal word.
_STRUCTURE = (
    "account address attribute author billing booking buyer card child client contact content "
    "customer data default delivery destination detail device document driver emergency employee "
    "entry event extra family field first guest headers home info invoice item last lead main "
    "member meta metadata my old new object order origin owner parent participant passenger "
    "patient payer payload payment people person personal postal primary private profile property "
    "recipient record request response result row secondary sender session settings shipping "
    "student subscriber user value visitor work your"
)
# Those of them that may also be a text about somebody.
_PERSONS = "contact owner recipient sender user"
# Words that may stand behind a personal word.
_REST = (
    "access auth code confirmation date day hash key line login month name number place push "
    "refresh reset text title type url value verification year"
)
_LEAST_LETTERS = 4
_QUERY = """
WITH RECURSIVE sample AS ({sample}),
walk AS (
    SELECT ''::text AS path, NULL::int AS name, true AS is_known, doc::jsonb AS value, 0 AS depth
    FROM sample WHERE doc IS NOT NULL
    UNION ALL
    SELECT child.* FROM walk, LATERAL (
        SELECT CASE WHEN walk.path = '' THEN member.key ELSE walk.path || '.' || member.key END,
            {name},
            walk.is_known AND member.key ~ '^[A-Za-z][A-Za-z_-]*$' AND whole ~ {known},
            member.value, walk.depth + 1
        FROM jsonb_each(CASE WHEN jsonb_typeof(walk.value) = 'object' THEN walk.value END)
            AS member,
        LATERAL (SELECT regexp_replace(lower(member.key), '[^[:alnum:]]|[0-9]+$', '', 'g')
            AS whole) AS compact,
        LATERAL (SELECT regexp_replace(whole, {prefix}, '') AS short) AS shorter,
        LATERAL (SELECT regexp_replace(short, {prefix}, '') AS shortest) AS shorter_yet
        UNION ALL
        SELECT walk.path || '[*]', walk.name, walk.is_known AND walk.path <> '', element.value,
            walk.depth + 1
        FROM jsonb_array_elements(CASE WHEN jsonb_typeof(walk.value) = 'array' THEN walk.value END)
            AS element
    ) AS child
    WHERE walk.depth < {depth} AND NOT ({is_whole})
),
leaf AS (
    SELECT path, is_known AND path <> '' AS is_known, name, jsonb_typeof(value) AS type,
        value #>> '{{}}' AS text
    FROM walk
    WHERE jsonb_typeof(value) IN ('string', 'number') OR depth = {depth} OR {is_whole}
        OR NOT is_known AND path ~ '[0-9@]'
),
seen AS (
    SELECT path, is_known, type, name, {content} AS content, {is_in_key} AS is_in_key FROM leaf
)
SELECT DISTINCT CASE WHEN is_known THEN path END, CASE WHEN is_known THEN type END,
    CASE WHEN is_known THEN name END, CASE WHEN is_known AND name IS NULL THEN content END
FROM seen
WHERE is_in_key OR content IS NOT NULL OR type = 'object' AND name < {free_text}
    OR type = 'string' AND name IS NOT NULL OR type = 'number' AND name < {free_text}
LIMIT {limit}
"""
# Everything below a personal key is personal, whatever its keys are.
_IS_WHOLE = "coalesce(walk.name < {}, false) AND jsonb_typeof(walk.value) = 'object'"


def json_rule(
    session: Session, leaves: Sequence[CatalogTable], column: Column
) -> Mapping[str, Any] | str | None:
    """Return a rule for the personal data in a JSON column, in the current transaction.

    :return: the rule ``json`` with paths; ``"null"`` if the path of something personal must not be
        shown; ``None`` if nothing looks personal.
    """
    try:
        with session.transaction(rolled_back=True):
            session.execute(SAMPLING_TRANSACTION)
            rows = session.execute(_query(leaves, column)).fetchall()
    except psycopg.DataError:
        return "null"  # such as for \u0000, which json accepts and jsonb does not
    if len(rows) == _MOST_PATHS or any(path is None for path, *_ in rows):
        return "null"
    rules: dict[str, Any] = {}
    for path, value_type, name, content in sorted(rows, key=lambda row: row[0]):
        rule = _rule(value_type, name, content)
        rules[path] = _both(rules.get(path, rule), rule)
    return {"json": {**_outermost(rules), "*": "null"}} if rules else None


def _rule(value_type: str, name: int | None, content: int | None) -> str:
    if value_type != "string":
        return "null"
    if name is not None:
        return _rule_of_text(SIGNATURES[name - 1].rules)
    if content is not None and content <= len(CONTENTS):
        return _rule_of_text(CONTENTS[content - 1].rules)
    return "text"


def _rule_of_text(rules: Sequence[str]) -> str:
    return next(one for one in rules if one == "null" or builder_of(parse_rule(one), "text"))


def _both(one: str, other: str) -> str:
    """Return a rule for a path whose values suggest two rules."""
    if one == other:
        return one
    return "null" if "null" in (one, other) else "text"


def _outermost(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Remove paths that lead into another path, which then becomes null as a whole."""
    outer: dict[str, Any] = {}
    for path, rule in rules.items():
        above = next((one for one in outer if path.startswith((f"{one}.", f"{one}["))), None)
        if above is None:
            outer[path] = rule
        else:
            outer[above] = "null"
    return outer


def _query(leaves: Sequence[CatalogTable], column: Column) -> sql.Composed:
    documents = sql.SQL("{} AS doc").format(sql.Identifier(column.name))
    text = sql.SQL("left(text, {})").format(SAMPLED_CHARS)
    key = sql.SQL("left(path, {})").format(SAMPLED_CHARS)
    # A value that is nothing but personal data comes before a text that contains some.
    alone = [
        sql.SQL("WHEN {} THEN {}").format(content.alone(text), number)
        for number, content in enumerate(CONTENTS, 1)
    ]
    anywhere = sql.SQL(" OR ").join(content.anywhere(text) for content in CONTENTS)
    return sql.SQL(_QUERY).format(
        sample=sample(leaves, [documents], _SAMPLED_DOCUMENTS),
        name=_name(),
        prefix=f"^({_STRUCTURE.replace(' ', '|')})(?=.)",
        known=_known(),
        depth=_MOST_DEPTH,
        is_whole=sql.SQL(_IS_WHOLE).format(_FREE_TEXT),
        content=sql.SQL("CASE {} WHEN {} THEN {} END").format(
            sql.SQL(" ").join(alone), anywhere, len(CONTENTS) + 1
        ),
        is_in_key=sql.SQL("NOT is_known AND ({})").format(
            sql.SQL(" OR ").join(content.anywhere(key) for content in CONTENTS)
        ),
        free_text=_FREE_TEXT,
        limit=_MOST_PATHS,
    )


def _name() -> sql.Composed:
    """Return the SQL of the number of the signature that matches a key, or null."""
    numbers = {"name": _NAMES, **dict.fromkeys(_PERSONS.split(), _FREE_TEXT)}
    within: dict[str, int] = {}
    for number, signature in enumerate(SIGNATURES, 1):
        for term in signature.compact_terms:
            numbers.setdefault(term, number)
        within.update(dict.fromkeys(signature.terms_within, number))
    looked_up = [
        sql.SQL("{}::jsonb -> " + form).format(json.dumps(numbers), sql.SQL(key))
        for key in ("whole", "short", "shortest")
        for form in ("{}", "regexp_replace({}, 's$', '')", "regexp_replace({}, 'es$', '')")
    ]
    part = sql.SQL(
        "CASE WHEN whole !~ {about} THEN {numbers}::jsonb -> (regexp_match(whole, {within}))[1] END"
    ).format(
        about=f"({ABOUT_SOMETHING.replace(' ', '|')})$",
        numbers=json.dumps(within),
        within=f"({'|'.join(within)})",
    )
    return sql.SQL("coalesce({})::int").format(sql.SQL(", ").join([*looked_up, part]))


def _known() -> str:
    """Return the regular expression of keys that consist of known words."""
    terms = {term for signature in SIGNATURES for term in signature.compact_terms}
    # The shortest words together could form any name.
    parts = {term for term in terms if len(term) >= _LEAST_LETTERS}
    parts.update(_STRUCTURE.split(), _REST.split())
    return f"^(({'|'.join(sorted(parts))})+|{'|'.join(sorted(terms))})(e?s)?$"
