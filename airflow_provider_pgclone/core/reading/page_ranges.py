"""Splits tables into ranges of pages, and adds the ranges to a table of contents. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from airflow_provider_pgclone.core.archive import (
    POSITION_NOT_SET,
    SECTION_DATA,
    SECTION_POST_DATA,
    TableName,
    Toc,
    TocEntry,
)
from airflow_provider_pgclone.core.catalog import Table, rows_query
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.postgres import quote

# The compressed rows of a part should fit into the queue of its worker. Otherwise workers wait for
# each other.
PART_BYTES = 48 * 1024 * 1024
# At the end, a worker is busy alone for at most the time of a part. So what is left is always this
# many parts for each worker, but not smaller: each costs two round trips.
PARTS_OF_WORKER = 8
LEAST_PART_BYTES = 4 * 1024 * 1024
# More ranges would only make the table of contents and the dependencies of indexes longer. So the
# ranges of a larger table have several parts.
MAX_RANGES_OF_TABLE = 2000


@dataclass(frozen=True)
class PageRange:
    """The pages of a table from ``first`` to before ``end``; ``None`` is the end of the table.

    :param is_binary: whether the rows are read in the binary format of COPY instead of text.
    """

    table: Table
    first: int
    end: int | None
    is_binary: bool = False


@dataclass(frozen=True)
class RangeEntry:
    """A range of pages and its entry in the table of contents.

    :param size_bytes: the size of the table, divided by the number of its ranges.
    :param left_bytes: the size of this range and of all after it.
    :param workers: how many read the parts of ranges.
    """

    entry: TocEntry
    pages: PageRange
    size_bytes: int
    left_bytes: int
    workers: int

    def parts(self) -> list[PageRange]:
        """Split the range into the parts that are read at the same time."""
        starts, end = [self.pages.first], _end(self.pages)
        own_bytes, left_bytes = self.size_bytes, self.left_bytes
        while True:
            pages = end - starts[-1]
            count = _count(own_bytes, part_size(left_bytes, self.workers), pages)
            if count == 1:
                return _between(self.pages, starts)
            starts.append(starts[-1] + pages // count)
            own_bytes, left_bytes = own_bytes - own_bytes // count, left_bytes - own_bytes // count


def part_size(left_bytes: int, workers: int) -> int:
    """Return the size of the next parts, by which workers end at about the same time.

    :param left_bytes: what is still to be read.
    """
    share = left_bytes // (PARTS_OF_WORKER * workers)
    return min(PART_BYTES, max(LEAST_PART_BYTES, share))


def split(table: Table, range_bytes: int | None = None) -> list[PageRange]:
    """Split a table into ranges of about the same size; the last one has no end.

    :param range_bytes: that size, if there are not too many; by default that of the largest part.
    """
    count = _count(table.size_bytes, range_bytes or PART_BYTES, table.pages)
    count = min(count, MAX_RANGES_OF_TABLE)
    return _split(PageRange(table, 0, None), count)


def _split(pages: PageRange, count: int) -> list[PageRange]:
    """Split pages; the last of the ranges ends where the pages end."""
    starts = [pages.first + (_end(pages) - pages.first) * n // count for n in range(count)]
    return _between(pages, starts)


def _between(pages: PageRange, starts: Sequence[int]) -> list[PageRange]:
    """Return the ranges of pages that begin at some of them."""
    ends = [*starts[1:], pages.end]
    return [replace(pages, first=first, end=end) for first, end in zip(starts, ends, strict=True)]


def _end(pages: PageRange) -> int:
    """Return where pages end, as far as the size of the table is known."""
    return pages.table.pages if pages.end is None else pages.end


def _count(size_bytes: int, part_bytes: int, pages: int) -> int:
    return max(1, min(-(-size_bytes // part_bytes), pages))


def add_ranges(
    toc: Toc,
    tables: Sequence[Table],
    *,
    workers: int,
    range_bytes: int | None = None,
    binary: Collection[TableName] = (),
) -> tuple[Toc, list[RangeEntry]]:
    """Add an entry for each range, after the data that pg_dump writes itself.

    The dependencies are for the parallel mode of pg_restore: restore_toc_entries_parallel() in
    pg_backup_archiver.c. The first dependency of a range is an id that no entry has. If it were the
    table's id, pg_restore would treat the range as all data of the table, and truncate the table
    before it loads the range. The second dependency is the table. Entries that follow the data and
    depend on a table, such as indexes, also depend on all ranges of the table.

    :param tables: the tables whose data pg_dump was told to leave out.
    :param workers: how many read the ranges or their parts.
    :param range_bytes: see :func:`split`.
    :param binary: the tables that are read in the binary format of COPY.
    :return: the new table of contents, and the ranges in the order of their entries.
    :raises ArchiveError: when the table of contents does not contain one of the tables, because
        its data would be lost.
    """
    if not tables:
        return toc, []
    of_table = {entry.table: entry for entry in toc.entries if entry.description == "TABLE"}
    next_id = toc.unused_id
    spare = _spare_id(toc)
    found: list[RangeEntry] = []
    left_bytes = sum(table.size_bytes for table in tables)
    ids_of_table: dict[int, list[int]] = {}
    for table in tables:
        table_entry = of_table.get((table.schema, table.name))
        if table_entry is None:
            raise ArchiveError(
                f"pg_dump did not write the table {table.display_name}, which is read in ranges"
            )
        ranges = split(table, range_bytes)
        is_binary = (table.schema, table.name) in binary
        size_bytes = table.size_bytes // len(ranges)
        for pages in ranges:
            pages = replace(pages, is_binary=is_binary)
            entry = _range_entry(table_entry, pages, next_id, spare)
            found.append(RangeEntry(entry, pages, size_bytes, left_bytes, workers))
            left_bytes -= size_bytes
            ids_of_table.setdefault(table_entry.dump_id, []).append(next_id)
            next_id += 1
    entries = [_with_ranges(entry, ids_of_table) for entry in toc.entries]
    place = _end_of_data(entries)
    entries[place:place] = [range_entry.entry for range_entry in found]
    return replace(toc, entries=tuple(entries)), found


def copy_query(pages: PageRange) -> str:
    """Return the COPY statement of a range."""
    where = [f"ctid >= '({pages.first},0)'"]
    if pages.end is not None:
        where.append(f"ctid < '({pages.end},0)'")
    masked = pages.table.masked
    if masked is not None and masked.condition is not None:
        where.append(masked.condition)
    rows = f"{rows_query(pages.table)} WHERE {' AND '.join(where)}"
    return f"COPY ({rows}) TO STDOUT{_format(pages)}"


def _range_entry(table_entry: TocEntry, pages: PageRange, dump_id: int, spare: int) -> TocEntry:
    table = pages.table
    # For a table without columns pg_dump does not write a list: fmtCopyColumnList() in pg_dump.c.
    columns = f"({', '.join(map(quote, table.columns))})" if table.columns else ""
    name = f"{quote(table.schema)}.{quote(table.name)}"
    return replace(
        table_entry,
        dump_id=dump_id,
        has_dumper=1,
        catalog_oid="0",
        description="TABLE DATA",
        section=SECTION_DATA,
        definition="",
        drop_statement="",
        copy_statement=f"COPY {name} {columns} FROM stdin{_format(pages)};\n",
        tablespace=None,
        table_access_method=None,
        relation_kind=0,
        dependencies=(spare, table_entry.dump_id),
        data_state=POSITION_NOT_SET,
    )


def _format(pages: PageRange) -> str:
    return " (FORMAT binary)" if pages.is_binary else ""


def _with_ranges(entry: TocEntry, ids_of_table: dict[int, list[int]]) -> TocEntry:
    if entry.section != SECTION_POST_DATA:
        return entry
    more = [dump_id for table in entry.dependencies for dump_id in ids_of_table.get(table, ())]
    return entry.depending_on(more)


def _end_of_data(entries: Sequence[TocEntry]) -> int:
    """Return the index after the last entry with data, or that of the first post-data entry."""
    with_data = [place for place, entry in enumerate(entries) if entry.has_data]
    if with_data:
        return with_data[-1] + 1
    after = (place for place, e in enumerate(entries) if e.section == SECTION_POST_DATA)
    return next(after, len(entries))


def _spare_id(toc: Toc) -> int:
    """Return an unused id below the highest one; pg_dump always leaves some ids unused."""
    used = {entry.dump_id for entry in toc.entries}
    for number in range(1, toc.unused_id):
        if number not in used:
            return number
    raise ArchiveError("the archive uses all dump ids, so no range can be added")
