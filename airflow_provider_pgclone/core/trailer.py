"""The account of an archive at its end: what each block holds, and by what it is known to be whole.

It is a data block under a dump id that no entry of the table of contents uses, so that stock
pg_restore never looks at it. Its last chunk is a footer of a fixed size that tells where it starts.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

from airflow_provider_pgclone.core.archive import TableName, write_integer
from airflow_provider_pgclone.core.blocks import DATA, Block
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

MAGIC = b"PGCLONE1"
FORMAT = 1
# The magic, where the account starts, its length, and its SHA-256.
_FOOTER = struct.Struct("<8sQQ32s")
_FOOTER_LENGTH, _END = write_integer(_FOOTER.size), write_integer(0)
HEAD_BYTES = 1 + 2 * len(_END)
TAIL_BYTES = len(_FOOTER_LENGTH) + _FOOTER.size + len(_END)
_MAX_ACCOUNT_BYTES = 1 << 30


@dataclass(frozen=True)
class TableChecksum:
    """What tells the rows of a table from others.

    :param rows: how many there are.
    :param total: the sum of their hashes.
    """

    rows: int
    total: str


@dataclass(frozen=True)
class Part:
    """A block and what it holds.

    :param schema: and ``table``, of rows; both are empty for large objects.
    """

    block: Block
    schema: str
    table: str

    @property
    def name(self) -> str:
        """What a message calls it."""
        what = f"the data of {self.schema}.{self.table}" if self.table else "the large objects"
        return f"{what} (block {self.block.dump_id})"


@dataclass(frozen=True)
class Trailer:
    """The account of an archive.

    :param facts: what else is known of the dump: versions, the source, what was left out.
    """

    parts: tuple[Part, ...]
    facts: Mapping[str, Any]

    @property
    def has_rows(self) -> bool:
        """Whether the data are rows of COPY, which can be counted, and not INSERT statements."""
        return bool(self.facts["has_rows"])

    @property
    def toc_bytes(self) -> int:
        """How long the table of contents is, behind which the blocks start."""
        return int(self.facts["toc_bytes"])

    @property
    def checksums(self) -> dict[TableName, TableChecksum]:
        """The checksum of each table, where the dump took them; otherwise none."""
        return {
            (schema, table): TableChecksum(rows, total)
            for schema, table, rows, total in self.facts.get("checksums") or ()
        }

    @property
    def rows_of_tables(self) -> dict[TableName, int]:
        """How many rows the archive has of each table, by schema and name."""
        rows: dict[TableName, int] = {}
        for part in self.parts:
            if part.block.kind == DATA:
                name = (part.schema, part.table)
                rows[name] = rows.get(name, 0) + part.block.rows
        return rows


def trailer_block(trailer: Trailer, *, dump_id: int, offset: int) -> bytes:
    """Return the last block of an archive.

    :param dump_id: one that no entry uses.
    :param offset: how many bytes the archive has before it.
    """
    text = json.dumps({"format": FORMAT, **trailer.facts, "parts": _flat(trailer.parts)})
    account = zstandard.ZstdCompressor(level=3).compress(text.encode())
    head = account_head(dump_id, len(account))
    footer = _FOOTER.pack(MAGIC, offset + len(head), len(account), hashlib.sha256(account).digest())
    return head + account + _FOOTER_LENGTH + footer + _END


def account_head(dump_id: int, account_bytes: int) -> bytes:
    """Return what the last block has before its account."""
    return bytes([DATA]) + write_integer(dump_id) + write_integer(account_bytes)


@dataclass(frozen=True)
class Footer:
    """Where the account of an archive is."""

    offset: int
    length: int
    sha256: bytes


def read_footer(tail: bytes, archive_bytes: int) -> Footer | None:
    """Read the footer in the last bytes of an archive; ``None`` where it has none of ours.

    :param archive_bytes: the size of the whole archive.
    :raises ArchiveError: when the footer does not fit the archive.
    """
    start = len(tail) - len(_END) - _FOOTER.size
    if start < 0 or not tail.endswith(_END):
        return None
    magic, offset, length, digest = _FOOTER.unpack(tail[start : -len(_END)])
    if magic != MAGIC:
        return None
    if not tail[:start].endswith(_FOOTER_LENGTH):
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    fits = offset >= HEAD_BYTES and offset + length + TAIL_BYTES == archive_bytes
    if length > _MAX_ACCOUNT_BYTES or not fits:
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    return Footer(offset, length, digest)


def read_account(data: bytes, footer: Footer) -> Trailer:
    """Read the account that a footer has found.

    :raises ArchiveError: when it is not the one that was written.
    :raises UnsupportedError: when a newer version of this package wrote it.
    """
    if hashlib.sha256(data).digest() != footer.sha256:
        raise ArchiveError("the account at the end of the archive is damaged")
    fields = json.loads(zstandard.ZstdDecompressor().decompress(data))
    if fields.pop("format") != FORMAT:
        raise UnsupportedError(
            "the archive was written by a newer version of this package",
            hint="Update airflow-provider-pgclone.",
        )
    return Trailer(parts=tuple(_parts(fields.pop("parts"))), facts=fields)


def _flat(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [{"schema": part.schema, "table": part.table, **vars(part.block)} for part in parts]


def _parts(flat: Sequence[dict[str, Any]]) -> Iterator[Part]:
    for fields in flat:
        schema, table = fields.pop("schema"), fields.pop("table")
        yield Part(Block(**fields), schema, table)
