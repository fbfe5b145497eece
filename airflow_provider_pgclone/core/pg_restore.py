"""pg_restore: its arguments, and the judgement of what it says."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

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
from airflow_provider_pgclone.core.process import Child

log = logging.getLogger(__name__)

# The prefix, which pg_restore's processes write apart from the rest, so that they mix.
_LAUNCHING = re.compile(r"(?:pg_restore:|error:|warning:|detail:|hint:| )*launching item (\d+) .*")


@dataclass(frozen=True)
class Loading:
    """How an archive is loaded.

    :param server_major: of the server that is loaded.
    :param jobs: how many sessions load at once.
    :param maintenance_work_mem: of these sessions, for index builds; ``None`` is the server's.
    :param no_owner: whether everything belongs to the user of the connection.
    :param no_acl: whether rights are left out.
    :param left_out: the ids of the entries that are not restored.
    """

    tools: ClientTools
    server_major: int
    jobs: int
    maintenance_work_mem: str | None
    no_owner: bool
    no_acl: bool
    left_out: frozenset[int] = frozenset()

    @property
    def sessions(self) -> int:
        """How many sessions pg_restore may open.

        A newer one sets ``transaction_timeout`` in each, which an older server does not know. That
        is harmless, but whether it was all can only be told of one session: pg_restore does not
        count the errors at the start of the others.
        """
        is_older = self.server_major < 17 <= self.tools.major
        return 1 if is_older else self.jobs

    def environment(self, database: Database) -> dict[str, str]:
        memory = self.maintenance_work_mem
        return loading_environment(
            database, [f"maintenance_work_mem={memory}"] if memory is not None else []
        )

    def argv(self, database: Database, *more: str) -> list[str]:
        """Return a command line.

        :param more: the format, and the archive unless it comes on stdin.
        """
        return [
            self.tools.path("pg_restore"),
            "--verbose",  # without it the errors do not name their entry
            *connection_arguments(database),
            *(["--no-owner"] if self.no_owner else []),
            *(["--no-acl"] if self.no_acl else []),
            *more,
        ]


class Judge:
    """Hears pg_restore, ends it at the first error that matters, and gives the verdict.

    :param on_launch: called with the id of each entry that a parallel pg_restore starts.
    """

    def __init__(self, server_major: int, on_launch: Callable[[int], None] | None = None) -> None:
        self._server_major = server_major
        self._on_launch = on_launch
        self._messages = RestoreMessages(self._hear)
        self._harmless: list[RestoreMessage] = []
        self._fatal: list[RestoreMessage] = []
        self._child: Child | None = None

    def attach(self, child: Child) -> None:
        """Say which program to end at an error that matters."""
        self._child = child
        if self._fatal:
            child.kill()

    def feed(self, line: str) -> None:
        """Take a line of its stderr."""
        launching = _LAUNCHING.fullmatch(line)
        if launching is None or self._on_launch is None:
            self._messages.feed(line)
        else:
            self._on_launch(int(launching.group(1)))

    def pronounce(self, code: int, child: Child) -> None:
        """Raise unless pg_restore succeeded, or failed only by errors that are harmless."""
        self._messages.close()
        if self._fatal:
            raise RestoreError(f"pg_restore failed: {self._fatal[0]}")
        explained = code == 1 and 0 < self._messages.ignored_count == len(self._harmless)
        if code != 0 and not explained:
            before = self._messages.before_start
            raise RestoreError(f"{child.failure(code)}{f': {before}' if before else ''}")

    def _hear(self, message: RestoreMessage) -> None:
        kind = harmless_name(message, self._server_major)
        if kind is not None:
            self._harmless.append(message)
            log.info("harmless error of pg_restore (%s): %s", kind, message)
            return
        self._fatal.append(message)
        if self._child is not None:
            self._child.kill()
