"""``python -m bench``: how long this package takes, beside its peers, on this machine."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.archives import store_archives
from bench.commands import pgcopydb_version
from bench.copying import compare_copies
from bench.databases import CONTENTS, FULL_MILLION_EVENTS
from bench.dump import compare_dumps
from bench.fleet import compare_fleets
from bench.large_table import show_large_table
from bench.latency import compare_at_a_distance
from bench.many import compare_many_tables
from bench.masking import compare_masking
from bench.measure import write_bytecode
from bench.memory import show_memory
from bench.restore import compare_restores
from bench.slow_lines import compare_on_slow_lines
from bench.stage import Asked, Stage, open_stage

OF_EACH_DATABASE: Mapping[str, Callable[[Stage], None]] = {
    "dump": compare_dumps,
    "restore": compare_restores,
    "copy": compare_copies,
}
USUAL: Mapping[str, Callable[[Stage], None]] = {
    **OF_EACH_DATABASE,
    "latency": compare_at_a_distance,
    "many": compare_many_tables,
    "masking": compare_masking,
    "memory": show_memory,
}
SCALE: Mapping[str, Callable[[Stage], None]] = {
    "slow-lines": compare_on_slow_lines,
    "large-table": show_large_table,
    "fleet": compare_fleets,
}
COMPARISONS = {**USUAL, **SCALE}
OF_ARCHIVES = {"restore", "latency"}


def main() -> None:
    names, asked = read_arguments(sys.argv[1:])
    # So that the servers end and their folder goes, of some gigabytes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    write_bytecode()
    with open_stage(asked) as stage:
        machine = stage.machine
        print(
            f"{machine.cores} cores, {stage.tables_bytes() / 1e9:.2f} GB of tables, "
            f"PostgreSQL {machine.postgres}, medians of {asked.rounds}. The load average before "
            f"was {machine.load_average:.1f}.\n"
            "A ratio is to the first row of its table, a peak that of the command's largest "
            "process.\nThe servers run on the same machine.\n"
            f"All commands use the programs of PostgreSQL {machine.postgres} in "
            f"{stage.server.bin_dir}.\n{_about_pgcopydb()}"
        )
        if OF_ARCHIVES.intersection(names):
            store_archives(stage)
        for name in names:
            COMPARISONS[name](stage)


def _about_pgcopydb() -> str:
    version = pgcopydb_version()
    if version is None:
        return "pgcopydb is not installed (Debian's package pgcopydb): it is left out."
    return f"pgcopydb is {version}."


def read_arguments(arguments: Sequence[str]) -> tuple[list[str], Asked]:
    """Return the comparisons that were asked for, in their order, and for what they were."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "comparisons",
        nargs="*",
        metavar="comparison",
        help=f"{', '.join(USUAL)}; all of these where none is named; scale for {', '.join(SCALE)}",
    )
    parser.add_argument(
        "--database",
        choices=CONTENTS,
        default="events",
        help=f"of {', '.join(OF_EACH_DATABASE)}, with all indexes: "
        + "; ".join(f"{one.name}, {one.description}" for one in CONTENTS.values()),
    )
    parser.add_argument(
        "--million-events",
        type=float,
        default=FULL_MILLION_EVENTS,
        metavar="N",
        help="rows of the largest table of events, in millions; all databases are scaled by it: "
        f"{FULL_MILLION_EVENTS:g} make the sizes above",
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write each table there as JSON"
    )
    given = parser.parse_args(arguments)
    named = [name for one in given.comparisons for name in (SCALE if one == "scale" else (one,))]
    for name in named:
        if name not in COMPARISONS:
            parser.error(f"{name!r} is none of {', '.join((*COMPARISONS, 'scale'))}")
    usual = USUAL if given.database == "events" else OF_EACH_DATABASE
    wanted = set(named or usual)
    if given.database != "events" and not wanted <= set(OF_EACH_DATABASE):
        parser.error(f"--database is for {', '.join(OF_EACH_DATABASE)}")
    asked = Asked(CONTENTS[given.database], given.million_events, given.rounds, given.save)
    return [name for name in COMPARISONS if name in wanted], asked


if __name__ == "__main__":
    main()
