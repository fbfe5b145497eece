"""The hook: Airflow connections and options in, calls of the core out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.core.repository import DumpKey
from airflow_provider_pgclone.hooks.archives import ArchiveVerbs
from airflow_provider_pgclone.hooks.base import check_text
from airflow_provider_pgclone.hooks.copying import copy_database
from airflow_provider_pgclone.hooks.masking import MaskingVerbs
from airflow_provider_pgclone.hooks.probing import probe_call


class PgCloneHook(ArchiveVerbs, MaskingVerbs):
    """Dump, list, restore, swap and copy PostgreSQL databases.

    Every argument may be left out; the README has the table of all options.
    """

    def dump(
        self,
        *,
        instance: str | None = None,
        exclude: Sequence[str] | None = None,
        schemas: Sequence[str] | None = None,
        exclude_schemas: Sequence[str] | None = None,
        pg_dump_args: Sequence[str] | None = None,
        masks: Mapping[str, Any] | str | None = None,
        rows: Mapping[str, str] | str | None = None,
        follow_fks: bool | None = None,
        policy: str | None = None,
        keep: Sequence[str] | None = None,
        mask_key: str | None = None,
        mask_key_conn_id: str | None = None,
        jobs: int | None = None,
        compression_level: int | None = None,
        checksums: bool | None = None,
    ) -> str:
        """Dump the database to storage; a dump that fails is never listed.

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
        :param checksums: whether a checksum of the rows of each table is noted, for a restore.
        :return: the key of the dump.
        """
        from airflow_provider_pgclone.core.dump import DumpOptions, dump

        call = self._resolve(
            "dump",
            instance=instance,
            exclude=exclude,
            schemas=schemas,
            exclude_schemas=exclude_schemas,
            pg_dump_args=pg_dump_args,
            masks=masks,
            rows=rows,
            follow_fks=follow_fks,
            policy=policy,
            keep=keep,
            mask_key=mask_key,
            mask_key_conn_id=mask_key_conn_id,
            jobs=jobs,
            compression_level=compression_level,
            checksums=checksums,
        )
        key = DumpKey.new(
            instance=call["instance"] or call["postgres_conn_id"],
            database=call.database.name,
            config=call.config_of_key,
            created_at=datetime.now(UTC),
        )
        dump(
            call.database,
            call.storage(),
            key,
            DumpOptions(
                selection=call.selection(pg_dump_args=call["pg_dump_args"]),
                masking=call.masking(),
                jobs=call["jobs"],
                compression_level=call["compression_level"],
                checksums=call["checksums"],
                pg_bin_dir=call["pg_bin_dir"],
            ),
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )
        return str(key)

    def restore(
        self,
        key: str,
        *,
        reversible: bool | None = None,
        swap: bool | None = None,
        no_owner: bool | None = None,
        no_acl: bool | None = None,
        jobs: int | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | None = None,
        checksums: bool | None = None,
        check_sql: str | Sequence[str] | None = None,
        require_verified: bool | None = None,
        require_masked: bool | None = None,
        wait_seconds: float | None = None,
        maker: str = "",
        run: str = "",
    ) -> str:
        """Restore into a temporary database and swap it in for the hook's database.

        With ``swap=False`` the attribute ``temp_database`` names the database that waits for
        :meth:`swap`; otherwise it is ``None``.

        :param key: a dump key, a prefix (its newest dump), or a local key such as ``:pre``.
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
        :param maker: who restores, such as a task; what it left at an earlier time is dropped.
        :param run: which of its runs; a retry keeps the ``:pre`` of the first attempt.
        :return: the key that was restored.
        """
        from airflow_provider_pgclone.core.restore import RestoreOptions, restore

        check_text("key", key)
        call = self._resolve(
            "restore",
            reversible=reversible,
            swap=swap,
            no_owner=no_owner,
            no_acl=no_acl,
            jobs=jobs,
            maintenance_work_mem=maintenance_work_mem,
            publications=publications,
            checksums=checksums,
            check_sql=check_sql,
            require_verified=require_verified,
            require_masked=require_masked,
            wait_seconds=wait_seconds,
        )
        checks = ("checksums", "check_sql", "require_verified", "require_masked")
        names = ("reversible", "swap", "wait_seconds", *checks)
        restored = restore(
            call.database,
            call.maintenance,
            call.storage,
            RestoreOptions(
                key=key,
                load=call.load_options(),
                maker=maker,
                run=run,
                **{name: call[name] for name in names},
            ),
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )
        self.temp_database = restored.temp_database
        return restored.key

    def swap(self, temp_database: str, *, wait_seconds: float | None = None) -> str:
        """Swap in a database that ``restore(swap=False)`` left.

        :param temp_database: its name.
        :param wait_seconds: how long to wait for another restore of the target.
        :return: the name of the target.
        """
        from airflow_provider_pgclone.core.swap import swap

        check_text("temp_database", temp_database)
        call = self._resolve("swap", wait_seconds=wait_seconds)
        return swap(
            call.maintenance,
            temp_database,
            wait_seconds=call["wait_seconds"],
            cancellation=self._cancellation,
        )

    def copy(
        self,
        to: str | None = None,
        *,
        target: str | None = None,
        target_postgres_conn_id: str | None = None,
        method: str | None = None,
        strategy: str | None = None,
        replace: bool | None = None,
        exclude: Sequence[str] | None = None,
        schemas: Sequence[str] | None = None,
        exclude_schemas: Sequence[str] | None = None,
        masks: Mapping[str, Any] | str | None = None,
        rows: Mapping[str, str] | str | None = None,
        follow_fks: bool | None = None,
        policy: str | None = None,
        keep: Sequence[str] | None = None,
        mask_key: str | None = None,
        mask_key_conn_id: str | None = None,
        no_owner: bool | None = None,
        no_acl: bool | None = None,
        jobs: int | None = None,
        maintenance_work_mem: str | None = None,
        publications: bool | None = None,
        require_masked: bool | None = None,
        wait_seconds: float | None = None,
    ) -> str:
        """Copy the database, on its own server or to another.

        By ``template`` the server copies the files, and sessions on the database are ended. By
        ``stream`` they go on; the options from ``exclude`` to ``publications`` are for it.

        :param to: a local key such as ``:before_migration``; or
        :param target: the name of the database that the copy becomes.
        :param target_postgres_conn_id: the connection of its server; by default the source's.
        :param method: ``template`` or ``stream``.
        :param strategy: ``wal_log`` or ``file_copy``, of ``template``.
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
        :param wait_seconds: how long to wait for another copy to the same name.
        :return: the local key, or the target.
        """
        arguments = {
            "target_postgres_conn_id": target_postgres_conn_id,
            "method": method,
            "strategy": strategy,
            "replace": replace,
            "exclude": exclude,
            "schemas": schemas,
            "exclude_schemas": exclude_schemas,
            "masks": masks,
            "rows": rows,
            "follow_fks": follow_fks,
            "policy": policy,
            "keep": keep,
            "mask_key": mask_key,
            "mask_key_conn_id": mask_key_conn_id,
            "no_owner": no_owner,
            "no_acl": no_acl,
            "jobs": jobs,
            "maintenance_work_mem": maintenance_work_mem,
            "publications": publications,
            "require_masked": require_masked,
            "wait_seconds": wait_seconds,
        }
        for name, value in (("to", to), ("target", target)):
            if value is not None:
                check_text(name, value)
        key = copy_database(
            to,
            target,
            {**self._arguments, **arguments},
            self.config,
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )
        return to or key.name

    def test_connection(self) -> tuple[bool, str]:
        """Try out the server and the storage, and raise nothing where they fail.

        Nothing is made on the server. A small object is written to the storage, read and deleted.

        :return: whether all is well, and what was found; else what is wrong and what to do.
        """
        from airflow_provider_pgclone.core.probe import report

        try:
            call = self._resolve("test_connection")
        except PgCloneError as error:
            return False, str(error)
        return report(probe_call(call, self._cancellation))

    def drop_temp(self, temp_database: str) -> None:
        """Drop a database that ``restore(swap=False)`` left and that is not to be swapped in.

        :param temp_database: its name; no error where it does not exist.
        """
        from airflow_provider_pgclone.core.restore import drop_temp

        check_text("temp_database", temp_database)
        call = self._resolve("drop_temp")
        drop_temp(call.maintenance, temp_database, cancellation=self._cancellation)
