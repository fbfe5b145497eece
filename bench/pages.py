"""Writes what was measured into the pages of the documentation, where comments mark it. Pure.

A block starts with ``<!-- measured: NAME -->`` and ends with ``<!-- end -->``. A line of a table
that is written by hand has the comment in its first cell. What was not measured stays as it is.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import ways
from bench.tables import AnyTable, Comparison, as_json, from_json, markdown

_BLOCK = re.compile(
    r"(^<!-- measured: ([\w-]+) -->\n)(.*?)(^<!-- end -->)", re.DOTALL | re.MULTILINE
)
_LINE = re.compile(r"^\| [^|]*<!-- measured: ([\w-]+) --> \|.*$", re.MULTILINE)
# What the first page says of a verb: what is done, then each column's way, and what follows its
# time; none where the column has no such way.
_Cell = tuple[str, str] | None
_FIRST_PAGE: Mapping[str, tuple[str, Sequence[_Cell]]] = {
    "dump": (
        "dumped",
        ((ways.OURS_2_JOBS, ""), (ways.DUMP_ZSTD, ""), (ways.DUMP_DJANGO, "")),
    ),
    "restore": (
        "restored and analyzed",
        (
            (ways.OURS_2_JOBS, ", with the checks"),
            (ways.analyzed(ways.RESTORE_BY_DISK), ", by a download to disk and `-j2`"),
            (ways.analyzed(ways.RESTORE_DJANGO), ""),
        ),
    ),
    "copy": (
        "copied and analyzed",
        (
            (ways.OURS_BY_STREAM, ", with the checks"),
            (ways.analyzed(ways.COPY_PIPE_UNCOMPRESSED), ", without S3"),
            None,
        ),
    ),
}


def read_tables(folder: Path) -> dict[str, AnyTable]:
    """Return the tables of a folder by their names; none where it does not exist.

    :raises ValueError: when a file does not have the name of its table.
    """
    tables: dict[str, AnyTable] = {}
    for path in sorted(folder.glob("*.json")):
        table = from_json(path.read_text())
        if table.name != path.stem:
            raise ValueError(f"{path} has the table {table.name}")
        tables[table.name] = table
    return tables


def places(text: str) -> set[str]:
    """Return the names of the tables that a page has a place for."""
    return {*(name for _, name, _, _ in _BLOCK.findall(text)), *_LINE.findall(text)}


def blocks(text: str) -> set[str]:
    """Return the names of the tables that a page shows whole."""
    return {name for _, name, _, _ in _BLOCK.findall(text)}


def with_tables(text: str, tables: Mapping[str, AnyTable], pictures: str) -> str:
    """Return a page with what was measured.

    :param pictures: the folder of the pictures, as the page links to it.
    """

    def block(found: re.Match[str]) -> str:
        table = tables.get(found[2])
        return found[0] if table is None else f"{found[1]}{_block_of(table, pictures)}{found[4]}"

    def line(found: re.Match[str]) -> str:
        table = tables.get(found[1])
        return found[0] if table is None else _line_of(table)

    return _LINE.sub(line, _BLOCK.sub(block, text))


def _block_of(table: AnyTable, pictures: str) -> str:
    """Return what stands between the comments of a table.

    The lines around it are empty, since Markdown ends a comment and a table by them.
    """
    picture = f"![{table.title}, as bars.]({pictures}/{picture_name(table.name)})"
    return f"\n{caption(table)}\n\n{markdown(table.lines)}\n{picture}\n\n"


def picture_name(name: str) -> str:
    return f"bench-{name}.svg"


def digest(table: AnyTable) -> str:
    """Return what a picture carries of the numbers that it shows."""
    return f"sha256:{hashlib.sha256(as_json(table).encode()).hexdigest()}"


def caption(table: AnyTable) -> str:
    """Return what was measured, where, and how."""
    machine = table.machine
    size = f"{table.tables_bytes / 1e9:.2f} GB of tables"
    rounds = f"medians of {table.rounds} rounds" if table.rounds > 1 else "one round"
    return (
        f"{table.title}: {machine.cores} cores, {size}, PostgreSQL {machine.postgres}, {rounds}\n"
        f"(`{table.command}`)."
    )


def _line_of(table: AnyTable) -> str:
    """Return the line of the first page about a table.

    :raises ValueError: when the table is none of those that the first page speaks of.
    """
    verb = table.name.partition("-")[0]
    if verb not in _FIRST_PAGE or not isinstance(table, Comparison):
        raise ValueError(f"the first page has no line for the table {table.name}")
    done, cells = _FIRST_PAGE[verb]
    title = f"{table.tables_bytes / 1e9:.2f} GB {done} <!-- measured: {table.name} -->"
    return f"| {' | '.join([title, *(_cell(table, one) for one in cells)])} |"


def _cell(table: Comparison, cell: _Cell) -> str:
    if cell is None:
        return "–"
    way, after = cell
    run = table.medians.get(way)
    if run is None:
        raise ValueError(f"the table {table.name} has no way {way!r}")
    return f"{run.seconds:.1f} s{after}"
