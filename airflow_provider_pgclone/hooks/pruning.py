"""A prune as the hook makes it: whether it may drop temporary databases, too."""

from typing import TYPE_CHECKING

from airflow_provider_pgclone.core.errors import NotAllowedError
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.hooks.call import Call

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.prune import Pruned

log = get_log(__name__)


def prune_dumps(call: Call, prefix: str, cancellation: "Cancellation") -> "Pruned":
    """Delete the dumps that no rule keeps, and what was left behind.

    :raises NotAllowedError: when databases are to be dropped although ``allow_restore`` is false.
    """
    from airflow_provider_pgclone.core.prune import PruneOptions, prune
    from airflow_provider_pgclone.core.repository import Retention

    drops_leftovers = _drops_leftovers(call)
    return prune(
        call.storage(),
        prefix,
        call.maintenance if drops_leftovers else None,
        call.fill(PruneOptions, retention=call.fill(Retention)),
        cancellation=cancellation,
    )


def _drops_leftovers(call: Call) -> bool:
    """Tell whether a prune drops temporary databases, which restores must be allowed for."""
    asked = call.optional("temp_databases", bool)
    if asked and not call.may_restore:
        raise NotAllowedError(
            "temporary databases may not be dropped: allow_restore is set to false",
            hint="Set temp_databases to false.",
        )
    if asked is None and not call.may_restore:
        log.info("temporary databases are left alone: allow_restore is set to false")
    return call.may_restore if asked is None else asked
