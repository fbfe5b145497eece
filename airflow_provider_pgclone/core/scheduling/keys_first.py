"""Tells whether foreign keys are added before indexes are built, rather than after. Pure.

To add a foreign key takes no time, but locks out whatever builds an index on either of its tables.
If the builds start as soon as they can, the key is added after the last of them, and the check of
its rows has nothing beside it. If it is added first, the check goes on beside the builds of other
tables, but these start later.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from airflow_provider_pgclone.core.scheduling.locks import Lock, reached
from airflow_provider_pgclone.core.scheduling.splitting import validates
from airflow_provider_pgclone.core.scheduling.turns import work_until_end
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.work import Schedule

# It must also be better if each index takes twice as long as estimated: an index that starts late
# may end last.
_LONGER_BUILDS = (1.0, 2.0)
# The estimates do not tell smaller differences.
_SHARE_AT_MOST = 0.99


def order(plan: Schedule, units: Sequence[Unit], *, sessions: int) -> Sequence[Unit]:
    """Return the units, with costs and waits by which they end first, as far as estimates tell.

    Constraints that build an index themselves do not wait: they cannot be split.
    """
    checks = [unit for unit in units if any(map(validates, unit.entries))]
    if not checks:
        return units
    keys_first = _keys_first(plan, units, checks)

    def ends_first(longer: float) -> bool:
        def work_of(unit: Unit) -> float:
            work = sum(plan.own.get(entry.dump_id, 0.0) for entry in unit.entries)
            return longer * work if Lock.BUILD in unit.locks.values() else work

        as_given = work_until_end(units, work_of, sessions=sessions)
        return work_until_end(keys_first, work_of, sessions=sessions) < _SHARE_AT_MOST * as_given

    return keys_first if all(map(ends_first, _LONGER_BUILDS)) else units


def _keys_first(plan: Schedule, units: Sequence[Unit], checks: Sequence[Unit]) -> Sequence[Unit]:
    """Return the units with builds that wait until the foreign keys of their tables are added."""
    added = {id_ for unit in checks for entry in unit.entries for id_ in entry.dependencies}
    keys = [unit for unit in units if _adds(unit, added)]
    keys_on: dict[int, set[int]] = defaultdict(set)
    for key in keys:
        for table in key.locks:
            keys_on[table].add(key.number)
    waits_for = {unit.number: unit.waits_for for unit in units}
    soon = reached((unit.number for unit in (*keys, *checks)), waits_for)
    more_than_all = sum(plan.own.values())

    def moved(unit: Unit) -> Unit:
        if unit.number in soon:
            return replace(unit, cost=unit.cost + more_than_all)
        if Lock.BUILD not in unit.locks.values():
            return unit
        return replace(unit, waits_for=unit.waits_for.union(*(keys_on[id_] for id_ in unit.locks)))

    return [moved(unit) for unit in units]


def _adds(unit: Unit, added: Collection[int]) -> bool:
    return any(e.description == "FK CONSTRAINT" and e.dump_id in added for e in unit.entries)
