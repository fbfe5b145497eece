"""Copy a database on its server."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneCopyOperator(PgCloneBaseOperator):
    """Copy a database to another name on its server, and return that name as a local key.

    Sessions on the database are ended, and new ones wait until the copy is made.

    :param to: a local key such as ``:before_migration``; not ``:pre`` or ``:post``.
    :param database: the database to copy; by default the connection's.
    :param strategy: ``wal_log`` or ``file_copy``; by default the server's.
    :param replace: whether a database of that name is replaced, once the copy is whole.
    :param wait_seconds: how long to wait for another copy to the same name.
    :param maintenance_database: where to connect while databases are created and renamed.
    """

    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        "to",
        "database",
        "strategy",
        "replace",
        "wait_seconds",
        "maintenance_database",
    )

    def __init__(
        self,
        *,
        to: "str | XComArg",
        database: str | None = None,
        strategy: str | None = None,
        replace: bool | str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to: Any = to  # rendered to a text before it is used
        self.database = database
        self.strategy = strategy
        self.replace = replace
        self.wait_seconds = wait_seconds
        self.maintenance_database = maintenance_database

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        return hook.copy(self.to, **self.given("strategy", "replace", "wait_seconds"))
