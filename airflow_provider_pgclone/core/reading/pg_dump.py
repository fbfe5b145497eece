"""What pg_dump itself writes of a database: all but the rows that are read in ranges."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import ArchiveReader, Toc, read_start
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError
from airflow_provider_pgclone.core.postgres import Child, connection_arguments, run_child
from airflow_provider_pgclone.core.reading.snapshot import Snapshot
from airflow_provider_pgclone.core.reading.table_filter import (
    exclude_arguments,
    filter_lines,
    reads_filter,
)

LOCK_WAIT_MILLISECONDS = 60_000


@dataclass(frozen=True)
class Skeleton:
    """A running pg_dump, whose table of contents was read.

    :param reader: at its first block.
    """

    pg_dump: Child
    toc: Toc
    reader: ArchiveReader

    @contextmanager
    def explaining_failure(self) -> Iterator[None]:
        """Tell why pg_dump has failed where its archive ends too early."""
        with _explaining_failure(self.pg_dump, self.reader):
            yield


@contextmanager
def open_skeleton(snapshot: Snapshot) -> Iterator[Skeleton]:
    """Run pg_dump while the block runs.

    :raises InvalidInputError: when its arguments are longer than the system allows.
    :raises ArchiveError: when it would dump rows that it was told to leave out.
    :raises BusyError: when a table was rewritten since the snapshot was taken.
    :raises ToolError: when it failed before it wrote its table of contents.
    """
    with _running_pg_dump(snapshot) as pg_dump:
        reader = ArchiveReader(pg_dump.output())
        with _explaining_failure(pg_dump, reader):
            toc = read_start(reader)
        snapshot.check(toc)  # pg_dump has locked all that it dumps
        yield Skeleton(pg_dump, toc, reader)


@contextmanager
def _explaining_failure(pg_dump: Child, reader: ArchiveReader) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        if reader.has_ended:
            pg_dump.wait_for_success()
        raise


@contextmanager
def _running_pg_dump(snapshot: Snapshot) -> Iterator[Child]:
    by_filter = reads_filter(snapshot.tools)
    named = ["--filter=-"] if by_filter else exclude_arguments(snapshot.named)
    try:
        with run_child(
            _pg_dump_argv(snapshot, named),
            environment=snapshot.tool_environment(snapshot.database),
            cancellation=snapshot.cancellation,
            stdin=True,
            stdout=True,
        ) as pg_dump:
            with suppress(BrokenPipeError):  # its exit code tells why it has ended
                if by_filter:  # before anything else
                    pg_dump.stdin.write(filter_lines(snapshot.named))
                pg_dump.stdin.close()
            yield pg_dump
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise InvalidInputError(
            "what is chosen and excluded is longer than the arguments of pg_dump may be",
            hint="Give fewer or shorter patterns; clients from PostgreSQL 17 on need no arguments "
            "for the partitions of an excluded table.",
        ) from error


def _pg_dump_argv(snapshot: Snapshot, named: Sequence[str]) -> list[str]:
    """Return the command line of pg_dump; it holds nothing secret.

    It writes its blocks uncompressed: we count their rows, and compress them with a checksum.

    :param named: the arguments that leave out the tables which we name.
    """
    selection = snapshot.selection
    return [
        *(snapshot.tools.path("pg_dump"), "--format=custom", "--compress=0"),
        # An ALTER TABLE may wait for our session, and pg_dump for it: neither would ever end. An
        # argument of the user's comes later and counts.
        f"--lock-wait-timeout={LOCK_WAIT_MILLISECONDS}",
        *(f"--snapshot={snapshot.name}", *connection_arguments(snapshot.database)),
        *(f"--exclude-table-data={pattern}" for pattern in selection.exclude),
        *named,
        *(f"--schema={pattern}" for pattern in selection.schemas),
        *(f"--exclude-schema={pattern}" for pattern in selection.exclude_schemas),
        *selection.pg_dump_args,
    ]
