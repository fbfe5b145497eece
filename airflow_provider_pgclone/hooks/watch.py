"""What every long call of the core gets beside its options: who is told, and what ends it."""

from typing import TYPE_CHECKING, TypedDict

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.visible import get_log

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.progress import Progress, ProgressCallback

log = get_log(__name__)


class Watch(TypedDict):
    """The arguments of the core's verbs that are the same for each.

    ``on_progress`` is told the progress, every ``report_seconds``.
    """

    on_progress: "ProgressCallback"
    cancellation: Cancellation
    report_seconds: float


def new_watch(
    callback: "ProgressCallback | None", cancellation: Cancellation, report_seconds: float
) -> Watch:
    """Return these arguments; without a callback the log is told."""
    return {
        "on_progress": callback or _log_progress,
        "cancellation": cancellation,
        "report_seconds": report_seconds,
    }


def also_tell(watch: Watch, callback: "ProgressCallback") -> None:
    """Tell one more function the progress, after those that are told already."""
    first = watch["on_progress"]

    def tell_both(progress: "Progress") -> None:
        first(progress)
        callback(progress)

    watch["on_progress"] = tell_both


def _log_progress(progress: "Progress") -> None:
    log.info("%s", progress)
