"""Measures the progress of a stream and reports it at intervals."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

REPORT_SECONDS = 10.0
# Below this share mostly the schema is done, and its speed does not predict that of the rows.
_LEAST_SHARE_OF_ETA = 0.02
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Progress:
    """The progress of a stream at one moment.

    :param bytes_done: the compressed bytes so far; 0 for a copy, which compresses nothing.
    :param bytes_total: the compressed bytes of the whole stream, ``None`` if not known.
    :param rows_done: the number of rows in the tables that are done.
    :param rows_total: the number of rows in all tables, ``None`` if not known.
    :param share_done: from 0 to 1, ``None`` if not known.
    """

    bytes_done: int
    bytes_total: int | None
    rows_done: int
    rows_total: int | None
    share_done: float | None
    elapsed_seconds: float

    @property
    def bytes_per_second(self) -> float:
        return self.bytes_done / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """The seconds that are left at this rate, ``None`` if not known."""
        if self.share_done is None or self.share_done < _LEAST_SHARE_OF_ETA:
            return None
        return self.elapsed_seconds * (1 - self.share_done) / self.share_done

    def __str__(self) -> str:
        texts = []
        if self.bytes_done:
            total = f" of {format_bytes(self.bytes_total)}" if self.bytes_total else ""
            rate = format_bytes(int(self.bytes_per_second))
            texts.append(f"{format_bytes(self.bytes_done)}{total}, {rate}/s")
        if self.rows_done:
            total = f" of {self.rows_total:,}" if self.rows_total else ""
            texts.append(f"{self.rows_done:,}{total} rows")
        if self.share_done is not None:
            texts.append(f"{self.share_done:.0%}")
        if self.eta_seconds is not None and self.eta_seconds >= 1:
            texts.append(f"{self.eta_seconds:.0f} s left")
        return ", ".join(texts) or "nothing yet"


ProgressCallback = Callable[[Progress], None]


class ProgressMeter:
    """Counts bytes and rows, in any thread, and reports every few seconds and at the end.

    :param callback: called with each report.
    :param bytes_total: the compressed bytes of the whole stream, ``None`` if not known.
    :param rows_total: the number of rows in all tables, ``None`` if not known.
    :param work_total: the whole work, in any unit; ``None`` measures the work in bytes.
    :param interval_seconds: the shortest time between two reports.
    """

    def __init__(
        self,
        callback: ProgressCallback,
        *,
        bytes_total: int | None = None,
        rows_total: int | None = None,
        work_total: int | None = None,
        interval_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._callback = callback
        self._bytes_total = bytes_total
        self._rows_total = rows_total
        self._work_total = work_total
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._started = self._reported = time.monotonic()
        self._bytes_done = self._rows_done = self._work_done = 0

    def add(self, byte_count: int = 0, *, rows: int = 0, work: int = 0) -> None:
        """Count what was done since the last call.

        :param work: in the unit of ``work_total``.
        """
        with self._lock:
            self._bytes_done += byte_count
            self._rows_done += rows
            self._work_done += work
            now = time.monotonic()
            if now - self._reported < self._interval_seconds:
                return
            self._reported = now
            progress = self._progress(now)
        self._callback(progress)

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass chunks on and count their bytes."""
        for chunk in chunks:
            self.add(len(chunk))
            yield chunk

    def finish(self) -> None:
        """Report the whole."""
        with self._lock:
            progress = self._progress(time.monotonic())
        self._callback(progress)

    def _progress(self, now: float) -> Progress:
        done, total = self._bytes_done, self._bytes_total
        if self._work_total is not None:
            done, total = self._work_done, self._work_total
        return Progress(
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
            rows_done=self._rows_done,
            rows_total=self._rows_total,
            share_done=min(1.0, done / total) if total else None,
            elapsed_seconds=now - self._started,
        )


def format_bytes(count: int) -> str:
    """Return a size in the largest unit that fits, such as ``1.5 GiB``."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def format_age(seconds: float) -> str:
    """Return an age in its largest unit, such as ``3 hours``."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) > 0:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
