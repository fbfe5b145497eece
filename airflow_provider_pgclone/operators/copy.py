"""Copy a database on its server or to another."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import XComArg


class PgCloneCopyOperator(PgCloneBaseOperator):
    """Copy a database, and return the local key or the name of the copy.

    By ``template`` the server copies its files: sessions on the database are ended, but for dumps
    of this package, and new ones wait until the copy is made. By ``stream`` its sessions go on, and
    the copy may be on another server; rows can be left out and masked.

    :param to: a local key such as ``:before_migration``, not ``:pre`` or ``:post``; or
    :param target: the name of the database that the copy becomes; by default that of
        ``target_postgres_conn_id``.
    :param target_postgres_conn_id: the Airflow connection of the server to copy to. Default: the
        source's.
    :param method: how to copy: with ``template`` the server copies its files and ends the sessions
        on the source; with ``stream`` the worker reads and writes, the sessions go on, and the
        target may be on another server. Default: ``stream`` to another connection, otherwise
        ``template``.
    :param database: the database to dump, to restore over or to copy. Default: the connection's.
    :param strategy: how the server copies by ``template``: ``wal_log``, or ``file_copy``, which
        clones files on PostgreSQL 18 if the file system can. Default: the server's.
    :param replace: whether a complete copy replaces an existing database of the same name. Default:
        True.
    :param restore_over: the only databases that may be replaced or made, as patterns such as
        ``shop_staging*`` in the syntax of Python's fnmatch; if several sources set it, each must
        allow the database. Default: all.
    :param create_target: whether a restore, a swap or a copy by ``stream`` makes its target if no
        database has that name; otherwise it is refused, as a wrong name would be. A swap makes none
        either if its restore may not. Default: True.
    :param exclude: tables whose rows are left out, as patterns of ``pg_dump --exclude-table-data``;
        the partitions of a partitioned table are left out with it. Default: none.
    :param schemas: the only schemas to read, as patterns of ``pg_dump --schema``. Default: all.
    :param exclude_schemas: schemas to leave out, as patterns of ``pg_dump --exclude-schema``.
        Default: none.
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
    :param require_masked: whether only masked databases are made: restores and drills take masked
        dumps alone, and copies go by ``stream``, with masks; if one source requires it, no other
        can lift it. Default: False.
    :param pg_bin_dir: the folder of pg_dump and pg_restore; ``{major}`` in it stands for each major
        version. Default: PATH, then the folders of the usual packages.
    :param wait_seconds: how many seconds to wait while another restore, swap or copy into the same
        database runs, or a dump of a database that the server is to clone or to replace. Default:
        0.0.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "copy"
    subjects = ("to", "target")

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
        restore_over: Sequence[str] | str | None = None,
        create_target: bool | str | None = None,
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
        mask_without_tls: bool | str | None = None,
        trusted_owners: Sequence[str] | str | None = None,
        no_owner: bool | str | None = None,
        no_acl: bool | str | None = None,
        jobs: int | str | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | str | None = None,
        analyze: bool | str | None = None,
        require_masked: bool | str | None = None,
        pg_bin_dir: str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
