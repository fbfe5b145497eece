"""``python -m bench``: how long this package takes, beside its peers, on this machine."""

import argparse
import os
from collections.abc import Callable, Mapping

from bench.archives import store_archives
from bench.copying import compare_copies
from bench.dump import compare_dumps
from bench.latency import compare_at_a_distance
from bench.many import compare_many_tables
from bench.masking import compare_masking
from bench.memory import show_memory
from bench.restore import compare_restores
from bench.stage import Stage, open_stage

COMPARISONS: Mapping[str, Callable[[Stage], None]] = {
    "dump": compare_dumps,
    "restore": compare_restores,
    "copy": compare_copies,
    "latency": compare_at_a_distance,
    "many": compare_many_tables,
    "masking": compare_masking,
    "memory": show_memory,
}
OF_ARCHIVES = {"restore", "latency"}


def main() -> None:
    asked = _arguments()
    names = [name for name in COMPARISONS if name in (asked.comparisons or COMPARISONS)]
    with open_stage(million_events=asked.million_events, rounds=asked.rounds) as stage:
        print(
            f"{os.cpu_count()} cores, {stage.size_bytes / 1e9:.2f} GB of tables, "
            f"PostgreSQL {stage.version}, medians of {stage.rounds}.\n"
            "A ratio is to the first row of its table, a peak that of the command's largest "
            "process.\nThe servers run on the same machine."
        )
        if OF_ARCHIVES.intersection(names):
            store_archives(stage)
        for name in names:
            COMPARISONS[name](stage)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "comparisons",
        nargs="*",
        metavar="comparison",
        help=f"{', '.join(COMPARISONS)}; all where none is named",
    )
    parser.add_argument(
        "--million-events",
        type=float,
        default=4,
        metavar="N",
        help="rows of the largest table, in millions: 4 make a database of 1.1 GB",
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    asked = parser.parse_args()
    for name in asked.comparisons:
        if name not in COMPARISONS:
            parser.error(f"{name!r} is none of {', '.join(COMPARISONS)}")
    return asked


if __name__ == "__main__":
    main()
