"""The custom-format archive of pg_dump as values: its header and its table of contents.

The format is that of PostgreSQL's ``pg_backup_archiver.c`` (``ReadHead``, ``ReadToc``) and
``pg_backup_custom.c``; it has no other description.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

MAGIC = b"PGDMP"
FORMAT_CUSTOM = 1
OLDEST_ARCHIVE, NEWEST_ARCHIVE = (1, 12), (1, 16)
# The first pg_restore that reads each version of the format: K_VERS_… in pg_backup_archiver.h.
_FIRST_READER = {(1, 12): 9, (1, 13): 10, (1, 14): 12, (1, 15): 16, (1, 16): 17}
_COMPRESSION_NAMES = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
_MAX_ENTRY_COUNT = 10_000_000
_MAX_STRING_BYTES = 1 << 30


@dataclass(frozen=True)
class TocEntry:
    """One object of an archive."""

    dump_id: int
    tag: str
    description: str
    namespace: str
    owner: str
    definition: str
    copy_statement: str
    dependencies: tuple[int, ...]


@dataclass(frozen=True)
class Toc:
    """What an archive says of itself before its data.

    :param version: of the format, such as ``(1, 16)``.
    :param database: the name of the database that was dumped.
    :param server_version: of its server, and that of the pg_dump that ran.
    """

    version: tuple[int, int]
    compression: str
    database: str
    server_version: str
    pg_dump_version: str
    entries: tuple[TocEntry, ...]

    @property
    def first_reader(self) -> int:
        """The oldest major version whose pg_restore reads the archive."""
        return _FIRST_READER[self.version]

    @property
    def owners(self) -> frozenset[str]:
        """The roles that own objects in the archive."""
        return frozenset(entry.owner for entry in self.entries if entry.owner)

    @property
    def database_options(self) -> dict[str, str]:
        """The encoding and locale of the database, as options of CREATE DATABASE."""
        for entry in self.entries:
            if entry.description == "DATABASE":
                found = _DATABASE_OPTION.findall(_CREATE_DATABASE.sub("", entry.definition))
                return {name: quoted.replace("''", "'") or word for name, quoted, word in found}
        return {}


_CREATE_DATABASE = re.compile(r'CREATE DATABASE (?:"(?:[^"]|"")*"|\S+)')
_DATABASE_OPTION = re.compile(
    r"\b(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE)"
    r" = (?:'((?:[^']|'')*)'|(\w+))"
)


class _Reader:
    """Reads the numbers and strings of an archive from chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._position = 0
        self.int_bytes = 4
        self.offset_bytes = 8

    def take(self, count: int) -> bytes:
        if len(self._buffer) - self._position < count:
            self._fill(count)
        taken = self._buffer[self._position : self._position + count]
        self._position += count
        return taken

    def _fill(self, count: int) -> None:
        """Have at least ``count`` bytes in the buffer."""
        pieces = [self._buffer[self._position :]]
        missing = count - len(pieces[0])
        while missing > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ArchiveError("the archive ends within its table of contents")
            pieces.append(chunk)
            missing -= len(chunk)
        self._buffer, self._position = b"".join(pieces), 0

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        negative = self.byte()
        value = int.from_bytes(self.take(self.int_bytes), "little")
        return -value if negative else value

    def text(self) -> str | None:
        length = self.integer()
        if length < 0:
            return None
        if length > _MAX_STRING_BYTES:
            raise ArchiveError(f"the archive has a string of {length} bytes: it is damaged")
        return self.take(length).decode(errors="surrogateescape")


def read_toc(chunks: Iterator[bytes]) -> Toc:
    """Read the start of an archive.

    :param chunks: its bytes, of which no more than needed are taken.
    :raises ArchiveError: when they are no custom-format archive, or end too early.
    :raises UnsupportedError: when the format is newer than all that we know.
    """
    reader = _Reader(chunks)
    version = _read_version(reader)
    compression = _read_compression(reader, version)
    for _ in range(7):  # seconds, minutes, hours, day, month, year, daylight saving time
        reader.integer()
    database, server_version, pg_dump_version = reader.text(), reader.text(), reader.text()
    count = reader.integer()
    if not 0 <= count <= _MAX_ENTRY_COUNT:
        raise ArchiveError(f"the archive has {count} entries: it is damaged")
    return Toc(
        version=version,
        compression=compression,
        database=database or "",
        server_version=server_version or "",
        pg_dump_version=pg_dump_version or "",
        entries=tuple(_read_entry(reader, version) for _ in range(count)),
    )


def _read_version(reader: _Reader) -> tuple[int, int]:
    if reader.take(len(MAGIC)) != MAGIC:
        raise ArchiveError(
            "not a custom-format archive of pg_dump: it does not start with PGDMP",
        )
    version = (reader.byte(), reader.byte())
    reader.byte()  # the revision, which never changed the format
    if version not in _FIRST_READER:
        raise UnsupportedError(
            f"the archive has format {version[0]}.{version[1]}",
            hint="This package knows "
            f"{'.'.join(map(str, OLDEST_ARCHIVE))} to {'.'.join(map(str, NEWEST_ARCHIVE))}.",
        )
    reader.int_bytes = reader.byte()
    reader.offset_bytes = reader.byte()
    if reader.byte() != FORMAT_CUSTOM:
        raise ArchiveError("the archive is of another format than pg_dump -Fc")
    return version


def _read_compression(reader: _Reader, version: tuple[int, int]) -> str:
    if version >= (1, 15):
        algorithm = reader.byte()
        return _COMPRESSION_NAMES.get(algorithm, f"algorithm {algorithm}")
    return "gzip" if reader.integer() != 0 else "none"


def _read_entry(reader: _Reader, version: tuple[int, int]) -> TocEntry:
    dump_id = reader.integer()
    reader.integer()  # whether it has data
    reader.text()  # the OIDs of its catalog and of the object
    reader.text()
    tag, description = reader.text(), reader.text()
    reader.integer()  # the section
    definition, _, copy_statement = reader.text(), reader.text(), reader.text()
    namespace = reader.text()
    reader.text()  # the tablespace
    if version >= (1, 14):
        reader.text()  # the table access method
    if version >= (1, 16):
        reader.integer()  # the kind of relation
    owner = reader.text()
    reader.text()  # whether WITH OIDS
    dependencies = []
    while (dependency := reader.text()) is not None:
        if not re.fullmatch(r"\d{1,10}", dependency, re.ASCII):
            raise ArchiveError("the archive has a dependency that is no number: it is damaged")
        dependencies.append(int(dependency))
    reader.byte()  # the state and the place of its data
    reader.take(reader.offset_bytes)
    return TocEntry(
        dump_id=dump_id,
        tag=tag or "",
        description=description or "",
        namespace=namespace or "",
        owner=owner or "",
        definition=definition or "",
        copy_statement=copy_statement or "",
        dependencies=tuple(dependencies),
    )
