"""Swap a restored database in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneSwapOperator(PgCloneBaseOperator):
    """Put a database that a restore with ``swap=False`` left in its target's place.

    It returns the name of the target.

    :param temp_database: the XCom ``temp_database`` of the restore.
    :param wait_seconds: how long to wait for another restore of the target.
    :param maintenance_database: where to connect while databases are renamed.
    """

    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        "temp_database",
        "wait_seconds",
        "maintenance_database",
    )

    def __init__(
        self,
        *,
        temp_database: "str | XComArg",
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.temp_database: Any = temp_database  # rendered to a text before it is used
        self.wait_seconds = wait_seconds
        self.maintenance_database = maintenance_database

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        return hook.swap(self.temp_database, **self.given("wait_seconds"))
