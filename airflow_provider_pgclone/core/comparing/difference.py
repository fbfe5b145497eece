"""Two databases, one of which is to replace the other, and what differs between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_provider_pgclone.core.comparing.markdown import markdown_table, markdown_text
from airflow_provider_pgclone.core.comparing.tables import RowCount, TableChange
from airflow_provider_pgclone.core.progress import format_age, format_bytes

# The largest differences; a browser and a reader stand no more.
SHOWN_TABLES = 50
_UNKNOWN = "unknown"
_ABSENT = "–"


@dataclass(frozen=True)
class Side:
    """A database of a comparison.

    :param key: the dump key or local key that it was restored from; empty if unknown.
    :param dumped_at: when that dump was made; ``None`` if unknown.
    :param since: since when it is the target, or waits to be; ``None`` if unknown.
    :param size_bytes: its size; ``None`` where the user may not connect to it.
    :param tables: the rows of each table, by its name.
    """

    name: str
    key: str = ""
    dumped_at: datetime | None = None
    since: datetime | None = None
    size_bytes: int | None = None
    tables: Mapping[str, RowCount] = field(default_factory=dict)

    @property
    def rows(self) -> RowCount:
        """The rows of all tables."""
        return sum(self.tables.values(), RowCount(0))


@dataclass(frozen=True)
class Comparison:
    """What a swap would change.

    :param target: the name of the database that is to be replaced.
    :param now: that database; ``None`` if it does not exist.
    :param after: the restored database that is to take its place.
    :param is_masked: whether a column of it was masked in its dump; ``None`` if not known.
    :param left_out: the options by which its dump may have less than the whole database.
    :param note: what is not known of its dump, and why; empty if all is.
    :param kept: the name under which the present database is kept; empty if it is dropped.
    :param dropped: the names of the databases kept earlier that are dropped.
    """

    target: str
    now: Side | None
    after: Side
    is_masked: bool | None = None
    left_out: Sequence[str] = ()
    note: str = ""
    kept: str = ""
    dropped: Sequence[str] = ()

    @property
    def changes(self) -> list[TableChange]:
        """All tables, those with the largest difference first."""
        now = self.now.tables if self.now else {}
        after = self.after.tables
        found = [TableChange(name, now.get(name), after.get(name)) for name in {**now, **after}]
        return sorted(found, key=_weight)

    def markdown(self, at: datetime | None = None) -> str:
        """Return the comparison as text for a person who has to approve the swap.

        :param at: the moment for which ages are told; by default the present one.
        """
        blocks = _blocks(self, at or datetime.now(UTC))
        return "\n\n".join(blocks) + "\n"


def _weight(change: TableChange) -> tuple[bool, int, str]:
    """Sort an unknown difference first, then the largest, and equal ones by name."""
    return change.rows is not None, -abs(change.rows or 0), change.name


def _blocks(compared: Comparison, at: datetime) -> Iterator[str]:
    now, after = compared.now, compared.after
    by = f"the dump {markdown_text(after.key)}" if after.dumped_at else markdown_text(after.key)
    yield f"**{markdown_text(compared.target)}** is replaced by {by}."
    if now is not None:
        facts = [(name, of(now, at), of(after, at)) for name, of in _FACTS.items()]
    else:
        facts = [(name, _ABSENT, of(after, at)) for name, of in _FACTS.items()]
    yield markdown_table(("", "Now", "After"), facts)
    yield "\n".join(f"- {sentence}" for sentence in _sentences(compared))
    yield from _tables(compared.changes)


def _sentences(compared: Comparison) -> Iterator[str]:
    if compared.now is None:
        yield f"The database {markdown_text(compared.target)} does not exist; the swap makes it."
    elif compared.kept:
        yield f"What it holds now is kept as {markdown_text(compared.kept)}."
    else:
        yield "**What it holds now is dropped.**"
    for name in compared.dropped:
        yield f"The database {markdown_text(name)}, kept by an earlier restore, is dropped."
    if compared.note:
        yield markdown_text(f"{compared.note[0].upper()}{compared.note[1:]}.")
    if compared.is_masked is not None:
        yield "Columns are masked." if compared.is_masked else "**Nothing is masked.**"
    for option in compared.left_out:
        yield f"The dump may not have all of its database: {markdown_text(option)}."


def _tables(changes: Sequence[TableChange]) -> Iterator[str]:
    different = [change for change in changes if not change.is_none]
    rows = [
        (change.name, _shown(change.now), _shown(change.after), str(change))
        for change in different[:SHOWN_TABLES]
    ]
    if rows:
        yield markdown_table(("Table", "Rows now", "Rows after", "Difference"), rows)
    if len(different) > SHOWN_TABLES:
        yield f"{_number(len(different) - SHOWN_TABLES)} with smaller differences."
    if same := len(changes) - len(different):
        yield f"{_number(same)} with the same number of rows."
    if any(change.is_estimate for change in different):
        yield "Numbers with *about* are estimates of the server."


def _number(count: int) -> str:
    return "1 table" if count == 1 else f"{count:,} tables"


def _shown(count: RowCount | None) -> str:
    return _ABSENT if count is None else str(count)


def _time(moment: datetime | None, at: datetime) -> str:
    if moment is None:
        return _UNKNOWN
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {format_age((at - moment).total_seconds())} ago"


def _size(side: Side, _: datetime) -> str:
    return _UNKNOWN if side.size_bytes is None else format_bytes(side.size_bytes)


_FACTS: Mapping[str, Callable[[Side, datetime], str]] = {
    "Restored from": lambda side, at: side.key or _UNKNOWN,
    "Dumped": lambda side, at: _time(side.dumped_at, at),
    "There since": lambda side, at: _time(side.since, at),
    "Size": _size,
    "Tables": lambda side, at: f"{len(side.tables):,}",
    "Rows": lambda side, at: str(side.rows),
}
