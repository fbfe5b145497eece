"""Restore a dump or a local database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator
from airflow_provider_pgclone.plugins.links import DumpLink

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneRestoreOperator(PgCloneBaseOperator):
    """Restore into a temporary database, swap it in, and return the key that was restored.

    With ``swap=False`` it stops before the swap and pushes the XCom ``temp_database``, for the
    tasks that work on that database and for :class:`PgCloneSwapOperator`.

    :param key: a dump key, a prefix (its newest dump), or a local key such as ``:pre``.
    :param database: the database to dump, to restore over or to copy. Default: the connection's.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param reversible: whether a restore keeps the previous database as ``:pre``, and a copy of the
        restored database as ``:post``. Default: False.
    :param swap: whether a restore swaps the restored database in; otherwise that database waits for
        its swap. Default: True.
    :param restore_over: the only databases that may be replaced or made, as patterns such as
        ``shop_staging*`` in the syntax of Python's fnmatch; if several sources set it, each must
        allow the database. Default: all.
    :param create_target: whether a restore, a swap or a copy by ``stream`` makes its target if no
        database has that name; otherwise it is refused, as a wrong name would be. A swap makes none
        either if its restore may not. Default: True.
    :param no_owner: whether restored objects belong to the connection's user instead of their
        owners. Default: on, unless the server has all owners and the user may act for them.
    :param no_acl: whether privileges on restored objects are left out; ``false`` fails where one of
        them cannot be restored. Default: only those of roles that the server lacks, and those that
        the user may not restore.
    :param jobs: how many sessions work in parallel to read the tables of a dump, or to load and
        analyze a restored database. Default: the worker's cores, from 2 to 4.
    :param maintenance_work_mem: the memory that each session may use to build an index, such as
        ``512MB``. Default: a quarter of shared_buffers among all sessions, at most 1 GB each; the
        server's if that is more.
    :param publications: whether publications are restored; subscriptions never are. Default: False.
    :param analyze: whether the tables are analyzed, so that the query planner knows them; one that
        cannot be analyzed is named in a warning. Default: True.
    :param checksums: whether a dump records a checksum of each table's rows, and a restore compares
        the checksums; otherwise the rows are counted. Default: False.
    :param check_sql: a query, or a list of queries, that must return true in the restored database
        before it is swapped in. Default: none.
    :param require_verified: whether to restore only dumps that a verification found intact.
        Default: False.
    :param require_masked: whether only masked databases are made: restores and drills take masked
        dumps alone, and copies go by ``stream``, with masks; if one source requires it, no other
        can lift it. Default: False.
    :param require_signed: whether to take only dumps that the signing key signed, under the key
        that they have; if one source requires it, no other can lift it. Default: False.
    :param signing_key: the secret that signs dumps, and by which ``require_signed`` knows them; it
        has at least 16 characters. Default: none.
    :param signing_key_conn_id: the Airflow connection whose password is the signing key. Default:
        none.
    :param wait_seconds: how many seconds to wait while another restore, swap or copy into the same
        database runs, or a dump of a database that the server is to clone or to replace. Default:
        0.0.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    :param pg_bin_dir: the folder of pg_dump and pg_restore; ``{major}`` in it stands for each major
        version. Default: PATH, then the folders of the usual packages.
    """

    verb = "restore"
    subjects = ("key",)
    operator_extra_links = (DumpLink(),)

    def __init__(
        self,
        *,
        key: "str | XComArg",
        database: str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        reversible: bool | str | None = None,
        swap: bool | str | None = None,
        restore_over: Sequence[str] | str | None = None,
        create_target: bool | str | None = None,
        no_owner: bool | str | None = None,
        no_acl: bool | str | None = None,
        jobs: int | str | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | str | None = None,
        analyze: bool | str | None = None,
        checksums: bool | str | None = None,
        check_sql: str | Sequence[str] | None = None,
        require_verified: bool | str | None = None,
        require_masked: bool | str | None = None,
        require_signed: bool | str | None = None,
        signing_key: str | None = None,
        signing_key_conn_id: str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        pg_bin_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        instance = context["ti"]
        maker = f"{instance.dag_id}/{instance.task_id}/{instance.map_index}"
        # When a task is cleared, its run stays the same. Airflow then allows as many tries as were
        # made, and the retries: the difference tells this series of tries from the one before.
        series = instance.max_tries - (self.retries or 0)
        run = f"{instance.run_id}/{series}"
        key: str = self.call_method(hook, maker=maker, run=run)
        if hook.temp_database is not None:
            instance.xcom_push(key="temp_database", value=hook.temp_database)
        return key
