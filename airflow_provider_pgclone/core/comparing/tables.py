"""A table in two databases, and how many rows it has in each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowCount:
    """How many rows a table has.

    :param rows: ``None`` if not even an estimate is known.
    :param is_estimate: whether the server estimates it.
    """

    rows: int | None
    is_estimate: bool = False

    def __add__(self, other: "RowCount") -> "RowCount":
        known = self.rows is not None and other.rows is not None
        total = (self.rows or 0) + (other.rows or 0) if known else None
        return RowCount(total, is_estimate=self.is_estimate or other.is_estimate)

    def __str__(self) -> str:
        if self.rows is None:
            return "unknown"
        return f"about {self.rows:,}" if self.is_estimate else f"{self.rows:,}"


@dataclass(frozen=True)
class TableChange:
    """A table in either database or both.

    :param now: its rows in the target; ``None`` if it is not there.
    :param after: its rows in the restored database; ``None`` if it is not there.
    """

    name: str
    now: RowCount | None
    after: RowCount | None

    @property
    def rows(self) -> int | None:
        """The rows that come, negative if rows go; ``None`` if not known.

        A table that is missing in one database has no rows there.
        """
        now, after = self.now or RowCount(0), self.after or RowCount(0)
        return None if now.rows is None or after.rows is None else after.rows - now.rows

    @property
    def is_estimate(self) -> bool:
        """Whether one of the two counts is an estimate."""
        return any(count is not None and count.is_estimate for count in (self.now, self.after))

    @property
    def is_none(self) -> bool:
        """Whether the table is in both databases with the same number of rows, as counted."""
        both = self.now is not None and self.after is not None
        return both and self.rows == 0 and not self.is_estimate

    def __str__(self) -> str:
        if self.rows is None:
            return "unknown"
        text = f"about {self.rows:+,}" if self.is_estimate else f"{self.rows:+,}"
        if self.now is None:
            return f"{text}, a new table"
        return f"{text}, the table goes" if self.after is None else text
