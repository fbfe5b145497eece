"""Dump a database."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneDumpOperator(PgCloneBaseOperator):
    """Dump a database to storage and return the dump key.

    The key also goes into the event of each Asset in ``outlets``, as ``extra["dump_key"]``.

    :param database: the database; by default the connection's.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param instance: the first part of the key; by default the connection's name.
    :param exclude: tables whose data is left out, as patterns.
    :param schemas: the only schemas to dump, as patterns.
    :param exclude_schemas: schemas to leave out, as patterns.
    :param pg_dump_args: more pg_dump options.
    :param masks: what is read in the place of personal data: rules by table and column.
    :param rows: which rows are read: SQL conditions by table.
    :param follow_fks: whether rows go whose foreign keys lead to rows that are left out.
    :param policy: ``classified`` or ``suspects``: what fails before anything is read.
    :param keep: columns that are declared safe, as patterns.
    :param mask_key: the secret by which masks are the same each time.
    :param mask_key_conn_id: the connection whose password it is.
    :param jobs: how many sessions read large tables at once.
    :param compression_level: of zstd, from 1 to 19.
    :param checksums: whether a checksum of each table's rows is noted, for a restore to compare.
    :param pg_bin_dir: the folder of PostgreSQL's programs.
    """

    template_fields: Sequence[str] = (
        *PgCloneBaseOperator.template_fields,
        "database",
        "storage_location",
        "storage_conn_id",
        "instance",
        "exclude",
        "schemas",
        "exclude_schemas",
        "pg_dump_args",
        "masks",
        "rows",
        "follow_fks",
        "policy",
        "keep",
        "mask_key",
        "mask_key_conn_id",
        "jobs",
        "compression_level",
        "checksums",
        "pg_bin_dir",
    )

    secret_fields = ("mask_key",)

    def __init__(
        self,
        *,
        database: str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        instance: str | None = None,
        exclude: Sequence[str] | str | None = None,
        schemas: Sequence[str] | str | None = None,
        exclude_schemas: Sequence[str] | str | None = None,
        pg_dump_args: Sequence[str] | str | None = None,
        masks: Mapping[str, Any] | str | None = None,
        rows: Mapping[str, str] | str | None = None,
        follow_fks: bool | str | None = None,
        policy: str | None = None,
        keep: Sequence[str] | str | None = None,
        mask_key: str | None = None,
        mask_key_conn_id: str | None = None,
        jobs: int | str | None = None,
        compression_level: int | str | None = None,
        checksums: bool | str | None = None,
        pg_bin_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.storage_location = storage_location
        self.storage_conn_id = storage_conn_id
        self.instance = instance
        self.exclude = exclude
        self.schemas = schemas
        self.exclude_schemas = exclude_schemas
        self.pg_dump_args = pg_dump_args
        self.masks = masks
        self.rows = rows
        self.follow_fks = follow_fks
        self.policy = policy
        self.keep = keep
        self.mask_key = mask_key
        self.mask_key_conn_id = mask_key_conn_id
        self.jobs = jobs
        self.compression_level = compression_level
        self.checksums = checksums
        self.pg_bin_dir = pg_bin_dir

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        content = ("instance", "exclude", "schemas", "exclude_schemas", "pg_dump_args")
        masking = ("masks", "rows", "follow_fks", "policy", "keep", "mask_key", "mask_key_conn_id")
        how = ("jobs", "compression_level", "checksums")
        key = hook.dump(**self.given(*content, *masking, *how))
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra["dump_key"] = key
        return key
