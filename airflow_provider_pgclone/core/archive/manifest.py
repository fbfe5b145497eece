"""The manifest at the end of an archive: the content and the hash of each block, and other facts.

The manifest is a data block whose dump id is not in the table of contents, so stock pg_restore
never reads it. The last chunk is a footer of fixed size, which contains the manifest's position.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import zstandard

from airflow_provider_pgclone.core.archive.encoding import DATA, END, write_integer
from airflow_provider_pgclone.core.archive.signing import SIGNATURE
from airflow_provider_pgclone.core.archive.toc import TableName
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

FOOTER_MAGIC = b"PGCLONE1"
FORMAT = 1
# The magic, then the offset, the length and the SHA-256 of the manifest.
_FOOTER = struct.Struct("<8sQQ32s")
_FOOTER_LENGTH = write_integer(_FOOTER.size)
# What the block has before the manifest: its kind, its dump id, and the length of the manifest.
HEAD_BYTES = 1 + 2 * len(END)
# What it has after the manifest: the length of the footer, the footer, and the end.
TAIL_BYTES = len(_FOOTER_LENGTH) + _FOOTER.size + len(END)
_MAX_MANIFEST_BYTES = 1 << 30

# What the hash of a row is made of: the hashes of its values, or the text of the row. The latter is
# read in older archives alone, since a text has no room for the quotes of a large value.
BY_COLUMN, BY_ROW = "column", "row"

_TEXTS = (
    "package_version",
    "created_at",
    "toc_sha256",
    "archive_version",
    "compression",
    "pg_dump_version",
    "server_version",
    "database",
    "encoding",
)
_NUMBERS = ("toc_bytes", "has_rows", "database_bytes")
# No size, count or time is larger, and sums of these are still numbers that can be shown.
_MAX_NUMBER = 1 << 63

Names = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Block:
    """The position, size and hash of a block.

    :param offset: the position of its first byte in the archive.
    :param length: the number of its bytes in the archive.
    :param raw_bytes: the size of its content before compression, in bytes.
    :param rows: the number of rows or of large objects in it.
    :param sha256: the hash of its bytes in the archive, in hexadecimal.
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
    """A block and the name of what it contains.

    :param schema: the schema of the table; empty for large objects.
    :param table: the table; empty for large objects.
    """

    block: Block
    schema: str
    table: str

    @property
    def display_name(self) -> str:
        """The name of the block for messages."""
        what = f"the data of {self.schema}.{self.table}" if self.table else "the large objects"
        return f"{what} (block {self.block.dump_id})"


@dataclass(frozen=True)
class TableChecksum:
    """A checksum of the rows of a table.

    :param rows: the number of rows.
    :param total: the sum of the hashes of the rows.
    :param hashed: what the hash of a row is made of, ``BY_COLUMN`` or ``BY_ROW``.
    """

    rows: int
    total: str
    hashed: str

    def __post_init__(self) -> None:
        if self.hashed not in (BY_COLUMN, BY_ROW):
            raise ValueError(f"unknown checksum {self.hashed!r}")

    @classmethod
    def from_json(cls, rows: int, total: str, hashed: str | None = None) -> "TableChecksum":
        return cls(rows, total, hashed or BY_ROW)

    def as_json(self) -> list[Any]:
        """Return the values that :meth:`from_json` takes.

        Versions that know no hash by columns read no list of three, and ask for an update. They
        would otherwise find that each table differs.
        """
        return [self.rows, self.total, *([self.hashed] if self.hashed != BY_ROW else [])]


@dataclass(frozen=True)
class MaskingFacts:
    """The facts in a manifest about the masks of its dump. No value of a row is among them.

    A table is a tuple of schema and table, and a column is a tuple of schema, table and column. A
    partition is listed under its root table.

    :param columns: the masked columns, each followed by its rule.
    :param kept: the columns that are declared safe.
    :param unclassified: the columns that are neither masked nor declared safe.
    :param rows: the tables with a condition on rows, each followed by the condition.
    :param reported: objects outside the rows that may contain personal data, as kind and name.
    :param policy: the policy of the dump, ``None`` for none.
    :param follow_fks: whether rows that refer to left-out rows are left out too.
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

    :param entries: the blocks, in the order of the archive.
    :param created_at: the time at which the manifest was written, in ISO 8601.
    :param toc_bytes: the size of the table of contents, after which the blocks start.
    :param toc_sha256: the hash of the table of contents, in hexadecimal.
    :param has_rows: whether the data are rows of COPY, which can be counted, and not INSERTs.
    :param database_bytes: the size of the database that was dumped.
    :param content: the patterns that selected the dumped part of the database.
    :param masking: the facts about masks; ``None`` if the dump was made without masks.
    :param checksums: the checksum of each table; ``None`` if the dump took none.
    :param made_by: who made the dump, such as the ``dag``, the ``task`` and the ``run`` of Airflow.
    :param seconds: how long the dump took; ``None`` if not known.
    :param instance: the part of the dump's key that stands for its instance; ``None`` in dumps of
        earlier versions, which gave several instances one part.
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
    made_by: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    instance: str | None = None

    @property
    def rows_of_tables(self) -> dict[TableName, int]:
        """The number of rows of each table in the archive, by schema and name."""
        rows: dict[TableName, int] = {}
        for entry in self.entries:
            if entry.block.kind == DATA:
                name = (entry.schema, entry.table)
                rows[name] = rows.get(name, 0) + entry.block.rows
        return rows

    @property
    def left_out(self) -> list[str]:
        """The options by which the dump may have less than the whole database."""
        found = [f"{name}={list(value)}" for name, value in self.content.items() if value]
        tables = [f"{row[0]}.{row[1]}" for row in self.masking.rows] if self.masking else []
        return [*found, *([f"conditions on the rows of {', '.join(tables)}"] if tables else [])]

    @property
    def masks_columns(self) -> bool:
        """Whether any column is masked."""
        return self.masking is not None and bool(self.masking.columns)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Manifest":
        """Build a manifest from the result of :meth:`as_json`; unknown names are ignored.

        :raises UnsupportedError: when a fact is missing or has another type. The bytes are those
            that were written, so that another version of this package must have written them.
        """
        known = {name: values[name] for name in _names_of(cls) if name in values}
        try:
            known["entries"] = tuple(_entry(part) for part in values["parts"])
            if (masking := values.get("masking")) is not None:
                known["masking"] = MaskingFacts.from_json(masking)
            if (checksums := values.get("checksums")) is not None:
                known["checksums"] = {
                    (schema, table): TableChecksum.from_json(*checksum)
                    for schema, table, *checksum in checksums
                }
            _check_types(known)
            return cls(**known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnsupportedError(
                f"this version of the package cannot read the manifest of the archive: {error!r}",
                hint="Update airflow-provider-pgclone.",
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as JSON values; its ``parts`` are the blocks."""
        parts = [
            {"schema": entry.schema, "table": entry.table, **vars(entry.block)}
            for entry in self.entries
        ]
        return {**self.facts(), "parts": parts}

    def facts(self) -> dict[str, Any]:
        """Return everything but the blocks as JSON values."""
        facts = {name: value for name, value in vars(self).items() if name != "entries"}
        facts["content"] = {name: list(value) for name, value in self.content.items()}
        del facts["masking"], facts["checksums"]
        for name in ("instance", "made_by", "seconds"):
            if not facts[name]:
                del facts[name]
        if self.masking is not None:
            facts["masking"] = self.masking.as_json()
        if self.checksums is not None:
            facts["checksums"] = [
                [*name, *checksum.as_json()] for name, checksum in self.checksums.items()
            ]
        return facts


@dataclass(frozen=True)
class Footer:
    """The position, size and hash of the manifest in an archive."""

    offset: int
    length: int
    sha256: bytes


def manifest_block(
    manifest: Manifest,
    *,
    dump_id: int,
    offset: int,
    sign: Callable[[Mapping[str, Any]], str] | None = None,
) -> bytes:
    """Return the block that contains the manifest, which is the last one of an archive.

    :param dump_id: a dump id that no entry uses.
    :param offset: the number of bytes that the archive has before this block.
    :param sign: returns the signature of the manifest's JSON values.
    """
    values = {"format": FORMAT, **manifest.as_json()}
    if sign is not None:
        values[SIGNATURE] = sign(values)
    data = zstandard.ZstdCompressor(level=3).compress(json.dumps(values).encode())
    head = manifest_head(dump_id, len(data))
    footer = _FOOTER.pack(
        FOOTER_MAGIC, offset + len(head), len(data), hashlib.sha256(data).digest()
    )
    return head + data + _FOOTER_LENGTH + footer + END


def manifest_head(dump_id: int, manifest_bytes: int) -> bytes:
    """Return the bytes of the last block that precede the manifest."""
    return bytes([DATA]) + write_integer(dump_id) + write_integer(manifest_bytes)


def read_footer(tail: bytes, archive_bytes: int) -> Footer | None:
    """Return the footer in the last bytes of an archive, ``None`` if the archive is not ours.

    :param tail: at least the last ``TAIL_BYTES`` bytes, or the whole archive if it is shorter.
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


def read_manifest(data: bytes, footer: Footer) -> dict[str, Any]:
    """Return the manifest that a footer points to as JSON values, as they were signed.

    :raises ArchiveError: when the bytes differ from what was written.
    :raises UnsupportedError: when a newer version of this package wrote it.
    """
    if hashlib.sha256(data).digest() != footer.sha256:
        raise ArchiveError("the manifest at the end of the archive is damaged")
    try:
        if zstandard.frame_content_size(data) > _MAX_MANIFEST_BYTES:
            raise ArchiveError("the manifest at the end of the archive is too large")
        values: Any = json.loads(
            zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_MANIFEST_BYTES)
        )
    except (ValueError, RecursionError, zstandard.ZstdError) as error:
        # The hash is that of these bytes: somebody else than this package wrote them.
        raise ArchiveError("the manifest at the end of the archive is not one") from error
    if not isinstance(values, dict):
        raise ArchiveError("the manifest at the end of the archive is not one")
    if values.get("format") != FORMAT:
        raise UnsupportedError(
            "the archive was written by a newer version of this package",
            hint="Update airflow-provider-pgclone.",
        )
    return values


def _names_of(kind: type[Manifest] | type[MaskingFacts] | type[Block]) -> Iterable[str]:
    return (one.name for one in fields(kind))


def _entry(values: Mapping[str, Any]) -> ManifestEntry:
    known = {name: values[name] for name in _names_of(Block)}
    _check_kinds({name: value for name, value in known.items() if name != "sha256"}, int)
    names = {"schema": values["schema"], "table": values["table"], "sha256": known["sha256"]}
    _check_kinds(names, str)
    return ManifestEntry(Block(**known), values["schema"], values["table"])


def _check_types(known: Mapping[str, Any]) -> None:
    """Check the types of the facts, which a list of dumps adds up and shows without a further look.

    :raises TypeError: for a fact of another type.
    """
    texts = {name: known[name] for name in _TEXTS if name in known}
    _check_kinds({**texts, **known.get("made_by", {})}, str)
    _check_kinds({name: known[name] for name in _NUMBERS if name in known}, int)
    if (seconds := known.get("seconds")) is not None and not 0 <= seconds <= _MAX_NUMBER:
        raise TypeError("seconds is not a time")
    for value in known.get("content", {}).values():
        _check_kinds(dict(enumerate(value)), str)


def _check_kinds(values: Mapping[Any, object], kind: type) -> None:
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}")
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise TypeError(f"{name} is too large")
