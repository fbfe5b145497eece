"""Restore a dump or a local database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneRestoreOperator(PgCloneBaseOperator):
    """Restore into a temporary database, swap it in, and return the key that was restored.

    With ``swap=False`` it stops before the swap and pushes the XCom ``temp_database``, for the
    tasks that work on that database and for :class:`PgCloneSwapOperator`.

    :param key: a dump key, a prefix (its newest dump), or a local key such as ``:pre``.
    :param database: the database to restore over; by default the connection's.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param reversible: whether to keep the database before and after as ``:pre`` and ``:post``.
    :param swap: whether to swap in; otherwise the restored database waits for its swap.
    :param no_owner: whether restored objects belong to the connection's user.
    :param no_acl: whether rights are left out.
    :param jobs: how many sessions load and analyze at once.
    :param maintenance_work_mem: of each of these, for index builds, such as ``512MB``.
    :param publications: whether publications are restored.
    :param checksums: whether the rows are compared with the checksums of the dump.
    :param check_sql: queries that must give true on the restored database before its swap.
    :param require_verified: whether only a dump is restored that was verified.
    :param require_masked: whether only a dump is restored that is masked.
    :param wait_seconds: how long to wait for another restore of the database.
    :param maintenance_database: where to connect while databases are created and renamed.
    :param pg_bin_dir: the folder of PostgreSQL's programs.
    """

    _restore_options: Sequence[str] = (
        *("reversible", "swap", "no_owner", "no_acl", "jobs", "maintenance_work_mem"),
        *("publications", "checksums", "check_sql", "require_verified", "require_masked"),
        "wait_seconds",
    )
    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        *("key", "database", "storage_location", "storage_conn_id"),
        *_restore_options,
        *("maintenance_database", "pg_bin_dir"),
    )

    def __init__(
        self,
        *,
        key: "str | XComArg",
        database: str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        reversible: bool | str | None = None,
        swap: bool | str | None = None,
        no_owner: bool | str | None = None,
        no_acl: bool | str | None = None,
        jobs: int | str | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | str | None = None,
        checksums: bool | str | None = None,
        check_sql: str | Sequence[str] | None = None,
        require_verified: bool | str | None = None,
        require_masked: bool | str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        pg_bin_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.key: Any = key  # rendered to a text before it is used
        self.database = database
        self.storage_location = storage_location
        self.storage_conn_id = storage_conn_id
        self.reversible = reversible
        self.swap = swap
        self.no_owner = no_owner
        self.no_acl = no_acl
        self.jobs = jobs
        self.maintenance_work_mem = maintenance_work_mem
        self.publications = publications
        self.checksums = checksums
        self.check_sql = check_sql
        self.require_verified = require_verified
        self.require_masked = require_masked
        self.wait_seconds = wait_seconds
        self.maintenance_database = maintenance_database
        self.pg_bin_dir = pg_bin_dir

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        instance = context["ti"]
        maker = f"{instance.dag_id}/{instance.task_id}/{instance.map_index}"
        options = self.given(*self._restore_options)
        key = hook.restore(self.key, maker=maker, run=instance.run_id, **options)
        if hook.temp_database is not None:
            instance.xcom_push(key="temp_database", value=hook.temp_database)
        return key
