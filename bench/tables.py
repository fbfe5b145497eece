"""Tables of what was measured: as values, as JSON with every round, and as Markdown. Pure."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """What one run of a command took, with all that it started.

    :param server_cpu_seconds: the CPU time of each server meanwhile, by its name.
    :param peak_mib: the most memory that its largest process had.
    """

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: Mapping[str, float]
    peak_mib: float

    def followed_by(self, other: "Run") -> "Run":
        """Return what both took, one after the other."""
        theirs = other.server_cpu_seconds
        return Run(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            {name: spent + theirs[name] for name, spent in self.server_cpu_seconds.items()},
            max(self.peak_mib, other.peak_mib),
        )


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each value, but the maximum of the peaks."""
    return Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        {
            name: statistics.median(run.server_cpu_seconds[name] for run in runs)
            for name in runs[0].server_cpu_seconds
        },
        max(run.peak_mib for run in runs),
    )


@dataclass(frozen=True)
class Machine:
    """Where it was measured.

    :param load_average: of the minute before the first measurement.
    """

    cores: int
    memory_bytes: int
    processor: str
    postgres: str
    load_average: float


@dataclass(frozen=True)
class Table:
    """What one table says.

    :param name: the name of its file, of its picture, and of its place on a page.
    :param title: what was measured.
    :param command: how to measure it again.
    :param tables_bytes: the size of the tables of the database.
    """

    name: str
    title: str
    command: str
    machine: Machine
    tables_bytes: int


@dataclass(frozen=True)
class Comparison(Table):
    """Ways to do the same; the first is the one that others are compared with.

    :param ways: the runs of each way, by its name.
    """

    ways: Mapping[str, Sequence[Run]]

    @property
    def medians(self) -> dict[str, Run]:
        return {name: median(runs) for name, runs in self.ways.items()}

    @property
    def rounds(self) -> int:
        return min(len(runs) for runs in self.ways.values())

    @property
    def lines(self) -> list[list[str]]:
        medians = self.medians
        baseline = next(iter(medians.values()))
        servers = [f"{name} CPU s" for name in baseline.server_cpu_seconds]
        lines = [["way", "seconds", "ratio", "client CPU s", *servers, "peak MiB"]]
        for name, run in medians.items():
            spent = (run.cpu_seconds, *run.server_cpu_seconds.values())
            ratio = f"{run.seconds / baseline.seconds:.2f}"
            cells = [name, f"{run.seconds:.1f}", ratio, *(f"{cpu:.1f}" for cpu in spent)]
            lines.append([*cells, f"{run.peak_mib:.0f}"])
        return lines


@dataclass(frozen=True)
class Figures(Table):
    """Numbers that no command is compared by.

    :param heads: of the columns, of which the first names the row.
    :param digits: of each column of numbers, how many are shown after the point.
    :param rows: the numbers of each row, by its name.
    """

    heads: Sequence[str]
    digits: Sequence[int]
    rows: Mapping[str, Sequence[float]]

    @property
    def rounds(self) -> int:
        return 1

    @property
    def lines(self) -> list[list[str]]:
        return [
            [*self.heads],
            *(
                [name, *(f"{n:,.{d}f}" for n, d in zip(numbers, self.digits, strict=True))]
                for name, numbers in self.rows.items()
            ),
        ]


AnyTable = Comparison | Figures


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table, of which the first is its head."""
    head, *rest = lines
    rows = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def as_json(table: AnyTable) -> str:
    kind = "comparison" if isinstance(table, Comparison) else "figures"
    return f"{json.dumps({'kind': kind, **asdict(table)}, indent=2, ensure_ascii=False)}\n"


def from_json(text: str) -> AnyTable:
    """Return the table that ``as_json()`` wrote."""
    values: dict[str, Any] = json.loads(text)
    kind = values.pop("kind")
    values["machine"] = Machine(**values["machine"])
    if kind == "comparison":
        ways = {name: [Run(**run) for run in runs] for name, runs in values.pop("ways").items()}
        return Comparison(**values, ways=ways)
    return Figures(**values)
