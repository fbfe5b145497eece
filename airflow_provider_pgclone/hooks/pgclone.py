"""The hook: Airflow connections and options in, calls of the core out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, overload

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.dump_key import DumpKey
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.options import Verb
from airflow_provider_pgclone.hooks.calls import Call, resolve_call
from airflow_provider_pgclone.hooks.copying import copy_database

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.listing import Dump
    from airflow_provider_pgclone.core.progress import Progress, ProgressCallback


class PgCloneHook(BaseHook):
    """Dump, list, restore, swap and copy PostgreSQL databases.

    Every argument may be left out: then the named configuration gives it, the extra ``pgclone`` of
    the connection, the section ``[pgclone]`` of Airflow's config, or the default. The README has
    the table of all options.

    :param postgres_conn_id: the connection of the server.
    :param storage_location: ``s3://bucket/prefix/``, ``file:///folder/`` or a folder's path.
    :param storage_conn_id: the AWS connection of ``s3://`` locations.
    :param database: the database, where it is not the connection's.
    :param config: the name of a configuration.
    :param maintenance_database: where to connect while databases are created and renamed.
    :param pg_bin_dir: the folder of PostgreSQL's programs.
    :param progress_callback: called every few seconds with a
        :class:`~airflow_provider_pgclone.core.progress.Progress`; by default it goes to the log. It
        may be called in any thread, and what it raises ends the call.
    """

    conn_name_attr = "postgres_conn_id"
    default_conn_name = "postgres_default"
    hook_name = "PostgreSQL clone"

    def __init__(
        self,
        postgres_conn_id: str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        *,
        database: str | None = None,
        config: str | None = None,
        maintenance_database: str | None = None,
        pg_bin_dir: str | None = None,
        progress_callback: "ProgressCallback | None" = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.temp_database: str | None = None
        self._arguments = {
            "postgres_conn_id": postgres_conn_id,
            "storage_location": storage_location,
            "storage_conn_id": storage_conn_id,
            "database": database,
            "maintenance_database": maintenance_database,
            "pg_bin_dir": pg_bin_dir,
        }
        self._on_progress = progress_callback or self._log_progress
        self._cancellation = Cancellation()

    def dump(
        self,
        *,
        instance: str | None = None,
        exclude: Sequence[str] | None = None,
        schemas: Sequence[str] | None = None,
        exclude_schemas: Sequence[str] | None = None,
        pg_dump_args: Sequence[str] | None = None,
        jobs: int | None = None,
        compression_level: int | None = None,
    ) -> str:
        """Dump the database to storage; a dump that fails is never listed.

        :param instance: the first part of the key; by default the connection's name.
        :param exclude: tables whose data is left out, as patterns.
        :param schemas: the only schemas to dump, as patterns.
        :param exclude_schemas: schemas to leave out, as patterns.
        :param pg_dump_args: more pg_dump options.
        :param jobs: how many sessions read large tables at once.
        :param compression_level: of zstd, from 1 to 19.
        :return: the key of the dump.
        """
        from airflow_provider_pgclone.core.dump import dump

        call = self._resolve(
            "dump",
            instance=instance,
            exclude=exclude,
            schemas=schemas,
            exclude_schemas=exclude_schemas,
            pg_dump_args=pg_dump_args,
            jobs=jobs,
            compression_level=compression_level,
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
            call.dump_content(pg_dump_args=call["pg_dump_args"]),
            jobs=call["jobs"],
            compression_level=call["compression_level"],
            pg_bin_dir=call["pg_bin_dir"],
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )
        return str(key)

    @overload
    def ls(
        self, prefix: str = "", *, limit: int | None = None, all_files: bool | None = None
    ) -> "list[Dump]": ...

    @overload
    def ls(
        self,
        prefix: str = "",
        *,
        instances: bool | None = None,
        databases: bool | None = None,
        configs: bool | None = None,
        local: bool | None = None,
    ) -> list[str]: ...

    def ls(
        self,
        prefix: str = "",
        *,
        limit: int | None = None,
        all_files: bool | None = None,
        instances: bool | None = None,
        databases: bool | None = None,
        configs: bool | None = None,
        local: bool | None = None,
    ) -> "list[Dump] | list[str]":
        """Return the dumps under a prefix, the newest first.

        :param prefix: whole leading parts of a key; none means all dumps.
        :param limit: how many at the most; no more are asked for.
        :param all_files: whether to list files that are no dumps as well.
        :param instances: whether to return the names of instances instead.
        :param databases: whether to return the names of databases instead.
        :param configs: whether to return the names of configurations instead.
        :param local: whether to return the local keys of the server's databases instead.
        :return: dumps, each with ``key``, ``size_bytes`` and ``created_at``; or names.
        """
        from airflow_provider_pgclone.core import listing

        _check_text("prefix", prefix)
        call = self._resolve(
            "ls",
            limit=limit,
            all_files=all_files,
            instances=instances,
            databases=databases,
            configs=configs,
            local=local,
        )
        chosen = [name for name in (*listing.PARTS, "local", "all_files") if call[name]]
        if len(chosen) > 1:
            raise InvalidInputError(f"only one of {' and '.join(chosen)} can be listed")
        if call["local"]:
            return listing.list_local(call.maintenance, self._cancellation)
        storage = call.storage()
        for part in listing.PARTS:
            if call[part]:
                return listing.list_parts(storage, prefix, part)
        list_keys = listing.list_files if call["all_files"] else listing.list_dumps
        return list_keys(storage, prefix, limit=call["limit"])

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
        :param wait_seconds: how long to wait for another restore of the database.
        :param maker: who restores, such as a task; what it left at an earlier time is dropped.
        :param run: which of its runs; a retry keeps the ``:pre`` of the first attempt.
        :return: the key that was restored.
        """
        from airflow_provider_pgclone.core.restore import RestoreOptions, restore

        _check_text("key", key)
        call = self._resolve(
            "restore",
            reversible=reversible,
            swap=swap,
            no_owner=no_owner,
            no_acl=no_acl,
            jobs=jobs,
            maintenance_work_mem=maintenance_work_mem,
            wait_seconds=wait_seconds,
        )
        names = ("reversible", "swap", "wait_seconds")
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

        _check_text("temp_database", temp_database)
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
        no_owner: bool | None = None,
        no_acl: bool | None = None,
        jobs: int | None = None,
        maintenance_work_mem: str | None = None,
        wait_seconds: float | None = None,
    ) -> str:
        """Copy the database, on its own server or to another.

        By ``template`` the server copies the files, and sessions on the database are ended. By
        ``stream`` they go on; the options from ``exclude`` to ``maintenance_work_mem`` are for it.

        :param to: a local key such as ``:before_migration``; or
        :param target: the name of the database that the copy becomes.
        :param target_postgres_conn_id: the connection of its server; by default the source's.
        :param method: ``template`` or ``stream``.
        :param strategy: ``wal_log`` or ``file_copy``, of ``template``.
        :param replace: whether a database of that name is replaced, once the copy is whole.
        :param exclude: tables whose rows are left out.
        :param schemas: the only schemas to copy.
        :param exclude_schemas: schemas to leave out.
        :param no_owner: whether copied objects belong to the connection's user.
        :param no_acl: whether rights are left out.
        :param jobs: how many sessions copy at once.
        :param maintenance_work_mem: of each of these, for index builds, such as ``512MB``.
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
            "no_owner": no_owner,
            "no_acl": no_acl,
            "jobs": jobs,
            "maintenance_work_mem": maintenance_work_mem,
            "wait_seconds": wait_seconds,
        }
        for name, value in (("to", to), ("target", target)):
            if value is not None:
                _check_text(name, value)
        key = copy_database(
            to,
            target,
            {**self._arguments, **arguments},
            self.config,
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )
        return to or key.name

    def drop_temp(self, temp_database: str) -> None:
        """Drop a database that ``restore(swap=False)`` left and that is not to be swapped in.

        :param temp_database: its name; no error where it does not exist.
        """
        from airflow_provider_pgclone.core.restore import drop_temp

        _check_text("temp_database", temp_database)
        call = self._resolve("drop_temp")
        drop_temp(call.maintenance, temp_database, cancellation=self._cancellation)

    def inspect(self, key: str) -> dict[str, Any]:
        """Return the account of a dump, by a few small reads.

        :param key: a dump key or a prefix.
        :return: versions, the source, what was left out, and ``tables`` with their rows.
        """
        from airflow_provider_pgclone.core import verify
        from airflow_provider_pgclone.core.listing import find_dump

        _check_text("key", key)
        storage = self._resolve("ls").storage()
        trailer = verify.inspect(storage, find_dump(storage, key))
        rows = {f"{schema}.{name}": n for (schema, name), n in trailer.rows_of_tables.items()}
        return {**trailer.facts, "tables": rows}

    def verify(self, key: str) -> str:
        """Read a whole dump and check every byte of it, without a database.

        :param key: a dump key or a prefix.
        :return: the key of the dump, which is whole.
        """
        from airflow_provider_pgclone.core import verify
        from airflow_provider_pgclone.core.listing import find_dump

        _check_text("key", key)
        storage = self._resolve("ls").storage()
        dump = find_dump(storage, key)
        verify.verify(storage, dump, self._cancellation)
        return dump.key

    def cancel(self) -> None:
        """End what is running, from a signal handler or another thread; the call then raises."""
        self._cancellation.cancel()

    def raise_if_cancelled(self) -> None:
        """Raise where :meth:`cancel` came too late to end the call.

        :raises CancelledError: after :meth:`cancel`.
        """
        self._cancellation.check()

    def _resolve(self, verb: Verb, **arguments: Any) -> Call:
        return resolve_call(verb, self.config, {**self._arguments, **arguments})

    def _log_progress(self, progress: "Progress") -> None:
        self.log.info("%s", progress)


def _check_text(name: str, value: object) -> None:
    """Refuse what a template or a caller gave instead of a text."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is {value!r}", hint=f"Give {name} as a text.")
