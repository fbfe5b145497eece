"""The manifest at the end of an archive: what each block holds, and the hash of each.

It is a data block under a dump id that no entry of the table of contents uses, so that stock
pg_restore never looks at it. Its last chunk is a footer of a fixed size that tells where it starts.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import zstandard

from airflow_provider_pgclone.core.archive.encoding import DATA, END, write_integer
from airflow_provider_pgclone.core.archive.toc import TableName
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

FOOTER_MAGIC = b"PGCLONE1"
FORMAT = 1
# The magic, where the manifest starts, its length, and its SHA-256.
_FOOTER = struct.Struct("<8sQQ32s")
_FOOTER_LENGTH = write_integer(_FOOTER.size)
HEAD_BYTES = 1 + 2 * len(END)
TAIL_BYTES = len(_FOOTER_LENGTH) + _FOOTER.size + len(END)
_MAX_MANIFEST_BYTES = 1 << 30

Names = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Block:
    """Where a block of an archive is, and what tells whether it is whole.

    :param offset: of its first byte in the archive, and ``length`` its bytes there.
    :param raw_bytes: the size of its content before compression.
    :param rows: the number of rows of a table, or of large objects.
    :param sha256: of its bytes in the archive, in hexadecimal.
    """

    dump_id: int
    kind: int
    offset: int
    length: int
    raw_bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class ManifestEntry:
    """A block and what it holds.

    :param schema: and ``table``, of rows; both are empty for large objects.
    """

    block: Block
    schema: str
    table: str

    @property
    def display_name(self) -> str:
        """What a message calls it."""
        what = f"the data of {self.schema}.{self.table}" if self.table else "the large objects"
        return f"{what} (block {self.block.dump_id})"


@dataclass(frozen=True)
class TableChecksum:
    """What tells the rows of a table from others.

    :param rows: how many there are.
    :param total: the sum of their hashes.
    """

    rows: int
    total: str


@dataclass(frozen=True)
class MaskingFacts:
    """What a manifest says of the masks of its dump; never a value of a row.

    Each name is a tuple of schema, table and, where it is one of a column, column. A partition
    counts as its root.

    :param columns: the masked columns, each with its rule.
    :param kept: the columns that are declared safe.
    :param unclassified: the columns that are neither.
    :param rows: tables with a condition, each with that condition.
    :param reported: what may hold personal data beside the rows, each as its kind and name.
    :param is_keyed: whether a mask key was given.
    """

    columns: Names = ()
    kept: Names = ()
    unclassified: Names = ()
    rows: Names = ()
    reported: Names = ()
    policy: str | None = None
    follow_fks: bool = False
    is_keyed: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "MaskingFacts":
        known = {name: values[name] for name in _names_of(cls) if values.get(name) is not None}
        lists = {
            name: tuple(tuple(map(str, one)) for one in value)
            for name, value in known.items()
            if isinstance(value, list | tuple)
        }
        return cls(**{**known, **lists})

    def as_json(self) -> dict[str, Any]:
        return {
            name: [list(one) for one in value] if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class Manifest:
    """The manifest of an archive.

    :param entries: its blocks, in their order.
    :param created_at: when the manifest was written, in ISO 8601.
    :param toc_bytes: the length of the table of contents, behind which the blocks start.
    :param has_rows: whether the data are rows of COPY, which can be counted, and not INSERTs.
    :param content: which part of the database was dumped: the patterns of the selection.
    :param masking: what was masked; ``None`` where masking was not asked for.
    :param checksums: that of each table; ``None`` where the dump took none.
    """

    entries: tuple[ManifestEntry, ...]
    package_version: str
    created_at: str
    toc_bytes: int
    toc_sha256: str
    has_rows: bool
    archive_version: str
    compression: str
    pg_dump_version: str
    server_version: str
    database: str
    database_bytes: int
    encoding: str
    content: Mapping[str, Sequence[str]] = field(default_factory=dict)
    masking: MaskingFacts | None = None
    checksums: Mapping[TableName, TableChecksum] | None = None

    @property
    def rows_of_tables(self) -> dict[TableName, int]:
        """The number of rows that the archive has of each table, by schema and name."""
        rows: dict[TableName, int] = {}
        for entry in self.entries:
            if entry.block.kind == DATA:
                name = (entry.schema, entry.table)
                rows[name] = rows.get(name, 0) + entry.block.rows
        return rows

    @property
    def masks_columns(self) -> bool:
        """Whether any column is masked."""
        return self.masking is not None and bool(self.masking.columns)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Manifest":
        """Build a manifest from what :meth:`as_json` returned; names that are unknown are ignored.

        :raises ArchiveError: when a fact is missing or of another type.
        """
        known = {name: values[name] for name in _names_of(cls) if name in values}
        try:
            known["entries"] = tuple(_entry(dict(part)) for part in values["parts"])
            if (masking := values.get("masking")) is not None:
                known["masking"] = MaskingFacts.from_json(masking)
            if (checksums := values.get("checksums")) is not None:
                known["checksums"] = {
                    (schema, table): TableChecksum(rows, total)
                    for schema, table, rows, total in checksums
                }
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"the manifest of the archive cannot be read: {error}") from error

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as values of JSON; ``parts`` are the blocks."""
        parts = [
            {"schema": entry.schema, "table": entry.table, **vars(entry.block)}
            for entry in self.entries
        ]
        return {**self.facts(), "parts": parts}

    def facts(self) -> dict[str, Any]:
        """Return all but the blocks as values of JSON."""
        facts = {name: value for name, value in vars(self).items() if name != "entries"}
        facts["content"] = {name: list(value) for name, value in self.content.items()}
        del facts["masking"], facts["checksums"]
        if self.masking is not None:
            facts["masking"] = self.masking.as_json()
        if self.checksums is not None:
            facts["checksums"] = [
                [*name, checksum.rows, checksum.total] for name, checksum in self.checksums.items()
            ]
        return facts


@dataclass(frozen=True)
class Footer:
    """Where the manifest of an archive is."""

    offset: int
    length: int
    sha256: bytes


def manifest_block(manifest: Manifest, *, dump_id: int, offset: int) -> bytes:
    """Return the last block of an archive.

    :param dump_id: one that no entry uses.
    :param offset: the number of bytes that the archive has before it.
    """
    text = json.dumps({"format": FORMAT, **manifest.as_json()})
    data = zstandard.ZstdCompressor(level=3).compress(text.encode())
    head = manifest_head(dump_id, len(data))
    footer = _FOOTER.pack(
        FOOTER_MAGIC, offset + len(head), len(data), hashlib.sha256(data).digest()
    )
    return head + data + _FOOTER_LENGTH + footer + END


def manifest_head(dump_id: int, manifest_bytes: int) -> bytes:
    """Return what the last block has before its manifest."""
    return bytes([DATA]) + write_integer(dump_id) + write_integer(manifest_bytes)


def read_footer(tail: bytes, archive_bytes: int) -> Footer | None:
    """Read the footer in the last bytes of an archive; ``None`` where it has none of ours.

    :param archive_bytes: the size of the whole archive.
    :raises ArchiveError: when the footer does not fit the archive.
    """
    start = len(tail) - len(END) - _FOOTER.size
    if start < 0 or not tail.endswith(END):
        return None
    magic, offset, length, digest = _FOOTER.unpack(tail[start : -len(END)])
    if magic != FOOTER_MAGIC:
        return None
    if not tail[:start].endswith(_FOOTER_LENGTH):
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    fits = offset >= HEAD_BYTES and offset + length + TAIL_BYTES == archive_bytes
    if length > _MAX_MANIFEST_BYTES or not fits:
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    return Footer(offset, length, digest)


def read_manifest(data: bytes, footer: Footer) -> Manifest:
    """Read the manifest that a footer has found.

    :raises ArchiveError: when it differs from what was written.
    :raises UnsupportedError: when a newer version of this package wrote it.
    """
    if hashlib.sha256(data).digest() != footer.sha256:
        raise ArchiveError("the manifest at the end of the archive is damaged")
    values = json.loads(zstandard.ZstdDecompressor().decompress(data))
    if values.get("format") != FORMAT:
        raise UnsupportedError(
            "the archive was written by a newer version of this package",
            hint="Update airflow-provider-pgclone.",
        )
    return Manifest.from_json(values)


def _names_of(kind: type[Manifest] | type[MaskingFacts]) -> Iterable[str]:
    return (one.name for one in fields(kind))


def _entry(values: dict[str, Any]) -> ManifestEntry:
    schema, table = values.pop("schema"), values.pop("table")
    return ManifestEntry(Block(**values), schema, table)
