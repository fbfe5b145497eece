"""Delete dumps that no rule keeps."""

from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.core.prune import Pruned
    from airflow_provider_pgclone.hooks import PgCloneHook


class PgClonePruneOperator(PgCloneBaseOperator):
    """Delete the dumps that no rule keeps, and what killed dumps, restores and copies left.

    At least one rule, from ``keep_last`` to ``older_than_days``, must be given. The last good dump
    of each instance, database and config is never deleted. The operator returns the lists
    ``deleted``, ``kept``, ``aborted_uploads`` and ``dropped_databases``.

    :param prefix: whole leading parts of a key, such as ``prod/shop``; ``*`` for all dumps.
    :param keep_last: how many of the newest dumps to keep of each instance, database and config.
        Default: no such rule.
    :param keep_daily: for how many days to keep the newest dump of the day, in UTC; days without a
        dump do not count. Default: no such rule.
    :param keep_weekly: for how many weeks, which start on Monday, to keep the newest dump of the
        week. Default: no such rule.
    :param keep_monthly: for how many months to keep the newest dump of the month. Default: no such
        rule.
    :param older_than_days: dumps that are not older than this many days are kept; as the only rule,
        it deletes all older dumps but the last good one. Default: no such rule.
    :param uploads_older_than_hours: unfinished uploads that received no data for this many hours
        are removed as leftovers. Default: 24.
    :param temp_databases: whether to drop temporary databases that killed restores and copies left
        on the server. Default: on, unless ``allow_restore`` is false.
    :param temp_older_than_hours: restored databases that have waited longer than this many hours
        for their swap are dropped. Default: 168.
    :param preview: whether to delete nothing and only report what would be deleted. Default: False.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "prune"
    subjects = ("prefix",)

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
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> dict[str, list[str]]:
        pruned: Pruned = self.call_method(hook)
        result = {name: list(found) for name, found in vars(pruned).items()}
        self.log.info("%s", ", ".join(f"{name}: {len(found)}" for name, found in result.items()))
        return result
