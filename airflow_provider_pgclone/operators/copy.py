"""Copy a database on its server or to another."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneCopyOperator(PgCloneBaseOperator):
    """Copy a database, and return the local key or the name of the copy.

    By ``template`` the server copies its files: sessions on the database are ended, and new ones
    wait until the copy is made. By ``stream`` its sessions go on, and the copy may be on another
    server; the options from ``exclude`` to ``pg_bin_dir`` are for it.

    :param to: a local key such as ``:before_migration``, not ``:pre`` or ``:post``; or
    :param target: the name of the database that the copy becomes; by default that of
        ``target_postgres_conn_id``.
    :param target_postgres_conn_id: the connection of its server; by default the source's.
    :param method: ``template`` or ``stream``; by default ``stream`` to another connection.
    :param database: the database to copy; by default the connection's.
    :param strategy: ``wal_log`` or ``file_copy``, of ``template``; by default the server's.
    :param replace: whether a database of that name is replaced, once the copy is whole.
    :param exclude: tables whose rows are left out.
    :param schemas: the only schemas to copy.
    :param exclude_schemas: schemas to leave out.
    :param masks: what is read in the place of personal data: rules by table and column.
    :param rows: which rows are read: SQL conditions by table.
    :param follow_fks: whether rows go whose foreign keys lead to rows that are left out.
    :param policy: ``classified`` or ``suspects``: what fails before anything is read.
    :param keep: columns that are declared safe, as patterns.
    :param mask_key: the secret by which masks are the same each time.
    :param mask_key_conn_id: the connection whose password it is.
    :param no_owner: whether copied objects belong to the connection's user.
    :param no_acl: whether rights are left out.
    :param jobs: how many sessions copy at once.
    :param maintenance_work_mem: of each of these, for index builds, such as ``512MB``.
    :param publications: whether publications are copied.
    :param require_masked: whether only a masked copy is made.
    :param pg_bin_dir: the folder of PostgreSQL's programs.
    :param wait_seconds: how long to wait for another copy to the same name.
    :param maintenance_database: where to connect while databases are created and renamed.
    """

    _copy_options: Sequence[str] = (
        *("target_postgres_conn_id", "method", "strategy", "replace", "exclude", "schemas"),
        *("exclude_schemas", "masks", "rows", "follow_fks", "policy", "keep", "mask_key"),
        *("mask_key_conn_id", "no_owner", "no_acl", "jobs", "maintenance_work_mem", "publications"),
        *("require_masked", "wait_seconds"),
    )
    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        *("to", "target", "database", "pg_bin_dir", "maintenance_database"),
        *_copy_options,
    )

    secret_fields = ("mask_key",)

    def __init__(
        self,
        *,
        to: "str | XComArg | None" = None,
        target: "str | XComArg | None" = None,
        target_postgres_conn_id: str | None = None,
        method: str | None = None,
        database: str | None = None,
        strategy: str | None = None,
        replace: bool | str | None = None,
        exclude: Sequence[str] | str | None = None,
        schemas: Sequence[str] | str | None = None,
        exclude_schemas: Sequence[str] | str | None = None,
        masks: Mapping[str, Any] | str | None = None,
        rows: Mapping[str, str] | str | None = None,
        follow_fks: bool | str | None = None,
        policy: str | None = None,
        keep: Sequence[str] | str | None = None,
        mask_key: str | None = None,
        mask_key_conn_id: str | None = None,
        no_owner: bool | str | None = None,
        no_acl: bool | str | None = None,
        jobs: int | str | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | str | None = None,
        require_masked: bool | str | None = None,
        pg_bin_dir: str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.to: Any = to  # rendered to a text before it is used
        self.target: Any = target
        self.target_postgres_conn_id = target_postgres_conn_id
        self.method = method
        self.database = database
        self.strategy = strategy
        self.replace = replace
        self.exclude = exclude
        self.schemas = schemas
        self.exclude_schemas = exclude_schemas
        self.masks = masks
        self.rows = rows
        self.follow_fks = follow_fks
        self.policy = policy
        self.keep = keep
        self.mask_key = mask_key
        self.mask_key_conn_id = mask_key_conn_id
        self.no_owner = no_owner
        self.no_acl = no_acl
        self.jobs = jobs
        self.maintenance_work_mem = maintenance_work_mem
        self.publications = publications
        self.require_masked = require_masked
        self.pg_bin_dir = pg_bin_dir
        self.wait_seconds = wait_seconds
        self.maintenance_database = maintenance_database

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        return hook.copy(self.to, target=self.target, **self.given(*self._copy_options))
