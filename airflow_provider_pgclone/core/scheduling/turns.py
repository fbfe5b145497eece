"""Tells which unit starts next, and how long all take by the estimates. Pure."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from airflow_provider_pgclone.core.scheduling.unit import Unit

# What happens to a unit, by its number.
_READ, _RESTORED = "read", "restored"
_Event = tuple[str, int]


class Turns:
    """The units of a pass: those that wait for others, that are ready, and that run.

    It is not safe for threads.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        # What each unit still waits for, and the units that wait for it.
        self._missing: dict[int, set[_Event]] = {}
        self._after: dict[_Event, list[Unit]] = defaultdict(list)
        self._ready: list[tuple[tuple[float, int], Unit]] = []
        for unit in units:
            events = {(_RESTORED, number) for number in unit.waits_for}
            if unit.reads_after is not None:
                events.add((_READ, unit.reads_after))
            for event in events:
                self._after[event].append(unit)
            if events:
                self._missing[unit.number] = events
            else:
                self._ready.append((unit.rank, unit))
        heapify(self._ready)
        self._running: dict[int, Unit] = {}

    @property
    def left(self) -> int:
        """How many units have not started."""
        return len(self._missing) + len(self._ready)

    @property
    def running(self) -> int:
        """How many units run."""
        return len(self._running)

    def take(self) -> Unit | None:
        """Start the costliest unit that can run now, and return it; ``None`` if there is none."""
        taken, passed_over = None, []
        while self._ready and taken is None:
            rank, unit = heappop(self._ready)
            if self._is_free(unit):
                taken = unit
                self._running[unit.number] = unit
            else:
                passed_over.append((rank, unit))
        for one in passed_over:
            heappush(self._ready, one)
        return taken

    def note_read(self, unit: Unit) -> bool:
        """Note that the data of a running unit is read, and tell whether another waited for it."""
        return self._note((_READ, unit.number))

    def finish(self, unit: Unit) -> None:
        """Note that a unit is done."""
        del self._running[unit.number]
        self._note((_READ, unit.number))
        self._note((_RESTORED, unit.number))

    def _note(self, event: _Event) -> bool:
        waiting = self._after.pop(event, ())
        for unit in waiting:
            missing = self._missing[unit.number]
            missing.discard(event)
            if not missing:
                del self._missing[unit.number]
                heappush(self._ready, (unit.rank, unit))
        return bool(waiting)

    def _is_free(self, unit: Unit) -> bool:
        return not any(unit.conflicts_with(other) for other in self._running.values())


def work_until_end(
    units: Sequence[Unit], work_of: Callable[[Unit], float], *, sessions: int
) -> float:
    """Return the time until all units are done, in the unit of work.

    :param work_of: returns how much work a unit is.
    :param sessions: how many sessions there are, each with a CPU of its own.
    """
    turns = Turns(units)
    now = 0.0
    ends: list[tuple[float, int, Unit]] = []
    while True:
        while len(ends) < sessions and (unit := turns.take()) is not None:
            turns.note_read(unit)  # that the next one may wait for the data is neglected
            heappush(ends, (now + work_of(unit), unit.number, unit))
        if not ends:
            return now
        now, _, unit = heappop(ends)
        turns.finish(unit)
