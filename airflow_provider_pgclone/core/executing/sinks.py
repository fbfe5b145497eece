"""Where the data of an entry goes: into a pg_restore, or into a COPY of a session."""

from collections.abc import Callable, Iterator
from typing import Protocol

from airflow_provider_pgclone.core.archive import Piece


class BlockSink(Protocol):
    """What waits for the data of an entry."""

    @property
    def holds_large_objects(self) -> bool:
        """Whether the entry has large objects; otherwise it has the rows of a table."""

    def check(self) -> None:
        """Check that more is waited for, before and while that is fetched.

        :raises CancelledError: when a stop was requested.
        :raises Exception: when nothing can be written any more; whoever made the sink tells why.
        """

    def write_rows(self, pieces: Iterator[Piece]) -> None:
        """Write the rows of a table."""

    def write_large_objects(self, objects: Iterator[tuple[int, Iterator[bytes]]]) -> None:
        """Write large objects, each with its OID."""


# Writes the data of the entry with an id.
Feed = Callable[[int, BlockSink], None]
