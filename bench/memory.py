"""How much memory this package's own process has at the most, whatever it dumps or restores."""

import os
import subprocess

import psycopg

from bench import database
from bench.commands import ours
from bench.ours import PEAK
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
        f"{stage.size_bytes / 1e9:.1f} GB of mixed tables": database.NAME,
        "a tenth of them": _tenth(stage),
        f"{WIDE_ROWS} rows of {WIDE_ROW_MIB} MiB": _wide(stage),
    }
    print(f"\n## Memory of this package's process, {JOBS} jobs\n")
    print("| database | dump, MiB | restore, MiB | copy, MiB |\n|---|---|---|---|")
    for title, name in names.items():
        peaks = []
        for argv in (
            ours("dump", JOBS),
            ours("restore", TARGET, JOBS),
            ours("copy", TARGET, JOBS),
        ):
            stage.make_empty(TARGET)
            peaks.append(_peak_mib(argv, stage.environment(name=name)))
        print(f"| {title} | {' | '.join(f'{peak:.0f}' for peak in peaks)} |", flush=True)


def _peak_mib(argv: list[str], environment: dict[str, str]) -> float:
    said = subprocess.run(
        argv, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    (peak,) = (line for line in said.splitlines() if line.startswith(PEAK))
    return float(peak.removeprefix(PEAK))


def _tenth(stage: Stage) -> str:
    name = "tenth"
    stage.make_empty(name)
    database.make_tables(stage.server, name, million_events=stage.million_events / 10)
    return name


def _wide(stage: Stage) -> str:
    name = "wide"
    stage.make_empty(name)
    with psycopg.connect(stage.server.uri(name), autocommit=True) as connection:
        connection.execute(_WIDE.encode())
    return name
