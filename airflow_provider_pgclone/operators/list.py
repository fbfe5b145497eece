"""List dumps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneListOperator(PgCloneBaseOperator):
    """Return the dump keys under a prefix, the newest first.

    :param prefix: whole leading parts of a key; none means all dumps.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param limit: how many at the most; set it where there are many, since they all go into XCom.
    :param verified: whether to list only dumps that a verification has found whole.
    :param masked: whether to list only dumps that are masked.
    :param instances: whether to return the names of instances instead.
    :param databases: whether to return the names of databases instead.
    :param configs: whether to return the names of configurations instead.
    :param local: whether to return the local keys of the server's databases instead.
    :param all_files: whether to list files that are no dumps as well.
    :param maintenance_database: where to connect for the local keys.
    """

    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        "prefix",
        "storage_location",
        "storage_conn_id",
        "limit",
        "verified",
        "masked",
        "instances",
        "databases",
        "configs",
        "local",
        "all_files",
        "maintenance_database",
    )

    def __init__(
        self,
        *,
        prefix: "str | XComArg" = "",
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        limit: int | str | None = None,
        verified: bool | str | None = None,
        masked: bool | str | None = None,
        instances: bool | str | None = None,
        databases: bool | str | None = None,
        configs: bool | str | None = None,
        local: bool | str | None = None,
        all_files: bool | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prefix: Any = prefix  # rendered to a text before it is used
        self.storage_location = storage_location
        self.storage_conn_id = storage_conn_id
        self.limit = limit
        self.verified = verified
        self.masked = masked
        self.instances = instances
        self.databases = databases
        self.configs = configs
        self.local = local
        self.all_files = all_files
        self.maintenance_database = maintenance_database

    def call(self, hook: "PgCloneHook", context: "Context") -> list[str]:
        dumps = ("limit", "verified", "masked", "all_files")
        names = ("instances", "databases", "configs", "local")
        found: list[Any] = hook.ls(self.prefix, **self.given(*dumps, *names))
        keys = [item if isinstance(item, str) else item.key for item in found]
        self.log.info("%s keys: %s", len(keys), ", ".join(keys))
        return keys
