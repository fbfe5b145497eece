"""Rows as COPY writes them, and their number."""

from collections.abc import Iterable, Iterator

# A reader may use a buffer again once the next piece is asked for.
Piece = bytes | bytearray
# The end marker that pg_dump writes after the rows of a table. Scripts of pg_restore need it.
COPY_END = b"\\.\n\n\n"


class RowCount:
    """The number of rows that have been read so far."""

    def __init__(self) -> None:
        self.rows = 0

    def counted(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield pieces in COPY's text format, and count the rows that end in each.

        The end marker is not a row. It is recognized as an object, since a row may have the same
        bytes.
        """
        for piece in pieces:
            self.rows += 0 if piece is COPY_END else piece.count(b"\n")
            yield piece
