"""What a very large table costs beside its bytes: entries, a table of contents, and memory.

The table is emulated. Its archive has as many parts and entries as one of so many terabytes, but
each part holds a few rows: the process that dumps has another size of a part than the package.
"""

import time
from dataclasses import dataclass

import psycopg

from bench.commands import download, ours, shell
from bench.measure import Command, run, say
from bench.memory import told
from bench.ours.large import EMULATED, parts_of
from bench.ours.large_describe import ENTRIES, KEY, PARTS, TOC_BYTES
from bench.ours.restore import FIRST_ROWS
from bench.ours.telling import PEAK
from bench.restore import TARGET
from bench.stage import Stage

NAME = "large"
JOBS = 2
# 10 terabytes where the databases have their full size.
TERABYTES_OF_A_MILLION_EVENTS = 2.5
# How exactly the start of a restore is measured.
REPORT_SECONDS = 0.1
# A page of them is filled to a tenth only.
_ROWS_OF_A_PAGE = 7
_TABLE = """
CREATE TABLE large (id int, text text) WITH (fillfactor = 10);
INSERT INTO large SELECT n, repeat(md5(n::text), 2) FROM generate_series(1, {rows}) n;
CREATE INDEX ON large (id)
"""
_COLUMNS = {
    "parts": 0,
    "entries": 0,
    "table of contents, MB": 2,
    "`pg_restore --list`, s": 2,
    "start of our restore, s": 1,
    "dump, s": 1,
    "our restore, s": 1,
    "`pg_restore -j2` from disk, s": 1,
    "our peak at the dump, MiB": 0,
    "our peak at the restore, MiB": 0,
}


@dataclass(frozen=True)
class _Archive:
    """How the table is dumped.

    :param terabytes: as a table of what size; 0 for its own.
    """

    title: str
    dump: list[str]
    terabytes: float


def show_large_table(stage: Stage) -> None:
    """Print what the table costs as it is, and as one of several terabytes."""
    terabytes = stage.asked.million_events * TERABYTES_OF_A_MILLION_EVENTS
    _fill(stage, parts=parts_of(terabytes))
    archives = [
        _Archive("as it is", ours("dump", JOBS), 0),
        _Archive(f"emulated as {terabytes:g} TB", ours("large_dump", terabytes, JOBS), terabytes),
    ]
    rows = {archive.title: _figures(stage, archive) for archive in archives}
    title = f"A large table, {JOBS} jobs; {EMULATED}"
    stage.show_figures(
        "large-table",
        title,
        _COLUMNS,
        rows,
        verb="large-table",
        row_head="table",
        database=NAME,
    )
    stage.drop(NAME)


def _figures(stage: Stage, archive: _Archive) -> list[float]:
    environment = stage.environment(name=NAME)
    file = stage.folder / "large.dump"
    say(f"a large table, {archive.title}: dump")
    started = time.monotonic()
    dumped = told(archive.dump, environment)
    dump_seconds = time.monotonic() - started
    described = told(ours("large_describe", archive.terabytes, JOBS), environment)
    key = f"ours/{described[KEY]}"
    run(Command("the download", shell(download(key, str(file))), environment), {})
    listing = run(Command("the list", ["pg_restore", "--list", str(file)], environment), {})
    say(f"a large table, {archive.title}: restore")
    stage.make_empty(TARGET)
    started = time.monotonic()
    restored = told(ours("restore", TARGET, JOBS, REPORT_SECONDS), environment)
    restore_seconds = time.monotonic() - started
    stage.make_empty(TARGET)
    stock = ["pg_restore", "--exit-on-error", f"--jobs={JOBS}", f"--dbname={TARGET}", str(file)]
    by_pg_restore = run(Command("pg_restore", stock, environment), {})
    file.unlink()
    return [
        float(described[PARTS]),
        float(described[ENTRIES]),
        float(described[TOC_BYTES]) / 1e6,
        listing.seconds,
        float(restored[FIRST_ROWS]),
        dump_seconds,
        restore_seconds,
        by_pg_restore.seconds,
        float(dumped[PEAK]),
        float(restored[PEAK]),
    ]


def _fill(stage: Stage, *, parts: int) -> None:
    """Make the table, which has a page for each part."""
    stage.make_empty(NAME)
    with psycopg.connect(stage.server.uri(NAME), autocommit=True) as connection:
        rows = (parts + parts // 20) * _ROWS_OF_A_PAGE
        for statement in _TABLE.format(rows=rows).split(";"):
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT relpages FROM pg_class WHERE relname = 'large'").fetchone()
    if row is None or row[0] < parts:
        raise RuntimeError(f"the table has {row and row[0]} pages, fewer than {parts} parts")
