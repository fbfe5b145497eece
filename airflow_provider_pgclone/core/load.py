"""Fill a database from an archive with pg_restore, and judge what pg_restore says of it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.pg_errors import (
    RestoreMessage,
    RestoreMessages,
    harmless_name,
)
from airflow_provider_pgclone.core.pg_tools import (
    ClientTools,
    connection_arguments,
    loading_environment,
)
from airflow_provider_pgclone.core.process import Child, run_child
from airflow_provider_pgclone.core.progress import ProgressMeter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """How an archive is loaded.

    :param server_major: of the server that is loaded.
    :param no_owner: whether everything belongs to the user of the connection.
    :param no_acl: whether rights are left out.
    """

    tools: ClientTools
    server_major: int
    no_owner: bool
    no_acl: bool


def load_archive(
    chunks: Iterator[bytes],
    database: Database,
    loading: Loading,
    *,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    """Stream an archive into pg_restore.

    :param chunks: the bytes of the archive.
    :param database: an empty one.
    :raises RestoreError: at the first error that is not harmless; nothing more is restored then.
    """
    judge = _Judge(loading.server_major)
    messages = RestoreMessages(judge.hear)
    with run_child(
        _pg_restore_argv(database, loading),
        environment=loading_environment(database),
        cancellation=cancellation,
        on_stderr=messages.feed,
        stdin=True,
    ) as pg_restore:
        judge.child = pg_restore
        _feed(pg_restore, chunks, meter, cancellation)
        code = pg_restore.wait()
    messages.close()
    judge.pronounce(code, messages, pg_restore)


def analyze(
    database: Database, tools: ClientTools, *, jobs: int, cancellation: Cancellation
) -> None:
    """Gather the planner's statistics, which an archive does not carry."""
    program = tools.path("vacuumdb")
    argv = [program, "--analyze-only", "--quiet", f"--jobs={jobs}", *connection_arguments(database)]
    with run_child(
        argv, environment=loading_environment(database), cancellation=cancellation
    ) as vacuumdb:
        vacuumdb.wait_for_success()


class _Judge:
    """Hears pg_restore's errors, ends it at the first that matters, and gives the verdict."""

    def __init__(self, server_major: int) -> None:
        self._server_major = server_major
        self._harmless: list[RestoreMessage] = []
        self._fatal: list[RestoreMessage] = []
        self.child: Child | None = None

    def hear(self, message: RestoreMessage) -> None:
        kind = harmless_name(message, self._server_major)
        if kind is not None:
            self._harmless.append(message)
            log.info("harmless error of pg_restore (%s): %s", kind, message)
            return
        self._fatal.append(message)
        if self.child is not None:
            self.child.kill()

    def pronounce(self, code: int, messages: RestoreMessages, child: Child) -> None:
        """Raise unless pg_restore succeeded, or failed only by errors that are harmless."""
        if self._fatal:
            raise RestoreError(f"pg_restore failed: {self._fatal[0]}")
        explained = code == 1 and 0 < messages.ignored_count == len(self._harmless)
        if code != 0 and not explained:
            said = f": {messages.before_start}" if messages.before_start else ""
            raise RestoreError(f"{child.failure(code)}{said}")


def _pg_restore_argv(database: Database, loading: Loading) -> list[str]:
    argv = [
        loading.tools.path("pg_restore"),
        "--format=custom",
        "--verbose",  # without it the errors do not name their entry
        *connection_arguments(database),
        # A subscription that a restored database has would take the slot of the original's.
        "--no-subscriptions",
    ]
    return [
        *argv,
        *(["--no-owner"] if loading.no_owner else []),
        *(["--no-acl"] if loading.no_acl else []),
    ]


def _feed(
    pg_restore: Child,
    chunks: Iterator[bytes],
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    try:
        for chunk in chunks:
            cancellation.check()
            pg_restore.stdin.write(chunk)
            meter.add(len(chunk))
        pg_restore.stdin.close()
    except BrokenPipeError:
        # It has ended, or was ended for an error: its exit code and messages tell.
        pass
