"""Run commands in turn, and say what each took."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# The kernel counts CPU time in these: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
_TICKS = os.sysconf("SC_CLK_TCK")
# A server counts the time of a session once it has ended, which is after its client has.
_SESSION_ENDS_SECONDS = 1.0


@dataclass(frozen=True)
class Run:
    """What one run of a command took, with all that it started.

    :param server_cpu: the CPU seconds of each server meanwhile, by its name.
    :param peak_mib: the most memory that its largest process had.
    """

    seconds: float
    cpu_seconds: float
    server_cpu: Mapping[str, float]
    peak_mib: float

    def followed_by(self, other: "Run") -> "Run":
        """Return what both took, one after the other."""
        return Run(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            {name: spent + other.server_cpu[name] for name, spent in self.server_cpu.items()},
            max(self.peak_mib, other.peak_mib),
        )


@dataclass(frozen=True)
class Command:
    """A command that takes part in a comparison.

    :param environment: added to that of this process.
    :param prepare: called before each run, outside of what is measured.
    :param then: what may follow it, as a way of its own: its time is added to this one's.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    prepare: Callable[[], None] = field(default=lambda: None)
    then: "Command | None" = None


def run(command: Command, servers: Mapping[str, int]) -> Run:
    """Run a command to its end.

    :param servers: the process id of each server, by its name.
    :raises RuntimeError: when it failed.
    """
    before = _cpu_seconds(servers)
    result = subprocess.run(
        [sys.executable, "-S", "-m", "bench.measured", *command.argv],
        env={**os.environ, **command.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    taken = json.loads(result.stdout)
    if taken["exit_code"] != 0:
        raise RuntimeError(f"{command.name} failed: {result.stderr[-2000:]}")
    time.sleep(_SESSION_ENDS_SECONDS)
    after = _cpu_seconds(servers)
    return Run(
        seconds=taken["seconds"],
        cpu_seconds=taken["cpu_seconds"],
        server_cpu={name: after[name] - before[name] for name in servers},
        peak_mib=taken["peak_mib"],
    )


def compare(
    title: str, commands: Sequence[Command], servers: Mapping[str, int], *, rounds: int
) -> None:
    """Run each command once a round, and print a table of medians.

    The rounds go through all commands in turn, so that a slow minute of the machine meets each.

    :param commands: the first is the one that others are compared with.
    """
    runs: dict[str, list[Run]] = {}
    for number in range(1, rounds + 1):
        for command in commands:
            command.prepare()
            _say(f"{title}, round {number} of {rounds}: {command.name}")
            taken = run(command, servers)
            runs.setdefault(command.name, []).append(taken)
            if command.then is not None:
                taken = taken.followed_by(run(command.then, servers))
                runs.setdefault(command.then.name, []).append(taken)
    _report(title, {name: _median(taken) for name, taken in runs.items()}, commands[0].name)


def _cpu_seconds(servers: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU time of each server with its children that have ended."""
    spent = {}
    for name, pid in servers.items():
        with open(f"/proc/{pid}/stat") as file:
            # The name of the program comes before, in parentheses, and may hold anything.
            fields = file.read().rpartition(")")[2].split()
        spent[name] = sum(map(int, fields[11:15])) / _TICKS
    return spent


def _median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        {
            name: statistics.median(run.server_cpu[name] for run in runs)
            for name in runs[0].server_cpu
        },
        max(run.peak_mib for run in runs),
    )


def _report(title: str, results: Mapping[str, Run], baseline: str) -> None:
    servers = results[baseline].server_cpu
    heads = ["way", "seconds", "ratio", "client CPU s", *(f"{name} CPU s" for name in servers)]
    print(f"\n## {title}\n")
    print(_row([*heads, "peak MiB"]))
    print(_row(["---"] * (len(heads) + 1)))
    for name, result in results.items():
        ratio = result.seconds / results[baseline].seconds
        spent = [result.cpu_seconds, *result.server_cpu.values()]
        cells = [name, f"{result.seconds:.1f}", f"{ratio:.2f}", *(f"{cpu:.1f}" for cpu in spent)]
        print(_row([*cells, f"{result.peak_mib:.0f}"]))
    sys.stdout.flush()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
