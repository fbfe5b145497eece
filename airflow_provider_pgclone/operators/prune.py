"""Delete dumps that no rule keeps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgClonePruneOperator(PgCloneBaseOperator):
    """Delete the dumps that no rule keeps, and what was left by what was killed.

    The last good dump of each instance, database and config is never deleted. It returns the lists
    ``deleted``, ``kept``, ``aborted_uploads`` and ``dropped_databases``.

    :param prefix: whole leading parts of a key, such as ``prod/shop``; ``*`` means all dumps.
    :param keep_last: how many dumps are kept, the newest.
    :param keep_daily: for how many days that have dumps the newest is kept, in UTC.
    :param keep_weekly: for how many weeks.
    :param keep_monthly: for how many months.
    :param older_than_days: dumps that are not older are kept.
    :param uploads_older_than_hours: for how long nothing has come of an upload that is removed.
    :param temp_databases: whether temporary databases that were left on the server are dropped.
    :param temp_older_than_hours: for how long one has waited for its swap that is given up.
    :param preview: whether to delete nothing, and return what would be deleted.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param maintenance_database: where to connect while databases are dropped.
    """

    _prune_options: Sequence[str] = (
        *("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "older_than_days"),
        *("uploads_older_than_hours", "temp_databases", "temp_older_than_hours", "preview"),
    )
    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        *("prefix", "storage_location", "storage_conn_id", "maintenance_database"),
        *_prune_options,
    )

    def __init__(
        self,
        *,
        prefix: "str | XComArg",
        keep_last: int | str | None = None,
        keep_daily: int | str | None = None,
        keep_weekly: int | str | None = None,
        keep_monthly: int | str | None = None,
        older_than_days: float | str | None = None,
        uploads_older_than_hours: float | str | None = None,
        temp_databases: bool | str | None = None,
        temp_older_than_hours: float | str | None = None,
        preview: bool | str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prefix: Any = prefix  # rendered to a text before it is used
        self.keep_last = keep_last
        self.keep_daily = keep_daily
        self.keep_weekly = keep_weekly
        self.keep_monthly = keep_monthly
        self.older_than_days = older_than_days
        self.uploads_older_than_hours = uploads_older_than_hours
        self.temp_databases = temp_databases
        self.temp_older_than_hours = temp_older_than_hours
        self.preview = preview
        self.storage_location = storage_location
        self.storage_conn_id = storage_conn_id
        self.maintenance_database = maintenance_database

    def call(self, hook: "PgCloneHook", context: "Context") -> dict[str, list[str]]:
        pruned = hook.prune(self.prefix, **self.given(*self._prune_options))
        result = {name: list(found) for name, found in vars(pruned).items()}
        self.log.info("%s", ", ".join(f"{name}: {len(found)}" for name, found in result.items()))
        return result
