"""Tells which unit starts next, and how long all take by the estimates. Pure."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from airflow_provider_pgclone.core.scheduling.unit import Unit


class Turns:
    """The units of a pass: those that wait for others, that are ready, and that run.

    It is not safe for threads.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._missing = {unit.number: set(unit.waits_for) for unit in units if unit.waits_for}
        self._after: dict[int, list[Unit]] = defaultdict(list)
        for unit in units:
            for number in unit.waits_for:
                self._after[number].append(unit)
        self._ready = [(unit.rank, unit) for unit in units if not unit.waits_for]
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

    def finish(self, unit: Unit) -> None:
        """Note that a unit is done."""
        del self._running[unit.number]
        for one in self._after[unit.number]:
            missing = self._missing[one.number]
            missing.discard(unit.number)
            if not missing:
                del self._missing[one.number]
                heappush(self._ready, (one.rank, one))

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
            heappush(ends, (now + work_of(unit), unit.number, unit))
        if not ends:
            return now
        now, _, unit = heappop(ends)
        turns.finish(unit)
