"""The progress of a verb at one moment, and how it is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Below this share mostly the schema is done, and its speed does not predict that of the rows.
_LEAST_SHARE_OF_ETA = 0.02
# In the other phases the numbers of bytes and rows stay as they are.
_COUNTING_PHASES = ("", "load", "data")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Progress:
    """The progress of a verb at one moment.

    :param bytes_done: the compressed bytes so far; 0 for a copy, which compresses nothing.
    :param bytes_total: the compressed bytes of the whole stream, ``None`` if not known.
    :param rows_done: the number of rows in the tables that are done.
    :param rows_total: the number of rows in all tables, ``None`` if not known.
    :param share_done: of all phases together, from 0 to 1; ``None`` if not known.
    :param elapsed_seconds: the seconds since the verb started.
    :param phase: what it does now. A dump has the phases ``snapshot``, ``data``, ``checksums`` and
        ``finish``; a restore and a copy have ``start``, ``snapshot``, ``load``, ``indexes``,
        ``constraints``, ``views``, ``check``, ``analyze`` and ``swap``; ``done`` is the end.
    :param working_on: what it works on or waits for.
    :param phase_share: of this phase, from 0 to 1; ``None`` if not known.
    :param working_seconds: the seconds since the data started; ``None`` means all.
    :param is_predictable: whether the time that is left can be told: all work is known, and some of
        it was done lately.
    """

    bytes_done: int
    bytes_total: int | None
    rows_done: int
    rows_total: int | None
    share_done: float | None
    elapsed_seconds: float
    phase: str = ""
    working_on: str = ""
    phase_share: float | None = None
    working_seconds: float | None = None
    is_predictable: bool = True

    @property
    def bytes_per_second(self) -> float:
        seconds = self._seconds
        return self.bytes_done / seconds if seconds else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """The seconds that are left in all phases at this rate, ``None`` if not known."""
        share = self.share_done
        if share is None or share < _LEAST_SHARE_OF_ETA or not self.is_predictable:
            return None
        return self._seconds * (1 - share) / share

    @property
    def _seconds(self) -> float:
        return self.elapsed_seconds if self.working_seconds is None else self.working_seconds

    def __str__(self) -> str:
        texts = [self._phase_text()] if self.phase else []
        if self.phase in _COUNTING_PHASES or self.share_done == 1.0:
            texts += self._counts()
        if self.share_done is not None:
            texts.append(f"{self.share_done:.0%}{' of all' if self.phase else ''}")
        if self.eta_seconds is not None and self.eta_seconds >= 1:
            texts.append(f"{self.eta_seconds:.0f} s left")
        return ", ".join(texts) or "nothing yet"

    def _phase_text(self) -> str:
        share = "" if self.phase_share is None else f" {self.phase_share:.0%}"
        return f"{self.phase}{share}{f': {self.working_on}' if self.working_on else ''}"

    def _counts(self) -> Iterator[str]:
        if self.bytes_done:
            total = f" of {format_bytes(self.bytes_total)}" if self.bytes_total else ""
            rate = format_bytes(int(self.bytes_per_second))
            yield f"{format_bytes(self.bytes_done)}{total}, {rate}/s"
        if self.rows_done:
            total = f" of {self.rows_total:,}" if self.rows_total else ""
            yield f"{self.rows_done:,}{total} rows"


ProgressCallback = Callable[[Progress], None]


def format_bytes(count: int) -> str:
    """Return a size in the largest unit that fits, such as ``1.5 GiB``."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def format_count(count: int, thing: str) -> str:
    """Return a number of things, such as ``1 table`` or ``2,000 rows``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def format_age(seconds: float) -> str:
    """Return an age in its largest unit, such as ``3 hours``."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) > 0:
            return format_count(count, unit)
    return "less than a minute"
