"""Tables as a run of the benchmarks leaves them; their numbers are made up."""

from bench import ways
from bench.tables import Comparison, Figures, Machine, Run

MACHINE = Machine(2, 8 * 1024**3, "a processor", "17.10", 0.25)
SIZE_BYTES = 1_090_000_000


def run(seconds: float) -> Run:
    return Run(seconds, 2 * seconds, {"PostgreSQL": 3.0, "S3": 0.25}, 100.4)


DUMP = Comparison(
    "dump-events",
    "Dump of the database events",
    "python -m bench dump --rounds 2",
    MACHINE,
    SIZE_BYTES,
    {
        ways.OURS_2_JOBS: [run(8.0), run(9.0)],
        ways.DUMP_ZSTD: [run(7.0), run(10.0)],
        ways.DUMP_DJANGO: [run(25.0), run(26.0)],
        ways.DUMP_FLOOR: [run(4.0), run(4.5)],
    },
)
MEMORY = Figures(
    "memory",
    "Peak memory",
    "python -m bench memory --rounds 1",
    MACHINE,
    SIZE_BYTES,
    ["database", "dump, MiB", "`pg_restore`, s"],
    [0, 1],
    {"all of it": [1170.26, 2.0], "a tenth": [125.0, 0.04]},
)
