"""Tells whether foreign keys are added before indexes are built, rather than after. Pure.

To add a foreign key takes no time, but locks out whatever builds an index on either of its tables.
If the builds start as soon as they can, the key is added after the last of them, and the check of
its rows has nothing beside it. If it is added first, the check goes on beside the builds of other
tables, but these start later.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from airflow_provider_pgclone.core.scheduling.locks import Lock
from airflow_provider_pgclone.core.scheduling.splitting import validates
from airflow_provider_pgclone.core.scheduling.turns import work_until_end
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.work import Schedule

# How much longer than estimated an index may take to build: what starts later must not be the last.
_LONGER_BUILDS = (1.0, 2.0)


def order(plan: Schedule, units: Sequence[Unit], *, sessions: int) -> Sequence[Unit]:
    """Return the units in the order that ends first by the estimates."""
    checks = [unit for unit in units if any(map(validates, unit.entries))]
    if not checks:
        return units
    keys_first = _keys_first(plan, units, checks)

    def ends_first(longer: float) -> bool:
        def work_of(unit: Unit) -> float:
            work = sum(plan.own.get(entry.dump_id, 0.0) for entry in unit.entries)
            return longer * work if Lock.BUILD in unit.locks.values() else work

        until, before = (
            work_until_end(one, work_of, sessions=sessions) for one in (keys_first, units)
        )
        return until < before

    return keys_first if all(map(ends_first, _LONGER_BUILDS)) else units


def _keys_first(plan: Schedule, units: Sequence[Unit], checks: Sequence[Unit]) -> Sequence[Unit]:
    """Return the units with builds that wait until the foreign keys of their tables are added."""
    added = {id_ for unit in checks for entry in unit.entries for id_ in entry.dependencies}
    keys = [unit for unit in units if _adds(unit, added)]
    soon = _before(units, keys) | {unit.number for unit in (*keys, *checks)}
    more_than_all = sum(plan.own.values())

    def moved(unit: Unit) -> Unit:
        if unit.number in soon:
            return replace(unit, cost=unit.cost + more_than_all)
        if Lock.BUILD not in unit.locks.values():
            return unit
        first = (key.number for key in keys if key.conflicts_with(unit))
        return replace(unit, waits_for=unit.waits_for.union(first))

    return [moved(unit) for unit in units]


def _adds(unit: Unit, added: Collection[int]) -> bool:
    return any(e.description == "FK CONSTRAINT" and e.dump_id in added for e in unit.entries)


def _before(units: Sequence[Unit], last: Sequence[Unit]) -> set[int]:
    """Return the numbers of all units that must be done before others."""
    waits_for = {unit.number: unit.waits_for for unit in units}
    found: set[int] = set()
    left = [number for unit in last for number in unit.waits_for]
    while left:
        number = left.pop()
        if number not in found:
            found.add(number)
            left += waits_for[number]
    return found
