"""What every part of the hook has: its arguments, their resolution, progress and cancelling."""

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.hooks.calls import Call, resolve_call
from airflow_provider_pgclone.options import Verb

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.progress import Progress, ProgressCallback


class PgCloneBaseHook(BaseHook):
    """The arguments that every verb shares.

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


def check_text(name: str, value: object) -> None:
    """Refuse what a template or a caller gave instead of a text."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is {value!r}", hint=f"Give {name} as a text.")
