"""The verbs of the hook that are about dumps in storage, without loading one."""

from typing import TYPE_CHECKING, Any, overload

from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.hooks.base import PgCloneBaseHook, check_text

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.prune import Pruned
    from airflow_provider_pgclone.core.repository import Dump
    from airflow_provider_pgclone.hooks.calls import Call


class ArchiveVerbs(PgCloneBaseHook):
    """List dumps, and tell what they hold and whether they are whole."""

    @overload
    def ls(
        self,
        prefix: str = "",
        *,
        limit: int | None = None,
        verified: bool | None = None,
        masked: bool | None = None,
        all_files: bool | None = None,
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
        verified: bool | None = None,
        masked: bool | None = None,
        all_files: bool | None = None,
        instances: bool | None = None,
        databases: bool | None = None,
        configs: bool | None = None,
        local: bool | None = None,
    ) -> "list[Dump] | list[str]":
        """Return the dumps under a prefix, the newest first.

        :param prefix: whole leading parts of a key; none means all dumps.
        :param limit: how many at the most; no more are asked for.
        :param verified: whether to list only dumps that a verification has found whole.
        :param masked: whether to list only dumps that are masked, for which each is read a little.
        :param all_files: whether to list files that are no dumps as well.
        :param instances: whether to return the names of instances instead.
        :param databases: whether to return the names of databases instead.
        :param configs: whether to return the names of configurations instead.
        :param local: whether to return the local keys of the server's databases instead.
        :return: dumps, each with ``key``, ``size_bytes``, ``created_at`` and ``finding``, which is
            what verifications have noted of it; or names.
        """
        from airflow_provider_pgclone.core.list import list_dumps, list_local
        from airflow_provider_pgclone.core.repository import PARTS, list_files, list_parts

        check_text("prefix", prefix)
        call = self._resolve(
            "ls",
            limit=limit,
            verified=verified,
            masked=masked,
            all_files=all_files,
            instances=instances,
            databases=databases,
            configs=configs,
            local=local,
        )
        kinds = [name for name in (*PARTS, "local", "all_files") if call[name]]
        filters = [name for name in ("verified", "masked") if call[name]]
        if len(kinds) > 1 or (kinds and filters):
            raise InvalidInputError(f"{' and '.join([*kinds, *filters])} cannot be listed together")
        if call["local"]:
            return list_local(call.maintenance, self._cancellation)
        storage = call.storage()
        for part in PARTS:
            if call[part]:
                return list_parts(storage, prefix, part)
        if call["all_files"]:
            return list_files(storage, prefix, limit=call["limit"])
        return list_dumps(
            storage,
            prefix,
            limit=call["limit"],
            verified=call["verified"],
            masked=call["masked"],
            cancellation=self._cancellation,
        )

    def inspect(self, key: str) -> dict[str, Any]:
        """Return the account of a dump, by a few small reads.

        :param key: a dump key or a prefix.
        :return: versions, the source, what was left out, and ``tables`` with their rows.
        """
        from airflow_provider_pgclone.core.repository import find_dump, open_archive

        check_text("key", key)
        storage = self._resolve("ls").storage()
        manifest = open_archive(storage, find_dump(storage, key)).required_manifest
        rows = {f"{schema}.{name}": n for (schema, name), n in manifest.rows_of_tables.items()}
        return {**manifest.facts(), "tables": rows}

    def mask_report(self, key: str, *, style: str = "markdown") -> str:
        """Return what is masked in a dump and what is not, for those who must know.

        :param key: a dump key or a prefix (its newest dump).
        :param style: ``markdown``, or ``html`` for a page of its own.
        """
        from airflow_provider_pgclone.core.mask_report import check_style, mask_report
        from airflow_provider_pgclone.core.repository import find_dump, open_archive

        check_text("key", key)
        of_style = check_style(style)
        storage = self._resolve("ls").storage()
        archive = open_archive(storage, find_dump(storage, key))
        return mask_report(archive.required_manifest, archive.dump.key, style=of_style)

    def verify(
        self,
        key: str,
        *,
        level: str | None = None,
        record: bool | None = None,
        no_owner: bool | None = None,
        no_acl: bool | None = None,
        publications: bool | None = None,
        jobs: int | None = None,
        maintenance_work_mem: str | None = None,
    ) -> str:
        """Verify a dump, and note beside it what was found.

        Level ``archive`` checks every byte and needs no database. ``restore`` also restores into a
        database of its own on the connection's server, compares it and drops it; the options from
        ``no_owner`` on are for it.

        :param key: a dump key or a prefix (its newest dump).
        :param level: ``archive`` or ``restore``.
        :param record: whether the finding is noted, for ``ls``, ``prune`` and ``restore``.
        :param no_owner: whether restored objects belong to the connection's user.
        :param no_acl: whether rights are left out.
        :param publications: whether publications are restored.
        :param jobs: how many sessions load at once.
        :param maintenance_work_mem: of each of these, for index builds, such as ``512MB``.
        :return: the key of the dump, which is whole.
        """
        from airflow_provider_pgclone.core.verify import verify

        check_text("key", key)
        call = self._resolve(
            "verify",
            level=level,
            record=record,
            no_owner=no_owner,
            no_acl=no_acl,
            publications=publications,
            jobs=jobs,
            maintenance_work_mem=maintenance_work_mem,
        )
        if call["level"] == "restore" and not call.may_restore:
            raise NotAllowedError(
                "a verification by restore is not allowed: allow_restore is set to false"
            )
        return verify(
            call.storage(),
            key,
            call["level"],
            call.maintenance,
            call.load_options(),
            record=call["record"],
            on_progress=self._on_progress,
            cancellation=self._cancellation,
        )

    def prune(
        self,
        prefix: str,
        *,
        keep_last: int | None = None,
        keep_daily: int | None = None,
        keep_weekly: int | None = None,
        keep_monthly: int | None = None,
        older_than_days: float | None = None,
        uploads_older_than_hours: float | None = None,
        temp_databases: bool | None = None,
        temp_older_than_hours: float | None = None,
        preview: bool | None = None,
    ) -> "Pruned":
        """Delete the dumps that no rule keeps, and what was left by what was killed.

        A dump stays where one of the rules from ``keep_last`` to ``older_than_days`` keeps it; at
        least one must be given. They hold for each instance, database and config on its own. The
        last good dump of each is never deleted.

        :param prefix: whole leading parts of a key; ``*`` means all dumps.
        :param keep_last: how many dumps are kept, the newest.
        :param keep_daily: for how many days that have dumps the newest is kept, in UTC.
        :param keep_weekly: for how many weeks.
        :param keep_monthly: for how many months.
        :param older_than_days: dumps that are not older are kept.
        :param uploads_older_than_hours: for how long nothing has come of an upload that is removed.
        :param temp_databases: whether temporary databases that were left on the server are dropped.
        :param temp_older_than_hours: for how long one has waited for its swap that is given up.
        :param preview: whether to delete nothing, and return what would be deleted.
        :return: ``deleted``, ``kept``, ``aborted_uploads`` and ``dropped_databases``.
        """
        from airflow_provider_pgclone.core.prune import PruneOptions, prune
        from airflow_provider_pgclone.core.repository import Retention

        check_text("prefix", prefix)
        rules = {
            "keep_last": keep_last,
            "keep_daily": keep_daily,
            "keep_weekly": keep_weekly,
            "keep_monthly": keep_monthly,
            "older_than_days": older_than_days,
        }
        others = {
            "uploads_older_than_hours": uploads_older_than_hours,
            "temp_older_than_hours": temp_older_than_hours,
            "preview": preview,
        }
        call = self._resolve("prune", **rules, **others, temp_databases=temp_databases)
        options = PruneOptions(
            Retention(**{name: call[name] for name in rules}),
            **{name: call[name] for name in others},
        )
        drops = self._may_drop_leftovers(call)
        return prune(
            call.storage(),
            prefix,
            call.maintenance if drops else None,
            options,
            cancellation=self._cancellation,
        )

    def _may_drop_leftovers(self, call: "Call") -> bool:
        """Return whether a prune drops temporary databases, which is a matter of restores."""
        asked = call["temp_databases"]
        if asked and not call.may_restore:
            raise NotAllowedError(
                "temporary databases may not be dropped: allow_restore is set to false",
                hint="Set temp_databases to false.",
            )
        if asked is None and not call.may_restore:
            self.log.info("temporary databases are left alone: allow_restore is set to false")
        return bool(call.may_restore if asked is None else asked)
