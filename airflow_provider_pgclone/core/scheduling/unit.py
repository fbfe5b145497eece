"""What one session or one run of pg_restore restores. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_pgclone.core.archive import TableName, TocEntry
from airflow_provider_pgclone.core.scheduling.locks import Lock


@dataclass(frozen=True)
class Unit:
    """Entries that one session or one run of pg_restore restores, or tables that are analyzed.

    :param number: its place among the units of its pass.
    :param entries: in the order of the archive.
    :param waits_for: the numbers of units of its pass that must be done before.
    :param reads_after: the number of the unit of its pass whose data must be read before, if any.
    :param cost: the work of the longest chain that starts with it, in bytes of data; or more, so
        that it starts before others.
    :param locks: the tables that it locks, by the ids of their entries.
    :param tables: the tables that it analyzes; it has no entries then.
    :param is_plain: whether each of its entries is one statement, which any session can execute.
    """

    number: int
    entries: tuple[TocEntry, ...]
    waits_for: frozenset[int] = frozenset()
    reads_after: int | None = None
    cost: float = 0.0
    locks: Mapping[int, Lock] = field(default_factory=dict)
    tables: tuple[TableName, ...] = ()
    is_plain: bool = False

    @property
    def rank(self) -> tuple[float, int]:
        """The order in which ready units start: the costliest first, then that of the archive."""
        return -self.cost, self.number

    def conflicts_with(self, other: "Unit") -> bool:
        """Tell whether one of the two would wait for a lock of the other."""
        mine, theirs = self.locks, other.locks
        both = mine.keys() & theirs.keys()
        return any(not mine[table].goes_with(theirs[table]) for table in both)
