"""Verify a dump."""

from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import XComArg


class PgCloneVerifyOperator(PgCloneBaseOperator):
    """Verify a dump, record the result beside it, and return its key.

    Level ``archive`` checks every byte and needs no database. ``restore`` also restores into a
    database of its own on the connection's server, compares it and drops it. The task fails if the
    dump is not intact.

    :param key: a dump key or a prefix (its newest dump).
    :param level: how to verify: ``archive`` checks every byte; ``restore`` also restores the dump
        into a database of its own, which is dropped afterwards. Default: archive.
    :param record: whether a verification records its result beside the dump. Default: True.
    :param require_masked: whether only masked databases are made: restores and drills take masked
        dumps alone, and copies go by ``stream``, with masks; if one source requires it, no other
        can lift it. Default: False.
    :param require_signed: whether to take only dumps that the signing key signed, under the key
        that they have; if one source requires it, no other can lift it. Default: False.
    :param signing_key: the secret that signs dumps, and by which ``require_signed`` knows them; it
        has at least 16 characters. Default: none.
    :param signing_key_conn_id: the Airflow connection whose password is the signing key. Default:
        none.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param no_owner: whether restored objects belong to the connection's user instead of their
        owners. Default: on, unless the server has all owners and the user may act for them.
    :param no_acl: whether privileges on restored objects are left out; ``false`` fails where one of
        them cannot be restored. Default: only those of roles that the server lacks, and those that
        the user may not restore.
    :param publications: whether publications are restored; subscriptions never are. Default: False.
    :param jobs: how many sessions work in parallel to read the tables of a dump, or to load and
        analyze a restored database. Default: the worker's cores, from 2 to 4.
    :param maintenance_work_mem: the memory that each session may use to build an index, such as
        ``512MB``. Default: a quarter of shared_buffers among all sessions, at most 1 GB each; the
        server's if that is more.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    :param pg_bin_dir: the folder of pg_dump and pg_restore; ``{major}`` in it stands for each major
        version. Default: PATH, then the folders of the usual packages.
    """

    verb = "verify"
    subjects = ("key",)

    def __init__(
        self,
        *,
        key: "str | XComArg",
        level: str | None = None,
        record: bool | str | None = None,
        require_masked: bool | str | None = None,
        require_signed: bool | str | None = None,
        signing_key: str | None = None,
        signing_key_conn_id: str | None = None,
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
        self._keep(locals())
