"""The manifest of an archive: the content and the hash of each block, and other facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_pgclone.core.archive.encoding import DATA
from airflow_provider_pgclone.core.archive.toc import TableName
from airflow_provider_pgclone.core.errors import UnsupportedError

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
# The arguments of pg_dump among the options in a manifest.
_ARGUMENTS = "pg_dump_args"
_NO_DATA = "--no-data"

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
    :param index_bytes: the size of each index on the dumped server, by the dump id of its entry.
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
    index_bytes: Mapping[int, int] = field(default_factory=dict)

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
    def lost_all_rows(self) -> bool:
        """Whether no table has a row, and the options of the dump may be the reason."""
        if not self.has_rows or any(self.rows_of_tables.values()):
            return False
        chosen = any(value for name, value in self.content.items() if name != _ARGUMENTS)
        leaves_out = any(map(_may_leave_rows_out, self.content.get(_ARGUMENTS, ())))
        return chosen or leaves_out or bool(self.masking and self.masking.rows)

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
            known["index_bytes"] = {
                int(dump_id): size for dump_id, size in values.get("index_bytes", {}).items()
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
        facts["index_bytes"] = {str(id_): size for id_, size in self.index_bytes.items()}
        del facts["masking"], facts["checksums"]
        for name in ("instance", "made_by", "seconds", "index_bytes"):
            if not facts[name]:
                del facts[name]
        if self.masking is not None:
            facts["masking"] = self.masking.as_json()
        if self.checksums is not None:
            facts["checksums"] = [
                [*name, *checksum.as_json()] for name, checksum in self.checksums.items()
            ]
        return facts


def _may_leave_rows_out(argument: str) -> bool:
    """Tell whether an argument of pg_dump may leave out rows; --no-owner and its like do not."""
    return not argument.startswith("--no-") or _NO_DATA.startswith(argument)


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
    _check_kinds(known["index_bytes"], int)
    for value in known.get("content", {}).values():
        _check_kinds(dict(enumerate(value)), str)


def _check_kinds(values: Mapping[Any, object], kind: type) -> None:
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}")
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise TypeError(f"{name} is too large")
