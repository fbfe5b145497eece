"""Dump a database."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_provider_pgclone.assets import DUMP_KEY
from airflow_provider_pgclone.operators.base import PgCloneBaseOperator
from airflow_provider_pgclone.plugins.links import DumpLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneDumpOperator(PgCloneBaseOperator):
    """Dump a database to storage, and return the dump key.

    The event of each Asset in ``outlets`` also gets the key, as ``extra["dump_key"]``.

    :param database: the database to dump, to restore over or to copy. Default: the connection's.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param instance: the first part of the dump key: the installation that the database belongs to.
        Default: the name of the connection.
    :param exclude: tables whose rows are left out, as patterns of ``pg_dump --exclude-table-data``;
        the partitions of a partitioned table are left out with it. Default: none.
    :param schemas: the only schemas to read, as patterns of ``pg_dump --schema``. Default: all.
    :param exclude_schemas: schemas to leave out, as patterns of ``pg_dump --exclude-schema``.
        Default: none.
    :param pg_dump_args: more pg_dump options, such as ``--no-comments``; an option and its value
        are one item. Default: none.
    :param masks: the rules by which personal data is masked: ``{table pattern: {column: rule}}``,
        or the path of a YAML or JSON file that contains them; docs/reference/masking.md describes
        the rules. Default: none.
    :param rows: which rows are read: ``{table pattern: SQL condition}``, or the path of a YAML or
        JSON file that contains the conditions. Default: all.
    :param follow_fks: whether rows that refer to rows left out by ``rows`` are left out too.
        Default: False.
    :param policy: which columns make a dump fail before it starts: ``classified`` means all that
        are neither masked nor declared safe; ``suspects`` means those of them that look personal.
        Default: none.
    :param keep: columns that are declared safe, as patterns: ``schema.table.column``,
        ``table.column`` or ``column``. Default: none.
    :param mask_key: the secret that makes masked values the same in every dump; it has at least 16
        characters. Default: none.
    :param mask_key_conn_id: the Airflow connection whose password is the mask key. Default: none.
    :param mask_without_tls: whether what is derived from the mask key may cross a network without
        TLS; otherwise masking with a key needs TLS to every host but this machine. Default: False.
    :param trusted_owners: roles whose functions may run with the rights of the connection while
        their tables are read; superusers and the connection's user are trusted without it. Default:
        none.
    :param signing_key: the secret that signs dumps, and by which ``require_signed`` knows them; it
        has at least 16 characters. Default: none.
    :param signing_key_conn_id: the Airflow connection whose password is the signing key. Default:
        none.
    :param jobs: how many sessions work in parallel to read the tables of a dump, or to load and
        analyze a restored database. Default: the worker's cores, from 2 to 4.
    :param compression_level: the zstd compression level of a dump, from 1 to 19; with pg_dump 15
        and older, dumps are compressed by gzip, without this option. Default: 1.
    :param checksums: whether a dump records a checksum of each table's rows, and a restore compares
        the checksums; otherwise the rows are counted. Default: False.
    :param pg_bin_dir: the folder of pg_dump and pg_restore; ``{major}`` in it stands for each major
        version. Default: PATH, then the folders of the usual packages.
    """

    verb = "dump"
    operator_extra_links = (DumpLink(),)

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
        mask_without_tls: bool | str | None = None,
        trusted_owners: Sequence[str] | str | None = None,
        signing_key: str | None = None,
        signing_key_conn_id: str | None = None,
        jobs: int | str | None = None,
        compression_level: int | str | None = None,
        checksums: bool | str | None = None,
        pg_bin_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        instance = context["ti"]
        made_by = {"dag": instance.dag_id, "task": instance.task_id, "run": instance.run_id}
        if instance.map_index is not None and instance.map_index >= 0:
            made_by["map_index"] = str(instance.map_index)
        key: str = self.call_method(hook, made_by=made_by)
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra[DUMP_KEY] = key
        return key
