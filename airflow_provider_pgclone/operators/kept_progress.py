"""Keeps the progress of a task where Airflow shows it: in the task state store, since 3.3."""

from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.hooks.connections import SUPERVISOR_LOCK

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.core.progress import Progress

log = get_log(__name__)

PROGRESS_KEY = "progress"


class KeptProgress:
    """A progress callback that stores what it gets; it never raises.

    It holds a lock while it talks to Airflow's supervisor, since not every way to it has one: that
    of ``dag.test()`` mixes up the answers to two threads. Nothing that ``on_kill`` calls takes this
    lock, as the signal may come in the thread that has it.

    :param context: of the task that runs.
    """

    def __init__(self, context: "Context") -> None:
        self._store: Any = context.get("task_state_store")
        self._has_failed = False

    def __call__(self, progress: "Progress") -> None:
        if self._store is None:  # before Airflow 3.3
            return
        try:
            with SUPERVISOR_LOCK:
                self._store.set(PROGRESS_KEY, _as_json(progress))
        except Exception as error:  # noqa: BLE001  # of Airflow, its network or its backend
            if not self._has_failed:
                log.warning("the progress cannot be kept in the task state store: %r", error)
            self._has_failed = True


def _as_json(progress: "Progress") -> dict[str, Any]:
    eta = progress.eta_seconds
    values = {
        "phase": progress.phase,
        "working_on": progress.working_on,
        "phase_share": _rounded(progress.phase_share),
        "share": _rounded(progress.share_done),
        "eta_seconds": None if eta is None else round(eta),
        "elapsed_seconds": round(progress.elapsed_seconds),
        "bytes": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "rows": progress.rows_done,
        "rows_total": progress.rows_total,
        "text": str(progress),
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
