"""Let a person approve a swap."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneApproveSwapOperator(PgCloneBaseOperator, ApprovalOperator):  # type: ignore[misc]
    """Show a person what a swap would change, and wait for the approval.

    The text compares the restored database with its target: where they come from, their ages and
    sizes, the rows of each table, the largest differences first, tables that come and go, whether
    columns are masked, what the dump left out, and what becomes of ``:pre``.

    A rejection drops the restored database and skips the tasks below; with ``fail_on_reject=True``
    it fails the task. Where nobody answers within ``response_timeout``, the restored database is
    dropped and the task fails. The arguments of Airflow's ApprovalOperator, such as
    ``assigned_users`` and ``notifiers``, are taken too.

    :param temp_database: the database that a restore with ``swap=False`` left.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "waiting"
    subjects = ("temp_database",)

    def __init__(
        self,
        *,
        temp_database: "str | XComArg",
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("subject", "Swap the restored database in?")
        # What Airflow answers at the timeout; without it some versions do not call us then.
        kwargs.setdefault("defaults", ApprovalOperator.REJECT)
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> None:
        """Compare the databases, and wait for the answer."""
        self.body = self.call_method(hook).compare().markdown()
        self.log.info("%s", self.body)
        ApprovalOperator.execute(self, context)  # which raises, to wait for the answer

    def execute_complete(self, context: "Context", event: Mapping[str, Any]) -> Any:
        """Go on, or drop the restored database.

        :param event: the answer, as Airflow's ApprovalOperator gets it.
        """
        # An event may also say that Airflow failed to wait, or have an answer that it refuses. Then
        # nobody has rejected the swap, and the task can be tried again.
        chosen = [] if "error" in event else event["chosen_options"]
        self.validate_chosen_options(chosen)
        if self.REJECT in chosen:
            self._with_hook(lambda hook: hook.drop_temp(self.temp_database), context)
            if event.get("timedout"):
                raise AirflowFailException(
                    f"nobody approved the swap in time: database {self.temp_database!r} is dropped"
                )
        return ApprovalOperator.execute_complete(self, context, dict(event))
