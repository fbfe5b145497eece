"""Runs pg_restore, which reads an archive or a part of one from its standard input.

It is never given a file: since PostgreSQL 15.20 it refuses files that are not regular ones, so an
archive in directory format cannot come from named pipes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from signal import SIGTERM

from airflow_provider_pgclone.core.archive import (
    ArchiveReader,
    Piece,
    Toc,
    TocEntry,
    read_start,
    write_objects,
    write_rows,
    write_toc,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.executing.messages import RestoreMonitor
from airflow_provider_pgclone.core.executing.settings import Loading
from airflow_provider_pgclone.core.executing.sinks import Feed
from airflow_provider_pgclone.core.meter import ProgressMeter
from airflow_provider_pgclone.core.postgres import Child, Database, hint_for_room, run_child
from airflow_provider_pgclone.core.watching import LoadWork, RunWork


class InputSink:
    """The standard input of a pg_restore that waits for the block of an entry."""

    def __init__(self, write: "_Input", entry: TocEntry) -> None:
        self._write = write
        self._entry = entry
        self.check = write.check

    @property
    def holds_large_objects(self) -> bool:
        """Whether the entry has large objects; otherwise it has the rows of a table."""
        return self._entry.description == "BLOBS"

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        """Write the rows of a table."""
        write_rows(self._write, self._entry.dump_id, pieces)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        """Write large objects, each with its OID."""
        write_objects(self._write, self._entry.dump_id, objects)


def load_stream(
    chunks: Iterator[bytes],
    toc: Toc,
    database: Database,
    loading: Loading,
    *,
    meter: ProgressMeter,
    work: LoadWork,
    cancellation: Cancellation,
) -> None:
    """Restore an archive from a stream.

    :param chunks: the bytes of the archive.
    :param toc: the table of contents of the archive.
    :param database: an empty database.
    :param work: is told what pg_restore works on.
    :raises RestoreError: at the first error that is not harmless. The restore ends there.
    """
    restored = loading.restored(toc)
    run = work.run(restored.entries)
    with _pg_restore(database, loading, run, cancellation) as write:
        archive = chunks if restored == toc else _with_toc(restored, chunks)
        for chunk in meter.time_spent.each("storage", archive):
            with meter.time_spent.on("target"):
                write(chunk)
            meter.add(len(chunk), work=len(chunk))
    work.finish()


def load_entries(
    toc: Toc,
    entries: Sequence[TocEntry],
    feed: Feed,
    database: Database,
    loading: Loading,
    *,
    work: LoadWork,
    logged: set[str],
    cancellation: Cancellation,
) -> None:
    """Restore some entries of an archive, in their order.

    :param toc: the archive; its table of contents gets these entries alone.
    :param feed: called for each entry with data.
    :param work: is told what pg_restore works on.
    :param logged: the kinds of harmless errors that runs before this one have logged.
    :raises RestoreError: at the first error that is not harmless.
    :raises PgCloneError: the error of ``feed``.
    """
    part = replace(toc, compression="none", entries=tuple(entries))
    with _pg_restore(database, loading, work.run(entries), cancellation, logged) as write:
        write(write_toc(part))
        for entry in entries:
            if entry.has_data:
                feed(entry.dump_id, InputSink(write, entry))


@contextmanager
def _pg_restore(
    database: Database,
    loading: Loading,
    run: RunWork,
    cancellation: Cancellation,
    logged: set[str] | None = None,
) -> Iterator["_Input"]:
    """Run pg_restore while the block writes an archive to it.

    If it ends before it has read all, the block is left, and its messages say why it ended.
    """
    monitor = RestoreMonitor(
        loading.server_major, guarded=loading.guarded, logged=logged, on_text=run.feed
    )
    with run_child(
        loading.argv(database),
        environment={**loading.environment(database), **monitor.environment},
        cancellation=cancellation,
        on_stderr=monitor.feed,
        stdin=True,
        # At this signal it ends its statement on the server.
        end_signal=SIGTERM,
    ) as child:
        monitor.attach(child)
        has_read_all = False
        with suppress(_EndedError):
            try:
                yield _Input(child, cancellation)
            except BaseException:
                child.kill()  # before its input ends, which it would report
                raise
            has_read_all = _close(child)
        with _explaining_no_room():
            monitor.raise_for_result(child.wait(), child)
        if not has_read_all:
            raise RestoreError("pg_restore has ended before it had read the whole archive")
    run.finish()


@contextmanager
def _explaining_no_room() -> Iterator[None]:
    try:
        yield
    except RestoreError as error:
        if (hint := hint_for_room(error.message)) is None:
            raise
        raise RestoreError(error.message, hint=hint) from error


class _EndedError(Exception):
    """pg_restore has ended before it has read everything."""


class _Input:
    """Writes to the standard input of a pg_restore."""

    def __init__(self, child: Child, cancellation: Cancellation) -> None:
        self._child = child
        self._cancellation = cancellation

    def __call__(self, data: Piece) -> None:
        self._cancellation.check()
        try:
            self._child.stdin.write(data)
        except BrokenPipeError as error:
            raise _EndedError from error

    def check(self) -> None:
        """Check that pg_restore waits for more, before and while that is fetched.

        :raises CancelledError: when a stop was requested.
        :raises Exception: when pg_restore has ended; :func:`load_entries` tells why.
        """
        self._cancellation.check()
        if self._child.has_ended:
            raise _EndedError


def _close(child: Child) -> bool:
    """Close the input of a pg_restore, and tell whether it has read everything."""
    try:
        child.stdin.close()
    except BrokenPipeError:
        return False
    return True


def _with_toc(toc: Toc, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks of an archive with another table of contents of the same data.

    pg_restore cannot seek in its input, so it ignores the positions of the data, and reads one
    block after another: ``_PrintTocData()`` in pg_backup_custom.c.
    """
    reader = ArchiveReader(chunks)
    read_start(reader)
    yield write_toc(toc)
    yield from reader.rest()
