"""Named pipes in place of a data file of an archive in directory format."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from airflow_provider_pgclone.core.archive import Toc, TocEntry
from airflow_provider_pgclone.core.postgres import Pipes


class DataFile:
    """The data file of an entry, as named pipes from which pg_restore reads.

    An entry of large objects has a file that lists them, and a file for each large object. Two
    pipes in turn are enough for the large objects: when pg_restore opens the second, it has closed
    the first. See ``_LoadLOs`` in pg_backup_directory.c.
    """

    def __init__(self, pipes: Pipes, entry: TocEntry, toc: Toc) -> None:
        self._pipes = pipes
        self._object_names: list[str] = []
        if entry.description == "BLOBS":
            # Before version 1.16 there is only one such entry, and pg_restore ignores the file name
            # in the table of contents.
            self.name = "blobs.toc" if toc.version < (1, 16) else f"blobs_{entry.dump_id}.toc"
            self._object_names = [f"blob_{entry.dump_id}_{turn}.dat" for turn in range(2)]
        else:
            self.name = f"{entry.dump_id}.dat"
        for name in (self.name, *self._object_names):
            pipes.make(name)

    @property
    def holds_large_objects(self) -> bool:
        """Whether the entry holds large objects; otherwise it holds the rows of a table."""
        return bool(self._object_names)

    def in_use(self) -> AbstractContextManager[Path]:
        """Yield the path to which another program can write the rows of a table."""
        return self._pipes.in_use(self.name)

    def check(self) -> None:
        """Check that pg_restore is still running.

        :raises ReaderGoneError: when pg_restore has ended.
        """
        self._pipes.check()

    def write_rows(self, pieces: Iterator[bytes]) -> None:
        """Write the rows of a table.

        :raises ReaderGoneError: when pg_restore ended before it had read everything.
        """
        with self._pipes.writing(self.name) as write:
            for piece in pieces:
                write(piece)

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        """Write large objects, each with its OID.

        :raises ReaderGoneError: when pg_restore ended before it had read everything.
        """
        with self._pipes.writing(self.name) as write_line:
            for number, (oid, pieces) in enumerate(objects):
                name = self._object_names[number % 2]
                write_line(f"{oid} {name}\n".encode())
                with self._pipes.writing(name) as write:
                    for piece in pieces:
                        write(piece)
