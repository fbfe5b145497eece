"""One attempt to replace a database: create a temporary one, fill it, and swap it in.

Here are the target's lock, the names and markers of temporary databases, the swap itself, and the
removal of what earlier attempts left. How a database is filled does not belong here: the caller
passes a function that does it.
"""

from airflow_provider_pgclone.core.replacing.allowed import AllowedTargets, usable_targets
from airflow_provider_pgclone.core.replacing.attempt import (
    Attempt,
    Ending,
    Fill,
    check_kept_names,
    replace_database,
)
from airflow_provider_pgclone.core.replacing.creation import check_strategy, creation_for
from airflow_provider_pgclone.core.replacing.exchange import plan_swap, swap_in, target_properties
from airflow_provider_pgclone.core.replacing.leftovers import (
    drop_attempt,
    remove_all_leftovers,
    remove_dead_drills,
)
from airflow_provider_pgclone.core.replacing.locks import target_lock
from airflow_provider_pgclone.core.replacing.marker import Marker, read_markers, ready_marker
from airflow_provider_pgclone.core.replacing.names import (
    LOCAL_MARK,
    PRE,
    LocalKey,
    attempt_database_name,
    check_database_name,
    is_temporary_of,
    kept_database_name,
)
from airflow_provider_pgclone.core.replacing.origin import Origin, read_origins
from airflow_provider_pgclone.core.replacing.properties import (
    Properties,
    fitted,
    properties_of_new,
    read_properties,
)
from airflow_provider_pgclone.core.replacing.sessions import wait_for_readers
from airflow_provider_pgclone.core.replacing.target import (
    check_local_source,
    check_makeable,
    check_may_create,
    check_may_replace,
    check_not_maintenance,
    check_primary,
    check_replaceable,
    check_source,
    check_target,
    kept_markers,
)

__all__ = [
    "LOCAL_MARK",
    "PRE",
    "AllowedTargets",
    "Attempt",
    "Ending",
    "Fill",
    "LocalKey",
    "Marker",
    "Origin",
    "Properties",
    "attempt_database_name",
    "check_database_name",
    "check_kept_names",
    "check_local_source",
    "check_makeable",
    "check_may_create",
    "check_may_replace",
    "check_not_maintenance",
    "check_primary",
    "check_replaceable",
    "check_source",
    "check_strategy",
    "check_target",
    "creation_for",
    "drop_attempt",
    "fitted",
    "is_temporary_of",
    "kept_database_name",
    "kept_markers",
    "plan_swap",
    "properties_of_new",
    "read_markers",
    "read_origins",
    "read_properties",
    "ready_marker",
    "remove_all_leftovers",
    "remove_dead_drills",
    "replace_database",
    "swap_in",
    "target_lock",
    "target_properties",
    "usable_targets",
    "wait_for_readers",
]
