"""Counts the rows of each table of a live database, for as long as there is time.

The small tables come first. What is not counted when the time is over has the estimate of the
server instead, and so has what cannot be counted: a table that another session has locked, that the
user may not read, or of which a query would run functions of people who are not trusted.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog import (
    begin_holding,
    display_name,
    tables_of_others,
    unreadable_tables,
)
from airflow_provider_pgclone.core.comparing.tables import RowCount
from airflow_provider_pgclone.core.postgres import READING_SESSION, Session

COUNT_SECONDS = 30.0
# Large enough to save round trips for many small tables, small enough to lose little where one of
# them is in the way.
_COUNTED_AT_ONCE = 50
# The most that is locked at a time. The catalog is read anew each time, which takes long where it
# has many tables; 10,000 pages are 80 MB, which are counted in a tenth of a second.
_MOST_TABLES = 500
_MOST_PAGES = 10_000
# A partition counts for the table that it is a part of. A table without partitions has no rows.
_TABLES = """
SELECT c.oid, n.nspname, c.relname, root_schema.nspname, root.relname, c.relkind = 'p',
    CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, c.relpages
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class root
    ON root.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) ELSE c.oid END
JOIN pg_catalog.pg_namespace root_schema ON root_schema.oid = root.relnamespace
WHERE (c.relkind = 'r' OR c.relkind = 'p' AND NOT c.relispartition) AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY c.relpages, n.nspname, c.relname
"""


@dataclass(frozen=True)
class _Table:
    oid: int
    schema: str
    name: str
    root_schema: str
    root_name: str
    is_root: bool
    estimate: int | None
    pages: int

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def count_rows(session: Session, *, seconds: float = COUNT_SECONDS) -> dict[str, RowCount]:
    """Return the rows of each table, by its name as people read it.

    A few tables are counted at a time: a table of somebody who is not trusted is locked against
    planted functions only meanwhile, since VACUUM and CREATE INDEX wait for that.

    :param seconds: about how long to count.
    """
    deadline = time.monotonic() + seconds
    session.execute(READING_SESSION)
    session.execute("SET lock_timeout = '1s'")
    tables = _read_tables(session)
    counted: dict[int, int] = {}
    for some in _batches(one for one in tables if not one.is_root):
        if time.monotonic() < deadline:
            counted |= _count_batch(session, {one.oid for one in some}, deadline)
    found: dict[str, RowCount] = {}
    for table in tables:
        name = display_name(table.root_schema, table.root_name)
        found[name] = found.get(name, RowCount(0)) + _row_count(table, counted)
    return found


def _read_tables(session: Session) -> list[_Table]:
    return [_Table(*row) for row in session.execute(_TABLES)]


def _batches(tables: Iterable[_Table]) -> Iterator[list[_Table]]:
    """Yield the tables in lists, large tables in shorter ones."""
    some: list[_Table] = []
    pages = 0
    for table in tables:
        if some and (len(some) == _MOST_TABLES or pages + table.pages > _MOST_PAGES):
            yield some
            some, pages = [], 0
        some.append(table)
        pages += table.pages
    if some:
        yield some


def _count_batch(session: Session, oids: Collection[int], deadline: float) -> dict[int, int]:
    """Return the rows of those of some tables that can be counted until the deadline."""
    of_others = [one for one in tables_of_others(session) if one.oid in oids]
    held = begin_holding(session, of_others, casts=False, warns=False)
    try:
        unreadable = unreadable_tables(session, held)
        # Read again: until it was locked, a table may have been renamed, and its name be another's.
        tables = [one for one in _read_tables(session) if one.oid in oids]
        countable = [one for one in tables if one.oid not in unreadable]
        return dict(_counted(session, countable, deadline))
    finally:
        session.execute("ROLLBACK")


def _row_count(table: _Table, counted: Mapping[int, int]) -> RowCount:
    if table.is_root:
        return RowCount(0)  # its partitions have the rows
    if table.oid in counted:
        return RowCount(counted[table.oid])
    return RowCount(table.estimate, is_estimate=True)


def _counted(
    session: Session, tables: Sequence[_Table], deadline: float
) -> Iterator[tuple[int, int]]:
    """Yield the OIDs and rows of the tables that can be counted until the deadline."""
    for start in range(0, len(tables), _COUNTED_AT_ONCE):
        some = tables[start : start + _COUNTED_AT_ONCE]
        found = _rows_of(session, some, deadline)
        for table in [] if found is not None else some:  # one of them is in the way of all
            rows = _rows_of(session, [table], deadline)
            if rows is not None:
                yield table.oid, rows[0]
        for table, count in zip(some, found or (), strict=False):
            yield table.oid, count


def _rows_of(session: Session, tables: Sequence[_Table], deadline: float) -> list[int] | None:
    """Return the rows of some tables, ``None`` if one cannot be counted, or not in time."""
    milliseconds = int((deadline - time.monotonic()) * 1000)
    if milliseconds <= 0:
        return None
    counts = [sql.SQL("(SELECT count(*) FROM ONLY {})").format(one.identifier) for one in tables]
    try:
        with session.transaction(rolled_back=True):
            session.execute(f"SET LOCAL statement_timeout = {milliseconds}".encode())
            query = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(counts))
            (rows,) = session.fetch_row(query)
    except psycopg.Error:
        session.cancellation.check()
        if session.connection.broken:
            raise
        return None
    return list(rows)
