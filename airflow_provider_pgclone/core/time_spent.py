"""Counts what threads spend their time on, to tell what a stream was limited by."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

# Of less time nothing can be told.
LEAST_SECONDS = 0.5
# Below this share, no step alone is the limit.
LEAST_SHARE = 0.5

Item = TypeVar("Item")
_END = object()


class TimeSpent:
    """The seconds of all threads, by what they were spent on.

    Steps may be nested: the time of an inner one does not count for the outer one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        # What each thread is at, and since when.
        self._present: dict[int, tuple[str, float]] = {}

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        """Count the time of the block."""
        before = self._switch(step)
        try:
            yield
        finally:
            self._switch(before)

    def each(self, step: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, and count the time that it takes to get them."""
        source = iter(items)
        while True:
            with self.on(step):
                item = next(source, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]

    def add(self, step: str, seconds: float) -> None:
        """Count time that was measured elsewhere."""
        with self._lock:
            self._seconds[step] = self._seconds.get(step, 0.0) + seconds

    def stalled(self, seconds: float) -> str:
        """Return what all threads have been at for some time; empty if one of them goes on."""
        with self._lock:
            since = time.monotonic() - seconds
            present = list(self._present.values())
        if any(start > since for _, start in present):
            return ""
        return " and ".join(sorted({step for step, _ in present}))

    def seconds(self) -> dict[str, float]:
        """Return the seconds by step, without what has not ended yet."""
        with self._lock:
            return dict(self._seconds)

    def _switch(self, step: str | None) -> str | None:
        """Go on to another step in this thread, and return the one before."""
        thread, now = threading.get_ident(), time.monotonic()
        with self._lock:
            before, since = self._present.pop(thread, (None, now))
            if before is not None:
                self._seconds[before] = self._seconds.get(before, 0.0) + now - since
            if step is not None:
                self._present[thread] = (step, now)
        return before


def spread(seconds: float, among: Mapping[str, float]) -> dict[str, float]:
    """Divide seconds in the proportion of others; by nothing if there are none."""
    total = sum(among.values())
    return {name: seconds * value / total for name, value in among.items()} if total else {}


def limit_of(seconds: Mapping[str, float]) -> str | None:
    """Return the step that most of the time went to.

    :return: ``None`` if no step alone took most of it, or if there was too little to tell.
    """
    total = sum(seconds.values())
    if total < LEAST_SECONDS:
        return None
    name = max(seconds, key=lambda one: seconds[one])
    return name if seconds[name] >= LEAST_SHARE * total else None
