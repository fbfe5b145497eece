"""How much memory this package's own process has at the most, whatever it dumps or restores."""

import os
import subprocess

import psycopg

from bench import databases
from bench.commands import ours
from bench.ours.telling import PEAK, TOLD
from bench.restore import TARGET
from bench.stage import Stage

JOBS = 4
WIDE_ROWS, WIDE_ROW_MIB = 6, 200
_WIDE = f"""
CREATE TABLE wide (id int, text text);
ALTER TABLE wide ALTER text SET STORAGE EXTERNAL;
INSERT INTO wide SELECT n, repeat(md5(n::text), {WIDE_ROW_MIB} * 32768)
    FROM generate_series(1, {WIDE_ROWS}) n
"""


def show_memory(stage: Stage) -> None:
    """Print the peak for the database, for a tenth of it, and for very large rows."""
    names = {
        f"{stage.tables_bytes() / 1e9:.1f} GB of mixed tables": databases.NAME,
        "a tenth of them": _tenth(stage),
        f"{WIDE_ROWS} rows of {WIDE_ROW_MIB} MiB": _wide(stage),
    }
    rows = {}
    for title, name in names.items():
        peaks = []
        for argv in (
            ours("dump", JOBS),
            ours("restore", TARGET, JOBS),
            ours("copy", TARGET, JOBS),
        ):
            stage.make_empty(TARGET)
            peaks.append(float(told(argv, stage.environment(name=name))[PEAK]))
        rows[title] = peaks
    stage.show_figures(
        "memory",
        f"Peak memory of this package's process, {JOBS} jobs",
        {"dump, MiB": 0, "restore, MiB": 0, "copy, MiB": 0},
        rows,
        verb="memory",
        row_head="database",
    )


def told(argv: list[str], environment: dict[str, str]) -> dict[str, str]:
    """Run a verb of this package, and return what it tells at its end, by its names."""
    said = subprocess.run(
        argv, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    lines = (line.partition(TOLD)[2] for line in said.splitlines() if line.startswith(TOLD))
    return dict(line.split(": ", 1) for line in lines)


def _tenth(stage: Stage) -> str:
    name = "tenth"
    stage.make_empty(name)
    asked = stage.asked
    databases.make(stage.server, name, asked.content, million_events=asked.million_events / 10)
    return name


def _wide(stage: Stage) -> str:
    name = "wide"
    stage.make_empty(name)
    with psycopg.connect(stage.server.uri(name), autocommit=True) as connection:
        connection.execute(_WIDE.encode())
    return name
