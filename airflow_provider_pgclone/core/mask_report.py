"""Report what was masked in a dump and what was not, as a page for auditors."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from airflow_provider_pgclone.core.archive import Manifest, MaskingFacts
from airflow_provider_pgclone.core.catalog import display_name
from airflow_provider_pgclone.core.comparing import markdown_table
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.visible import visible_text

Style = Literal["markdown", "html"]
_STYLES: tuple[Style, ...] = ("markdown", "html")
_TITLE = "Masking report"
_NOTHING_MASKED = "Nothing was masked: each value in the dump is as it was in the database."
_PSEUDONYMOUS = (
    "Masked values are pseudonymous, not anonymous: how often a value occurs and which rows belong "
    "together can still be seen. docs/reference/masking.md of the package describes each rule."
)
_CSS = (
    "body{font-family:sans-serif}table{border-collapse:collapse}"
    "th,td{border:1px solid #999;padding:.2em .5em;text-align:left;white-space:pre-wrap}"
)


@dataclass(frozen=True)
class _Section:
    """A section of the report.

    :param notes: sentences before the table.
    :param rows: of the table, which is left out without rows.
    """

    title: str
    notes: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def check_style(style: str) -> Style:
    """Return a style if it is known.

    :raises InvalidInputError: when it is unknown; the hint names the styles.
    """
    if not _is_style(style):
        raise InvalidInputError(
            f"style {style!r} is unknown", hint=f"The styles are {' and '.join(_STYLES)}."
        )
    return style


def mask_report(manifest: Manifest, key: str, *, style: Style) -> str:
    """Return the report about a dump, also if nothing in it is masked.

    :param manifest: the manifest of the dump.
    :param key: the key of the dump.
    :param style: ``markdown``, or ``html`` for a whole page.
    """
    masking = manifest.masking or MaskingFacts()
    sections = [
        _about(manifest, key),
        _columns(masking),
        _rows(manifest, masking),
        _others(manifest.masking),
    ]
    return _markdown(sections) if style == "markdown" else _html(sections)


def _is_style(style: str) -> TypeGuard[Style]:
    return style in _STYLES


def _about(manifest: Manifest, key: str) -> _Section:
    masking = manifest.masking
    rows = [
        ("Dump", key),
        ("Database", manifest.database),
        ("PostgreSQL", manifest.server_version),
        ("Created", manifest.created_at),
        ("airflow-provider-pgclone", manifest.package_version),
    ]
    if masking is not None:
        rows += [
            ("Policy", masking.policy or "none"),
            ("Masks depend on a key", _yes_no(masking.is_keyed)),
            ("Foreign keys are followed", _yes_no(masking.follow_fks)),
        ]
    notes = (_PSEUDONYMOUS,) if manifest.masks_columns else (_NOTHING_MASKED,)
    return _Section(_TITLE, notes, ("What", "Value"), [(what, str(value)) for what, value in rows])


def _columns(masking: MaskingFacts) -> _Section:
    masked, kept, unclassified = masking.columns, masking.kept, masking.unclassified
    found = [
        *((schema, table, column, f"masked: {rule}") for schema, table, column, rule in masked),
        *((*name, "kept: declared safe") for name in kept),
        *((*name, "kept: not classified") for name in unclassified),
    ]
    notes = [
        f"{len(masked)} masked, {len(kept)} kept as declared safe, "
        f"{len(unclassified)} kept and not classified."
    ]
    if not found:
        notes = ["The dump has no information about its columns."]
    rows = [
        (display_name(schema, table), display_name(column), what)
        for schema, table, column, what in sorted(found)
    ]
    return _Section("Columns", notes, ("Table", "Column", "What happens"), rows)


def _rows(manifest: Manifest, masking: MaskingFacts) -> _Section:
    counted = manifest.rows_of_tables
    filters: dict[tuple[str, str], str] = {}
    for schema, table, text in masking.rows:
        before = filters.get((schema, table))
        filters[schema, table] = text if before is None else f"{before} AND {text}"
    rows = []
    for name in sorted({*counted, *filters}):
        count = f"{counted.get(name, 0):,}" if manifest.has_rows else "not counted"
        rows.append((display_name(*name), count, filters.get(name, "none: all rows")))
    notes = () if rows else ("The dump has no rows.",)
    return _Section("Rows", notes, ("Table", "Rows in the dump", "Filter"), rows)


def _others(masking: MaskingFacts | None) -> _Section:
    title = "What else may hold personal data"
    if masking is None:
        return _Section(title, ["Nothing was searched for, since the dump was made without masks."])
    found = bool(masking.reported)
    notes = ["This is in the dump as it was in the database." if found else "Nothing was found."]
    return _Section(title, notes, ("Kind", "What"), masking.reported)


def _yes_no(value: object) -> str:
    return "yes" if value else "no"


def _markdown(sections: Sequence[_Section]) -> str:
    blocks = (block for section in sections for block in _markdown_blocks(section))
    return "\n\n".join(blocks) + "\n"


def _markdown_blocks(section: _Section) -> Iterator[str]:
    yield f"{'#' if section.title == _TITLE else '##'} {section.title}"
    yield from (f"**{note}**" if note == _NOTHING_MASKED else note for note in section.notes)
    if section.rows:
        yield markdown_table(section.header, section.rows)


def _html(sections: Sequence[_Section]) -> str:
    lines = [
        '<!DOCTYPE html>\n<html lang="en">',
        f'<head><meta charset="utf-8"><title>{_TITLE}</title><style>{_CSS}</style></head>\n<body>',
        *(line for section in sections for line in _html_lines(section)),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _html_lines(section: _Section) -> Iterator[str]:
    heading = "h1" if section.title == _TITLE else "h2"
    yield f"<{heading}>{section.title}</{heading}>"
    for note in section.notes:
        yield f"<p><strong>{note}</strong></p>" if note == _NOTHING_MASKED else f"<p>{note}</p>"
    if section.rows:
        yield "<table>"
        yield _html_row("th", section.header)
        yield from (_html_row("td", row) for row in section.rows)
        yield "</table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    shown = (f"<{tag}>{html.escape(visible_text(cell))}</{tag}>" for cell in cells)
    return f"<tr>{''.join(shown)}</tr>"
