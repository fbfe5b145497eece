"""Reads and writes the header and the table of contents of a custom-format archive.

PostgreSQL's ``pg_backup_archiver.c`` (``ReadHead``, ``ReadToc``) and ``pg_backup_custom.c`` define
the format. There is no other description of it.
"""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive.encoding import (
    INT_BYTES,
    INTEGERS,
    MAGIC,
    OFFSET_BYTES,
    ArchiveReader,
    write_integer,
    write_text,
)
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

FORMAT_CUSTOM = 1
OLDEST_ARCHIVE, NEWEST_ARCHIVE = (1, 12), (1, 16)
# The oldest pg_restore that reads each version of the format: K_VERS_… in pg_backup_archiver.h.
_FIRST_READER = {(1, 12): 9, (1, 13): 10, (1, 14): 12, (1, 15): 16, (1, 16): 17}
_COMPRESSION_NAMES = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
_COMPRESSION_NUMBERS = {name: number for number, name in _COMPRESSION_NAMES.items()}
_MAX_ENTRY_COUNT = 10_000_000
# pg_dump counts ids from 1. pg_restore has arrays of as many places as the highest one.
_MAX_DUMP_ID = 10_000_000
SECTION_NONE = 1
_SECTION_PRE_DATA = 2
SECTION_DATA = 3
SECTION_POST_DATA = 4
# The states of an entry's data: K_OFFSET_… in pg_backup_archiver.h.
POSITION_NOT_SET = 1
NO_DATA = 3

_CREATE_DATABASE = re.compile(r'CREATE DATABASE (?:"(?:[^"]|"")*"|\S+)')
_PARTITIONED = re.compile(r"^PARTITION BY ", re.MULTILINE)
_DATABASE_OPTION = re.compile(
    r"\b(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE)"
    r" = (?:'((?:[^']|'')*)'|(\w+))"
)

# The schema and the name of a table, as a table of contents spells them.
TableName = tuple[str, str]


@dataclass(frozen=True)
class TocEntry:
    """One entry of a table of contents, with all fields of the format. ``None`` is a null string.

    :param has_dumper: whether pg_dump had data for the entry.
    :param data_state: whether the archive has a block with its data.
    """

    dump_id: int
    has_dumper: int
    catalog_oid: str | None
    object_oid: str | None
    tag: str
    description: str
    section: int
    definition: str
    drop_statement: str | None
    copy_statement: str
    namespace: str
    tablespace: str | None
    table_access_method: str | None
    relation_kind: int
    owner: str
    with_oids: str | None
    dependencies: tuple[int, ...]
    data_state: int

    def depending_on(self, more: Iterable[int]) -> "TocEntry":
        """Return the entry with more dependencies; the entry itself if there are none to add.

        Some archives have tens of thousands of entries, and a new one takes 10 µs.
        """
        dependencies = (*self.dependencies, *more)
        added = len(dependencies) > len(self.dependencies)
        return replace(self, dependencies=dependencies) if added else self

    @property
    def has_data(self) -> bool:
        return self.data_state != NO_DATA

    @property
    def is_partitioned(self) -> bool:
        """Whether it is a table that has partitions, and no rows of its own."""
        return self.description == "TABLE" and _PARTITIONED.search(self.definition) is not None

    @property
    def is_loaded_by_root(self) -> bool:
        """Whether its rows are loaded into the root of a partition tree, and so into any partition.

        dumpTableData() in pg_dump.c tells so in the definition.
        """
        return self.has_data and self.definition.startswith("-- load via partition root ")

    @property
    def table(self) -> TableName:
        """The schema and the name of its table."""
        return self.namespace, self.tag

    @property
    def display_name(self) -> str:
        """The name of its table in messages."""
        return f"{self.namespace}.{self.tag}"

    @property
    def gets_owner(self) -> bool:
        """Whether pg_restore gives the object to its owner.

        Like ``_printTocEntry()`` in pg_backup_archiver.c, it assumes that an entry without a
        statement to drop it, such as a comment, has no owner of its own.
        """
        return bool(
            self.owner and self.drop_statement and not self.description.startswith("DATABASE")
        )


def statement_entry(dump_id: int, description: str, tag: str, definition: str) -> TocEntry:
    """Return an entry of statements for which pg_restore needs no more than their text."""
    return TocEntry(
        dump_id=dump_id,
        has_dumper=0,
        catalog_oid="0",
        object_oid="0",
        tag=tag,
        description=description,
        section=SECTION_NONE if description == "ACL" else _SECTION_PRE_DATA,
        definition=definition,
        drop_statement=None,
        copy_statement="",
        namespace="",
        tablespace=None,
        table_access_method=None,
        relation_kind=0,
        owner="",
        with_oids="false",
        dependencies=(),
        data_state=NO_DATA,
    )


@dataclass(frozen=True)
class Toc:
    """The header and the table of contents of an archive.

    :param version: the version of the format, such as ``(1, 16)``.
    :param compression: the compression of the blocks: none, gzip, lz4 or zstd.
    :param created: seconds, minutes, hours, day, month, year since 1900, daylight saving time.
    :param database: the name of the database that was dumped.
    :param server_version: the version of the server that was dumped.
    :param pg_dump_version: the version of pg_dump that wrote the archive.
    """

    version: tuple[int, int]
    compression: str
    created: tuple[int, ...]
    database: str
    server_version: str
    pg_dump_version: str
    entries: tuple[TocEntry, ...]

    def without(self, dump_ids: Container[int]) -> "Toc":
        """Return the table of contents without some entries."""
        entries = tuple(entry for entry in self.entries if entry.dump_id not in dump_ids)
        return replace(self, entries=entries)

    @property
    def first_reader(self) -> int:
        """The oldest major version whose pg_restore reads the archive."""
        return _FIRST_READER[self.version]

    @property
    def unused_id(self) -> int:
        """A dump id that no entry has; the manifest uses it."""
        return max((entry.dump_id for entry in self.entries), default=0) + 1

    @property
    def owners(self) -> frozenset[str]:
        """The roles to which pg_restore gives objects of the archive."""
        return frozenset(entry.owner for entry in self.entries if entry.gets_owner)

    @property
    def lacks_data(self) -> bool:
        """Whether there are tables, but no rows of any, as in an archive of ``--schema-only``.

        pg_dump gives each table that it dumps with its rows an entry for them, even if there are
        none. A partitioned table has no rows of its own: getTableData() in pg_dump.c.
        """
        kinds = {entry.description for entry in self.entries}
        return "TABLE DATA" not in kinds and any(
            entry.description == "TABLE" and not entry.is_partitioned for entry in self.entries
        )

    @property
    def database_options(self) -> dict[str, str]:
        """The encoding and locale of the database, as options of CREATE DATABASE."""
        for entry in self.entries:
            if entry.description == "DATABASE":
                found = _DATABASE_OPTION.findall(_CREATE_DATABASE.sub("", entry.definition))
                return {name: quoted.replace("''", "'") or word for name, quoted, word in found}
        return {}


def read_toc(chunks: Iterator[bytes]) -> Toc:
    """Read the start of an archive.

    :param chunks: the bytes of the archive; no more than needed are read.
    :raises ArchiveError: when the bytes are not a custom-format archive, or end too early.
    :raises UnsupportedError: when this package does not know the version of the format.
    """
    return read_start(ArchiveReader(chunks))


def read_start(reader: ArchiveReader) -> Toc:
    """Read the table of contents, and leave the reader at the first block."""
    version = _read_version(reader)
    compression = _read_compression(reader, version)
    created = tuple(reader.integer() for _ in range(7))
    database, server_version, pg_dump_version = reader.text(), reader.text(), reader.text()
    count = reader.integer()
    if not 0 <= count <= _MAX_ENTRY_COUNT:
        raise ArchiveError(f"the archive has {count} entries: it is damaged")
    return Toc(
        version=version,
        compression=compression,
        created=created,
        database=database or "",
        server_version=server_version or "",
        pg_dump_version=pg_dump_version or "",
        entries=tuple(_read_entry(reader, version) for _ in range(count)),
    )


def write_toc(toc: Toc) -> bytes:
    """Return the header and the table of contents of a custom-format archive.

    The positions of the blocks are not set, so readers look for blocks one after another.
    """
    return _write_start(toc) + b"".join(
        _write_entry(entry, toc.version)
        + bytes([POSITION_NOT_SET if entry.has_data else NO_DATA])
        + bytes(OFFSET_BYTES)
        for entry in toc.entries
    )


def _read_version(reader: ArchiveReader) -> tuple[int, int]:
    if reader.take(len(MAGIC)) != MAGIC:
        raise ArchiveError(
            "not a custom-format archive of pg_dump: it does not start with PGDMP",
        )
    version = (reader.byte(), reader.byte())
    reader.byte()  # the revision, which never changed the format
    if version not in _FIRST_READER:
        raise UnsupportedError(
            f"the archive has format {version[0]}.{version[1]}",
            hint="This package reads formats "
            f"{'.'.join(map(str, OLDEST_ARCHIVE))} to {'.'.join(map(str, NEWEST_ARCHIVE))}.",
        )
    int_bytes = reader.byte()
    if int_bytes not in INTEGERS:
        raise ArchiveError(f"the archive has integers of {int_bytes} bytes: it is damaged")
    reader.integers = INTEGERS[int_bytes]
    reader.offset_bytes = reader.byte()
    if reader.byte() != FORMAT_CUSTOM:
        raise ArchiveError("the archive is not in the custom format of pg_dump")
    return version


def _read_compression(reader: ArchiveReader, version: tuple[int, int]) -> str:
    if version >= (1, 15):
        algorithm = reader.byte()
        if algorithm not in _COMPRESSION_NAMES:
            raise UnsupportedError(
                f"the archive is compressed by algorithm {algorithm}",
                hint=f"This package knows {', '.join(_COMPRESSION_NUMBERS)}.",
            )
        return _COMPRESSION_NAMES[algorithm]
    return "gzip" if reader.integer() != 0 else "none"


def _read_entry(reader: ArchiveReader, version: tuple[int, int]) -> TocEntry:
    """Read the fields of an entry in the order in which WriteToc() writes them."""
    return TocEntry(
        dump_id=_read_dump_id(reader),
        has_dumper=reader.integer(),
        catalog_oid=reader.text(),
        object_oid=reader.text(),
        tag=reader.text() or "",
        description=reader.text() or "",
        section=reader.integer(),
        definition=reader.text() or "",
        drop_statement=reader.text(),
        copy_statement=reader.text() or "",
        namespace=reader.text() or "",
        tablespace=reader.text(),
        table_access_method=reader.text() if version >= (1, 14) else None,
        relation_kind=reader.integer() if version >= (1, 16) else 0,
        owner=reader.text() or "",
        with_oids=reader.text(),
        dependencies=tuple(_read_dependencies(reader)),
        data_state=_read_data_state(reader),
    )


def _read_dump_id(reader: ArchiveReader) -> int:
    dump_id = reader.integer()
    if not 0 < dump_id <= _MAX_DUMP_ID:
        raise ArchiveError(f"the archive has an entry with the id {dump_id}: it is damaged")
    return dump_id


def _read_dependencies(reader: ArchiveReader) -> Iterator[int]:
    while (dependency := reader.text()) is not None:
        if not re.fullmatch(r"\d{1,10}", dependency, re.ASCII):
            raise ArchiveError("the archive has a dependency that is not a number: it is damaged")
        if int(dependency) > _MAX_DUMP_ID:
            raise ArchiveError(
                f"the archive has a dependency on the id {int(dependency)}: it is damaged"
            )
        yield int(dependency)


def _read_data_state(reader: ArchiveReader) -> int:
    state = reader.byte()
    reader.take(reader.offset_bytes)
    return state


def _write_start(toc: Toc) -> bytes:
    if toc.version >= (1, 15):
        compression = bytes([_COMPRESSION_NUMBERS[toc.compression]])
    else:
        # The compression level. Readers check only whether it is 0.
        compression = write_integer(-1 if toc.compression == "gzip" else 0)
    return b"".join(
        [
            MAGIC,
            bytes([*toc.version, 0, INT_BYTES, OFFSET_BYTES, FORMAT_CUSTOM]),
            compression,
            *map(write_integer, toc.created),
            *map(write_text, (toc.database, toc.server_version, toc.pg_dump_version)),
            write_integer(len(toc.entries)),
        ]
    )


def _write_entry(entry: TocEntry, version: tuple[int, int]) -> bytes:
    return b"".join(
        [
            write_integer(entry.dump_id),
            write_integer(entry.has_dumper),
            write_text(entry.catalog_oid),
            write_text(entry.object_oid),
            write_text(entry.tag),
            write_text(entry.description),
            write_integer(entry.section),
            write_text(entry.definition or None),
            write_text(entry.drop_statement),
            write_text(entry.copy_statement or None),
            write_text(entry.namespace or None),
            write_text(entry.tablespace),
            write_text(entry.table_access_method) if version >= (1, 14) else b"",
            write_integer(entry.relation_kind) if version >= (1, 16) else b"",
            write_text(entry.owner or None),
            write_text(entry.with_oids),
            *(write_text(str(dependency)) for dependency in entry.dependencies),
            write_text(None),
        ]
    )
