"""Asks the server how far index builds and ANALYZE are, and what its sessions wait for."""

import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.core.meter import ProgressMeter, Sight, Task
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# How often the server is asked between two reports, to see what most of the time goes to.
ASKS_OF_REPORT = 10
# How long the end waits for a server that does not answer.
END_SECONDS = 2.0
# As many characters of a statement as every server shows. The server cuts off the rest.
_SHOWN_CHARACTERS = 300
# A statement of a build scans the table for about this share of its time; then it sorts and writes.
_SCANNING_SHARE = 0.6

# pg_blocking_pids() stops others for a moment, so it is called for those that wait alone.
_ACTIVITY = """
SELECT a.query, a.wait_event_type, a.wait_event,
    CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) END,
    i.phase, i.blocks_done, i.blocks_total, i.tuples_done, i.tuples_total,
    n.sample_blks_scanned, n.sample_blks_total
FROM pg_stat_activity a
LEFT JOIN pg_stat_progress_create_index i ON i.pid = a.pid
LEFT JOIN pg_stat_progress_analyze n ON n.pid = a.pid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active'
    AND a.backend_type = 'client backend'
"""


class _Activity(NamedTuple):
    """What a session does, as the server's views tell it."""

    query: str
    wait_kind: str | None
    wait: str | None
    blocking: list[int] | None
    build_phase: str | None
    blocks_done: int | None
    blocks_total: int | None
    tuples_done: int | None
    tuples_total: int | None
    sampled: int | None
    sampled_total: int | None

    def sight(self) -> Sight:
        waits_for = f"the lock that session {self.blocking[0]} holds" if self.blocking else ""
        return Sight(self._share(), waits_for)

    def _share(self) -> float | None:
        if self.sampled_total:
            return _ratio(self.sampled, self.sampled_total)
        if self.build_phase is None:
            return None
        scanned = _ratio(self.blocks_done, self.blocks_total)
        if "loading tuples" in self.build_phase:
            written = _ratio(self.tuples_done, self.tuples_total) or 0.0
            return _SCANNING_SHARE + (1 - _SCANNING_SHARE) * written
        # Only a B-tree tells how far it is after the scan.
        has_more = "scanning table" in self.build_phase or "sorting" in self.build_phase
        if "sorting" in self.build_phase:
            return _SCANNING_SHARE
        return None if scanned is None else scanned * (_SCANNING_SHARE if has_more else 0.99)


def _ratio(done: int | None, total: int | None) -> float | None:
    return None if done is None or not total else min(1.0, done / total)


@contextmanager
def watching(
    meter: ProgressMeter,
    database: Database,
    *,
    counts_waits: bool = False,
) -> Iterator[None]:
    """Tell the meter what the server knows of its running tasks, while the block runs.

    It has a session of its own, which starts when the block takes longer than a moment. When the
    server refuses it or does not answer, less is told, and the block goes on.

    :param database: the database that is loaded.
    :param counts_waits: whether to count what each COPY waits for, where the rows do not pass this
        process.
    """
    stop = threading.Event()
    own = Cancellation()
    interval = meter.interval_seconds / ASKS_OF_REPORT

    def run() -> None:
        try:
            if stop.wait(interval):
                return
            with connect(database, own) as session:
                # Only the user who is logged in sees what the sessions of that user do.
                session.execute("SET ROLE NONE")
                while True:
                    _ask(session, meter, interval, counts_waits=counts_waits)
                    if stop.wait(interval):
                        return
        except PgCloneError as error:
            if not stop.is_set():
                log.info("the server does not tell how far it is: %s", error.message)

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        own.cancel()
        thread.join(END_SECONDS)
        meter.see({})


def _ask(session: Session, meter: ProgressMeter, interval: float, *, counts_waits: bool) -> None:
    running = meter.running()
    found = [_Activity(*row) for row in session.execute(_ACTIVITY)]
    meter.see(dict(_sights(found, running)))
    for one in found if counts_waits else ():
        # Within a COPY the server waits for its client only when no rows come.
        if one.query.startswith("COPY "):
            step = "source" if one.wait == "ClientRead" else "target"
            meter.time_spent.add(step, interval)


def _sights(
    found: list[_Activity], running: Mapping[Hashable, Task]
) -> Iterator[tuple[Hashable, Sight]]:
    by_statement = {_start(task.statement): key for key, task in running.items() if task.statement}
    for one in found:
        key = by_statement.get(_start(one.query))
        if key is not None:
            yield key, one.sight()


def _start(statement: str) -> str:
    return statement.strip()[:_SHOWN_CHARACTERS]
