"""The hook: Airflow connections and options in, calls of the core out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import CancelledError, PgCloneError
from airflow_provider_pgclone.core.meter import REPORT_SECONDS
from airflow_provider_pgclone.hooks.call import Call, check_texts, resolve_call
from airflow_provider_pgclone.hooks.choices import Choices, check_target_of
from airflow_provider_pgclone.hooks.copying import check_options, choose_key, copy_database
from airflow_provider_pgclone.hooks.pruning import prune_dumps
from airflow_provider_pgclone.hooks.waiting import WaitingDatabase
from airflow_provider_pgclone.hooks.watch import also_tell, new_watch
from airflow_provider_pgclone.options import (
    HOOK_ARGUMENTS,
    ChoiceArguments,
    CopyArguments,
    DumpArguments,
    DumpFilters,
    ListArguments,
    NameKinds,
    PruneArguments,
    ReadingArguments,
    RestoreArguments,
    SwapArguments,
    Verb,
    VerifyArguments,
)

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.current import CurrentDatabase
    from airflow_provider_pgclone.core.progress import ProgressCallback
    from airflow_provider_pgclone.core.prune import Pruned
    from airflow_provider_pgclone.core.repository import Archive, Dump, DumpDetails, DumpSummary
    from airflow_provider_pgclone.core.storage import Storage

NameKind = Literal["instances", "databases", "configs", "local"]


class PgCloneHook(BaseHook):
    """Dump, list, restore, swap, copy, verify and prune PostgreSQL databases.

    Every argument, of the hook and of its methods, may be left out. Its value then comes from the
    named configuration, what the section ``[pgclone]`` of Airflow's config gives the connection (or
    the connection's extra ``pgclone``), the section itself, or the default. The options of a method
    are the fields of the TypedDict that it unpacks; the reference has the table of all options.

    :param postgres_conn_id: the Airflow connection of the PostgreSQL server. Default:
        postgres_default.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param database: the database to dump, to restore over or to copy. Default: the connection's.
    :param config: the name of a configuration.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    :param pg_bin_dir: the folder of pg_dump and pg_restore; ``{major}`` in it stands for each major
        version. Default: PATH, then the folders of the usual packages.
    :param progress_callback: called at each phase and every ten seconds with a
        :class:`~airflow_provider_pgclone.core.progress.Progress`, in any thread, but never by two
        at once. An exception that it raises ends the call, unless all is done already. By default
        the progress is logged.
    :param progress_seconds: the time between two calls of it, if not ten seconds.
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
        progress_seconds: float = REPORT_SECONDS,
    ) -> None:
        super().__init__()
        self.config = config
        self.temp_database: str | None = None
        self.swapped_key: str | None = None
        given = locals()
        self._arguments = {name: given[name] for name in HOOK_ARGUMENTS}
        self._cancellation = Cancellation()
        self._watch = new_watch(progress_callback, self._cancellation, progress_seconds)

    def dump(
        self, *, made_by: Mapping[str, str] | None = None, **options: Unpack[DumpArguments]
    ) -> str:
        """Dump the database to storage, and return the key; a dump that fails is never listed.

        :param made_by: who makes the dump, such as the ``dag``, the ``task`` and the ``run``; its
            manifest keeps this.
        """
        from airflow_provider_pgclone.core.dump import DumpOptions, dump

        call = self._call("dump", options)
        key = call.new_key()
        wanted = call.fill(
            DumpOptions,
            selection=call.selection(),
            masking=call.masking(),
            signing_key=call.signing_key(),
            made_by=made_by or {},
        )
        dump(call.database, call.storage(), key, wanted, **self._watch)
        return str(key)

    def restore(
        self, key: str, *, maker: str = "", run: str = "", **options: Unpack[RestoreArguments]
    ) -> str:
        """Restore into a temporary database, and swap it in for the hook's database.

        With ``swap=False`` the attribute ``temp_database`` names the database that waits for
        :meth:`swap`; otherwise it is ``None``.

        :param key: a dump key, a prefix (its newest dump), or a local key such as ``:pre``.
        :param maker: who restores, such as a task; what it left earlier is dropped.
        :param run: which of its runs; a retry keeps the ``:pre`` of the first attempt.
        :return: the key that was restored.
        """
        from airflow_provider_pgclone.core.restore import RestoreOptions, restore

        call = self._call("restore", options, key=key)
        load = call.load_options()
        wanted = call.fill(
            RestoreOptions,
            key=key,
            load=load,
            restore_over=call.allowed_targets(),
            signing_key=call.signing_key(),
            maker=maker,
            run=run,
        )
        restored = restore(call.database, call.maintenance, call.storage, wanted, **self._watch)
        self.temp_database = restored.temp_database
        return restored.key

    def swap(self, temp_database: str, **options: Unpack[SwapArguments]) -> str:
        """Swap in a database that ``restore(swap=False)`` left, and return the target's name.

        The attribute ``swapped_key`` then names what it was restored from.

        :param temp_database: the name of that database.
        """
        from airflow_provider_pgclone.core.swap import SwapOptions, swap

        call = self._call("swap", options, temp_database=temp_database)
        wanted = call.fill(SwapOptions, restore_over=call.allowed_targets())
        swapped = swap(call.maintenance, temp_database, wanted, cancellation=self._cancellation)
        self.swapped_key = swapped.key
        return swapped.target

    def copy(
        self, to: str | None = None, *, target: str | None = None, **options: Unpack[CopyArguments]
    ) -> str:
        """Copy the database, on its own server or to another.

        By ``template`` the server copies its files, and sessions on the database are ended. By
        ``stream`` they go on; rows can be left out and masked, as by a dump.

        :param to: a local key such as ``:before_migration``, not ``:pre`` or ``:post``; or
        :param target: the name of the database that the copy becomes; by default that of
            ``target_postgres_conn_id``.
        :return: the local key, or the name of the target.
        """
        subjects = {
            name: text for name, text in (("to", to), ("target", target)) if text is not None
        }
        source = server = self._call("copy", options, **subjects)
        check_options(source, {name for name, value in options.items() if value is not None})
        conn_id = source.optional("target_postgres_conn_id", str)
        if conn_id is not None:
            there = {**self._arguments, "postgres_conn_id": conn_id, "database": None}
            server = resolve_call("copy", self.config, there, options)
        key = choose_key(source, server, to, target)
        copy_database(source, server, key, **self._watch)
        return to or key.name

    @overload
    def ls(
        self,
        prefix: str = "",
        *,
        what: Literal["dumps", "files"] | None = None,
        all_files: bool | None = None,
        **options: Unpack[DumpFilters],
    ) -> "list[Dump]": ...

    @overload
    def ls(
        self, prefix: str = "", *, what: NameKind | None = None, **options: Unpack[NameKinds]
    ) -> list[str]: ...

    def ls(self, prefix: str = "", **options: Unpack[ListArguments]) -> "list[Dump] | list[str]":
        """Return the dumps under a prefix, or what else ``what`` names, the newest first.

        :param prefix: whole leading parts of a key; empty for all dumps.
        :return: dumps or files, each with ``key``, ``size_bytes``, ``created_at`` and ``finding``,
            which is the result of its verifications; otherwise names.
        """
        from airflow_provider_pgclone.core.list import ListOptions, list_keys

        call = self._call("ls", options, prefix=prefix)
        wanted = call.fill(ListOptions, what=call.what())
        return list_keys(call.storage, call.maintenance, prefix, wanted, self._cancellation)

    def inspect(self, key: str) -> dict[str, Any]:
        """Return the manifest of a dump, by a few small reads.

        :param key: a dump key or a prefix (its newest dump).
        :return: versions, the source, what was left out, whether it has a signature, and ``tables``
            with their rows.
        """
        archive = self._open_archive(key)
        manifest = archive.required_manifest
        rows = {f"{schema}.{name}": n for (schema, name), n in manifest.rows_of_tables.items()}
        return {**manifest.facts(), "is_signed": archive.is_signed, "tables": rows}

    def current(self) -> "CurrentDatabase":
        """Return what the hook's database holds now: from which key, since when, by whom.

        :return: ``key``, ``since``, ``made_by``, ``size_bytes``, ``pre`` and ``waiting``.
        :raises NotFoundError: when the database does not exist.
        """
        from airflow_provider_pgclone.core.current import current

        call = self._call("current", {})
        return current(call.maintenance, call.database.name, cancellation=self._cancellation)

    def summaries(
        self, dumps: "Sequence[Dump]", *, known: "Mapping[str, DumpSummary] | None" = None
    ) -> "list[DumpSummary]":
        """Return what lists show of dumps: whether they are masked, what they left out, their rows.

        :param dumps: as :meth:`ls` returns them.
        :param known: earlier summaries by key, which spare the reads of their dumps.
        """
        from airflow_provider_pgclone.core.repository import read_summaries

        return read_summaries(
            self._storage(), dumps, known=known or {}, cancellation=self._cancellation
        )

    def details(self, key: str) -> "DumpDetails":
        """Return what a dump holds: its tables with rows and sizes, masks, and verification.

        :param key: a dump key or a prefix (its newest dump).
        """
        from airflow_provider_pgclone.core.repository import read_details

        check_texts({"key": key})
        return read_details(self._storage(), key)

    def choices(
        self, prefix: str = "", *, check_target: bool = False, **options: Unpack[ChoiceArguments]
    ) -> Choices:
        """Return the dumps to choose from, by ``list()``; ``check(key)`` looks at storage again.

        :param prefix: whole leading parts of a key; empty for all dumps.
        :param check_target: whether to refuse a database that a restore could not replace.
        """
        call = self._call("choices", options, prefix=prefix)
        if check_target:
            check_target_of(call, self._cancellation)
        return Choices(call, prefix, self._cancellation)

    def waiting(self, temp_database: str) -> WaitingDatabase:
        """Return a database that ``restore(swap=False)`` left, to work on it or to look at it.

        :param temp_database: the name of that database.
        """
        call = self._call("waiting", {}, temp_database=temp_database)
        return WaitingDatabase(call, temp_database, self._cancellation)

    def mask_report(self, key: str, *, style: str = "markdown") -> str:
        """Return a report of what is masked in a dump and what is not.

        :param key: a dump key or a prefix (its newest dump).
        :param style: ``markdown``, or ``html`` for a whole page.
        """
        from airflow_provider_pgclone.core.mask_report import check_style, mask_report

        checked = check_style(style)
        archive = self._open_archive(key)
        return mask_report(archive.required_manifest, archive.dump.key, style=checked)

    def verify(self, key: str, **options: Unpack[VerifyArguments]) -> str:
        """Verify a dump, record the result beside it, and return its key if it is intact.

        Level ``archive`` checks every byte and needs no database. ``restore`` also restores into a
        database of its own on the connection's server, compares it and drops it.

        :param key: a dump key or a prefix (its newest dump).
        """
        from airflow_provider_pgclone.core.verify import VerifyOptions, verify

        call = self._call("verify", options, key=key)
        wanted = call.fill(
            VerifyOptions,
            level=call.level(),
            load=call.load_options(),
            signing_key=call.signing_key(),
        )
        return verify(call.storage(), key, call.maintenance, wanted, **self._watch)

    def prune(self, prefix: str, **options: Unpack[PruneArguments]) -> "Pruned":
        """Delete the dumps that no rule keeps, and what killed dumps, restores and copies left.

        At least one rule, from ``keep_last`` to ``older_than_days``, must be given; a dump stays if
        any rule keeps it. The rules apply to each instance, database and config on its own, and the
        last good dump of each is never deleted.

        :param prefix: whole leading parts of a key; ``*`` for all dumps.
        :return: ``deleted``, ``kept``, ``aborted_uploads`` and ``dropped_databases``.
        """
        call = self._call("prune", options, prefix=prefix)
        return prune_dumps(call, prefix, self._cancellation)

    def propose_masks(self, **options: Unpack[ReadingArguments]) -> str:
        """Return a draft of masks for the database, which a person must review.

        Each column gets a rule or ``keep``, with the reason. PostgreSQL samples the rows of each
        table, and none of their values leaves it.

        :return: YAML, as the option ``masks`` takes it.
        """
        from airflow_provider_pgclone.core.mask_plan import propose_masks

        call = self._call("propose_masks", options)
        return propose_masks(call.database, call.selection(), self._cancellation).yaml()

    def test_connection(self) -> tuple[bool, str]:
        """Try out the server and the storage, without raising an error.

        Nothing is made on the server. A small object is written to the storage, read and deleted.

        :return: whether all is well, and what was found; otherwise what is wrong and what to do.
        """
        from airflow_provider_pgclone.core.probe import report
        from airflow_provider_pgclone.hooks.probing import probe

        try:
            return report(probe(self._call("test_connection", {}), self._cancellation))
        except CancelledError:
            raise
        except PgCloneError as error:
            return False, str(error)

    def drop_temp(self, temp_database: str) -> None:
        """Drop a database that ``restore(swap=False)`` left, instead of swapping it in.

        :param temp_database: the name of that database; no error if it does not exist.
        """
        from airflow_provider_pgclone.core.restore import drop_temp

        call = self._call("drop_temp", {}, temp_database=temp_database)
        drop_temp(call.maintenance, temp_database, cancellation=self._cancellation)

    def also_tell(self, callback: "ProgressCallback") -> None:
        """Call one more function with the progress, after the callback of the hook."""
        also_tell(self._watch, callback)

    def cancel(self) -> None:
        """End what is running, from a signal handler or another thread; the call then raises."""
        self._cancellation.cancel()

    def raise_if_cancelled(self) -> None:
        """Raise an error if :meth:`cancel` came too late to end the call.

        :raises CancelledError: after :meth:`cancel`.
        """
        self._cancellation.check()

    def _call(self, verb: Verb, options: Mapping[str, Any], **subjects: object) -> Call:
        """Look up the options of a verb.

        :param subjects: what the verb works on.
        """
        check_texts(subjects)
        return resolve_call(verb, self.config, self._arguments, options)

    def _open_archive(self, key: str) -> "Archive":
        from airflow_provider_pgclone.core.repository import find_dump, open_archive

        check_texts({"key": key})
        storage = self._storage()
        return open_archive(storage, find_dump(storage, key))

    def _storage(self) -> "Storage":
        return resolve_call("ls", self.config, self._arguments, {}, warns=False).storage()
