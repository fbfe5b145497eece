"""How far a stream is, told at intervals."""

import time
from collections.abc import Callable
from dataclasses import dataclass

REPORT_SECONDS = 10.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Progress:
    """A look at a running stream.

    :param bytes_done: compressed bytes that went by.
    :param bytes_total: how many there will be, ``None`` where that is not known.
    """

    bytes_done: int
    bytes_total: int | None
    elapsed_seconds: float

    def __str__(self) -> str:
        rate = self.bytes_done / self.elapsed_seconds if self.elapsed_seconds else 0.0
        share = f" of {format_bytes(self.bytes_total)}" if self.bytes_total else ""
        return f"{format_bytes(self.bytes_done)}{share}, {format_bytes(int(rate))}/s"


ProgressCallback = Callable[[Progress], None]


class ProgressMeter:
    """Counts bytes and calls back every few seconds.

    :param interval_seconds: the shortest time between two calls.
    """

    def __init__(
        self,
        callback: ProgressCallback,
        *,
        bytes_total: int | None = None,
        interval_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._callback = callback
        self._bytes_total = bytes_total
        self._interval_seconds = interval_seconds
        self._started = self._reported = time.monotonic()
        self.bytes_done = 0

    def add(self, count: int) -> None:
        self.bytes_done += count
        now = time.monotonic()
        if now - self._reported >= self._interval_seconds:
            self._reported = now
            self._callback(self._progress(now))

    def finish(self) -> Progress:
        return self._progress(time.monotonic())

    def _progress(self, now: float) -> Progress:
        return Progress(self.bytes_done, self._bytes_total, now - self._started)


def format_bytes(count: int) -> str:
    """Return a size as people read it."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"
