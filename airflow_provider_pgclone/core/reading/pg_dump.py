"""Runs pg_dump, which writes everything except the rows that are read in ranges."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from signal import SIGTERM

from airflow_provider_pgclone.core.archive import ArchiveReader, Toc, read_start
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError, ToolError
from airflow_provider_pgclone.core.postgres import Child, Database, connection_arguments, run_child
from airflow_provider_pgclone.core.reading.obstacles import locked_error
from airflow_provider_pgclone.core.reading.snapshot import Snapshot, lock_wait
from airflow_provider_pgclone.core.reading.table_filter import (
    exclude_arguments,
    filter_lines,
    reads_filter,
)

# The short timeouts of a new session, each with the value that turns it off; in milliseconds. Other
# settings are no numbers: CASE keeps the server from reading them as such.
_SHORT_TIMEOUTS = """
SELECT name, '0' FROM pg_settings
WHERE CASE WHEN name IN ('statement_timeout', 'transaction_timeout')
    THEN reset_val::int BETWEEN 1 AND 1000 END
"""

# pg_dump makes --lock-wait-timeout the timeout of the statement that locks: getTables().
_GAVE_UP = "canceling statement due to statement timeout"


@dataclass(frozen=True)
class Skeleton:
    """A running pg_dump and its table of contents.

    :param reader: the archive that pg_dump writes, read up to its first block.
    """

    pg_dump: Child
    toc: Toc
    reader: ArchiveReader

    @contextmanager
    def explaining_failure(self) -> Iterator[None]:
        """Raise the error of pg_dump if the block finds that the archive ends too early.

        :raises ToolError: when pg_dump failed.
        """
        with _explaining_failure(self.pg_dump, self.reader):
            yield


@contextmanager
def open_skeleton(snapshot: Snapshot) -> Iterator[Skeleton]:
    """Run pg_dump while the block runs, and read its table of contents.

    :raises InvalidInputError: when its arguments are longer than the system allows.
    :raises ArchiveError: when pg_dump would dump rows that it was told to leave out.
    :raises BusyError: when a table was renamed, rewritten or replaced since the snapshot, or stays
        locked.
    :raises ToolError: when pg_dump failed before it wrote its table of contents.
    """
    with _running_pg_dump(snapshot) as pg_dump:
        reader = ArchiveReader(pg_dump.output())
        with _explaining_lock(snapshot), _explaining_failure(pg_dump, reader):
            toc = read_start(reader)
        snapshot.check(toc)  # pg_dump has locked all tables that it dumps
        yield Skeleton(pg_dump, toc, reader)


@contextmanager
def _running_pg_dump(snapshot: Snapshot) -> Iterator[Child]:
    by_filter = reads_filter(snapshot.tools)
    named = ["--filter=-"] if by_filter else exclude_arguments(snapshot.named)
    try:
        with run_child(
            _pg_dump_argv(snapshot, named),
            environment=snapshot.tool_environment(_patient(snapshot)),
            cancellation=snapshot.cancellation,
            stdin=True,
            stdout=True,
            # At this signal it ends its statement on the server, which may wait for a lock.
            end_signal=SIGTERM,
        ) as pg_dump:
            with suppress(BrokenPipeError):  # its exit code says why it ended
                if by_filter:  # pg_dump reads it first
                    pg_dump.stdin.write(filter_lines(snapshot.named))
                pg_dump.stdin.close()
            yield pg_dump
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise InvalidInputError(
            "the selected and excluded tables do not fit into the arguments of pg_dump",
            hint="Use fewer or shorter patterns. Clients of PostgreSQL 17 or later do not need "
            "arguments for the partitions of an excluded table.",
        ) from error


def _patient(snapshot: Snapshot) -> Database:
    """Return the database without timeouts that could end the first statements of pg_dump.

    pg_dump executes some before it turns timeouts off: ``ConnectDatabase()``. Long timeouts stay,
    since a pooler may refuse the options of a session.
    """
    timeouts = snapshot.session.execute(_SHORT_TIMEOUTS).fetchall()
    return snapshot.database.with_settings(dict(timeouts)) if timeouts else snapshot.database


def _pg_dump_argv(snapshot: Snapshot, named: Sequence[str]) -> list[str]:
    """Return the command line of pg_dump, which does not contain secrets.

    pg_dump does not compress: we count the rows of its blocks, hash the blocks and compress them.

    :param named: the arguments that leave out the rows of tables by name.
    """
    selection = snapshot.selection
    return [
        *(snapshot.tools.path("pg_dump"), "--format=custom", "--compress=0"),
        f"--lock-wait-timeout={lock_wait(selection)}",
        *(f"--snapshot={snapshot.name}", *connection_arguments(snapshot.database)),
        *(f"--exclude-table-data={pattern}" for pattern in selection.exclude),
        *named,
        *(f"--schema={pattern}" for pattern in selection.schemas),
        *(f"--exclude-schema={pattern}" for pattern in selection.exclude_schemas),
        # No restore makes them, and they contain passwords.
        "--no-subscriptions",
        *selection.pg_dump_args,
    ]


@contextmanager
def _explaining_lock(snapshot: Snapshot) -> Iterator[None]:
    """Name the locked table and the session if pg_dump gave up, where it names all tables.

    A server whose messages are in another language keeps the error as it is.
    """
    try:
        yield
    except ToolError as error:
        if _GAVE_UP not in error.message:
            raise
        raise locked_error(snapshot.session) from error


@contextmanager
def _explaining_failure(pg_dump: Child, reader: ArchiveReader) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        if reader.has_ended:
            pg_dump.wait_for_success()
        raise
