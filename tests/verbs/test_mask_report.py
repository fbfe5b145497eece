"""The report for auditors: what it tells, and that no name in it becomes markup."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider_pgclone.core.archive.encoding import DATA
from airflow_provider_pgclone.core.archive.manifest import (
    Block,
    Manifest,
    ManifestEntry,
    MaskingFacts,
)
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.mask_report import Style, check_style, mask_report

KEY = "prod/shop/anon/2026-01-02-03-04-05-000006.dump"
FACTS: dict[str, Any] = {
    "database": "shop",
    "server_version": "17.2",
    "created_at": "2026-01-02T03:04:05+00:00",
    "package_version": "1.2.3",
    "has_rows": True,
    "toc_bytes": 1,
    "toc_sha256": "",
    "archive_version": "1.16",
    "compression": "zstd",
    "pg_dump_version": "17.2",
    "database_bytes": 1,
    "encoding": "UTF8",
}
MASKING = {
    "policy": None,
    "follow_fks": True,
    "is_keyed": True,
    "columns": [
        ["public", "users", "email", "email"],
        ["public", "users", "token", "hash {chars: 16}"],
    ],
    "kept": [["public", "orders", "total"]],
    "unclassified": [["public", "users", "note"]],
    "rows": [["public", "orders", "created_at > '…'"]],
    "reported": [
        ["large objects", "3 large objects are not masked"],
        ["comment", "public.users"],
    ],
}
HOSTILE = [
    "a|b",
    "\\|",
    "`x`",
    "``",
    "<script>alert(1)</script>",
    "</td></tr></table><h1>All is masked</h1>",
    "<!--",
    "&lt;b&gt;",
    "&#124;",
    "**bold**",
    "__bold__",
    "__Bold__ _it_",
    "~~gone~~",
    "[all](http://evil.example)",
    "![](http://evil.example/x.png)",
    "http://evil.example",
    "x\n\n# Nothing is missing\n\n| a | b |",
    "a\r\nb",
    "a\u2028b",
    "a\x85b",
    "| --- | --- |",
    '"; DROP TABLE users; --',
    "javascript:alert(1)",
    "$x$",
    "@everyone",
    "",
    " ",
]
STYLES: tuple[Style, ...] = ("markdown", "html")
TAGS = ("h1", "h2", "p", "strong", "table", "tr", "th", "td")

Table = list[list[str]]


def manifest_with(
    masking: dict[str, Any] | None, rows: Sequence[tuple[str, str, int]] = ()
) -> Manifest:
    """Return a manifest with some rows of some tables."""
    entries = [
        ManifestEntry(Block(number, DATA, 0, 1, 1, count, ""), schema, table)
        for number, (schema, table, count) in enumerate(rows)
    ]
    facts = MaskingFacts.from_json(masking) if masking is not None else None
    return Manifest(tuple(entries), **FACTS, masking=facts)


class Page(HTMLParser):
    """The tables of a page, and the tags that it has.

    :ivar tables: by the heading before each.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, Table] = {}
        self.tags: set[str] = set()
        self.comments = 0
        self._title = ""
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.add(tag)
        self._open = tag
        if tag in ("h1", "h2"):
            self._title = ""
        elif tag == "table":
            assert self._title not in self.tables
            self.tables[self._title] = []
        elif tag == "tr":
            self.tables[self._title].append([])
        elif tag in ("td", "th"):
            self.tables[self._title][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("h1", "h2"):
            self._title += data
        elif self._open in ("td", "th"):
            self.tables[self._title][-1][-1] += data

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def tables_of(text: str, style: Style) -> dict[str, Table]:
    """Return the tables of a report by the headings before them, as a reader of its style does."""
    if style == "html":
        page = Page(text)
        assert page.tags <= {"html", "head", "meta", "title", "style", "body", *TAGS}
        assert page.comments == 0
        return page.tables
    # Only what a reader makes of a cell tells whether anything in it is markup.
    page = Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))
    assert page.tags <= {"thead", "tbody", *TAGS}
    assert page.comments == 0
    return page.tables


@pytest.mark.parametrize("style", STYLES)
def test_a_report_tells_what_happens_to_each_column_and_row(style: Style) -> None:
    of = manifest_with(MASKING, [("public", "orders", 1000), ("public", "orders", 234)])
    text = mask_report(of, KEY, style=style)
    assert tables_of(text, style) == {
        "Masking report": [
            ["What", "Value"],
            ["Dump", KEY],
            ["Database", "shop"],
            ["PostgreSQL", "17.2"],
            ["Created", "2026-01-02T03:04:05+00:00"],
            ["airflow-provider-pgclone", "1.2.3"],
            ["Policy", "none"],
            ["Masks depend on a key", "yes"],
            ["Foreign keys are followed", "yes"],
        ],
        "Columns": [
            ["Table", "Column", "What happens"],
            ["public.orders", "total", "kept: declared safe"],
            ["public.users", "email", "masked: email"],
            ["public.users", "note", "kept: not classified"],
            ["public.users", "token", "masked: hash {chars: 16}"],
        ],
        "Rows": [
            ["Table", "Rows in the dump", "Filter"],
            ["public.orders", "1,234", "created_at > '…'"],
        ],
        "What else may hold personal data": [
            ["Kind", "What"],
            ["large objects", "3 large objects are not masked"],
            ["comment", "public.users"],
        ],
    }
    assert "2 masked, 1 kept as declared safe, 1 kept and not classified." in text
    assert "Nothing was masked" not in text


@pytest.mark.parametrize("style", STYLES)
def test_usual_names_are_as_they_are_in_the_text_as_well(style: Style) -> None:
    text = mask_report(
        manifest_with(
            {**MASKING, "columns": [["public", "user_logs", "last_ip_2", "hash {chars: 16}"]]}
        ),
        KEY,
        style=style,
    )
    for expected in ("public.user_logs", "last_ip_2", "hash {chars: 16}", KEY, "03:04:05+00:00"):
        assert expected in text


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("masking", [None, {**MASKING, "columns": []}])
def test_a_dump_that_is_not_masked_has_a_report_that_says_so(
    masking: dict[str, Any] | None, style: Style
) -> None:
    text = mask_report(manifest_with(masking, [("public", "users", 5)]), KEY, style=style)
    assert "Nothing was masked: each value in the dump is as it was in the database." in text
    tables = tables_of(text, style)
    assert ["Dump", KEY] in tables["Masking report"]
    assert ["public.users", "5", "none: all rows"] in tables["Rows"]
    looked = masking is not None
    assert ("Nothing was searched for" in text) == (not looked)
    assert (["Policy", "none"] in tables["Masking report"]) == looked


def test_rows_of_insert_statements_are_not_counted() -> None:
    of = manifest_with(MASKING, [("public", "users", 5)])
    of = replace(of, has_rows=False)
    rows = tables_of(mask_report(of, KEY, style="markdown"), "markdown")["Rows"]
    assert ["public.users", "not counted", "none: all rows"] in rows


def hostile_report(name: str, style: Style) -> dict[str, Table]:
    """Return the tables of a report that has a text wherever one comes from a database."""
    masking = {
        **MASKING,
        "columns": [[name, name, name, name]],
        "kept": [],
        "unclassified": [],
        "rows": [[name, name, name]],
        "reported": [[name, name]],
    }
    of = manifest_with(masking, [(name, name, 7)])
    of = replace(of, database=name)
    return tables_of(mask_report(of, KEY, style=style), style)


def cells_of(tables: dict[str, Table]) -> list[list[str]]:
    """Return the rows that have the text, of which there is one a table."""
    about, columns, rows, others = tables.values()
    assert len(about) == 9
    assert [len(table) for table in (columns, rows, others)] == [2, 2, 2]
    return [about[2], columns[1], rows[1], others[1]]


def cells_with(name: str, style: Style) -> list[list[str]]:
    """Return what the rows are to have where the text is shown."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    quoted = '"{}"'.format(shown.replace('"', '""'))
    if re.fullmatch("[a-z_][a-z0-9_]*", name):
        quoted = name
    rows = [
        ["Database", shown],
        [f"{quoted}.{quoted}", quoted, f"masked: {shown}"],
        [f"{quoted}.{quoted}", "7", shown],
        [shown, shown],
    ]
    # Readers of Markdown strip what is around a cell.
    return [[cell.strip() for cell in row] for row in rows] if style == "markdown" else rows


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_becomes_no_markup(name: str, style: Style) -> None:
    assert cells_of(hostile_report(name, style)) == cells_with(name, style)


@given(name=st.text(st.characters(exclude_categories=())), style=st.sampled_from(STYLES))
def test_no_text_becomes_markup(name: str, style: Style) -> None:
    assert cells_of(hostile_report(name, style)) == cells_with(name, style)
    assert mask_report(manifest_with(MASKING), name, style=style).encode()


@pytest.mark.parametrize(
    ("one", "other"), [("a.b", "a"), ('a"."b', "a"), ("Users", "users"), ("a\u202eb", "ab")]
)
@pytest.mark.parametrize("style", STYLES)
def test_names_that_differ_look_different(one: str, other: str, style: Style) -> None:
    assert hostile_report(one, style)["Columns"] != hostile_report(other, style)["Columns"]
    pairs = [("a.b", "c", "x", "email"), ("a", "b.c", "x", "email")]
    of = manifest_with({**MASKING, "columns": [list(pair) for pair in pairs]})
    rows = tables_of(mask_report(of, KEY, style=style), style)["Columns"]
    assert {row[0] for row in rows} >= {'"a.b".c', 'a."b.c"'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("www.evil.example", "www&#46;evil.example"),
        ("https://evil.example", "https&#58;//evil.example"),
        ("a@evil.example", "a&#64;evil.example"),
        (":smile:", "&#58;smile&#58;"),
        ("{{ secret }}", "&#123;{ secret }}"),
    ],
)
def test_what_some_readers_make_links_and_pictures_of_stays_text(text: str, expected: str) -> None:
    of = manifest_with({**MASKING, "reported": [["comment", text]]})
    assert f"| comment | {expected} |" in mask_report(of, KEY, style="markdown")


@pytest.mark.parametrize("style", ["pdf", "", "Markdown", None, ["html"]])
def test_there_are_two_styles(style: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"is unknown\. The styles are markdown and html"):
        check_style(style)
    assert [check_style(name) for name in STYLES] == list(STYLES)
