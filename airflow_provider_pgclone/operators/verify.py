"""Verify a dump."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneVerifyOperator(PgCloneBaseOperator):
    """Verify a dump, note beside it what was found, and return its key.

    Level ``archive`` checks every byte and needs no database. ``restore`` also restores into a
    database of its own on the connection's server, compares it and drops it; the options from
    ``no_owner`` to ``pg_bin_dir`` are for it. The task fails where the dump is not whole.

    :param key: a dump key or a prefix (its newest dump).
    :param level: ``archive`` or ``restore``.
    :param record: whether the finding is noted, for ``ls``, ``prune`` and ``restore``.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param no_owner: whether restored objects belong to the connection's user.
    :param no_acl: whether rights are left out.
    :param publications: whether publications are restored.
    :param jobs: how many sessions load at once.
    :param maintenance_work_mem: of each of these, for index builds, such as ``512MB``.
    :param maintenance_database: where to connect while databases are created.
    :param pg_bin_dir: the folder of PostgreSQL's programs.
    """

    _verify_options: Sequence[str] = (
        *("level", "record", "no_owner", "no_acl", "publications", "jobs", "maintenance_work_mem"),
    )
    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        *("key", "storage_location", "storage_conn_id"),
        *_verify_options,
        *("maintenance_database", "pg_bin_dir"),
    )

    def __init__(
        self,
        *,
        key: "str | XComArg",
        level: str | None = None,
        record: bool | str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        no_owner: bool | str | None = None,
        no_acl: bool | str | None = None,
        publications: bool | str | None = None,
        jobs: int | str | None = None,
        maintenance_work_mem: str | None = None,
        maintenance_database: str | None = None,
        pg_bin_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.key: Any = key  # rendered to a text before it is used
        self.level = level
        self.record = record
        self.storage_location = storage_location
        self.storage_conn_id = storage_conn_id
        self.no_owner = no_owner
        self.no_acl = no_acl
        self.publications = publications
        self.jobs = jobs
        self.maintenance_work_mem = maintenance_work_mem
        self.maintenance_database = maintenance_database
        self.pg_bin_dir = pg_bin_dir

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        return hook.verify(self.key, **self.given(*self._verify_options))
