"""Run commands in turn, and say what each took."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.tables import Run

# The kernel counts CPU time in these: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
_TICKS = os.sysconf("SC_CLK_TCK")
# A worker has bytecode, whatever the machine of the benchmark sets.
WITH_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
# What our commands and aws import.
_IMPORTED = (
    *("airflow_provider_pgclone", "bench", "awscli", "boto3", "botocore", "s3transfer", "urllib3"),
    *("psycopg", "zstandard", "dateutil", "jmespath"),
)
# A server counts the time of a session once it has ended, which is after its client has.
_SESSION_ENDS_SECONDS = 1.0


@dataclass(frozen=True)
class Command:
    """A command that takes part in a comparison.

    :param environment: added to that of this process.
    :param prepare: called before each run, outside of what is measured.
    :param measured_by: the options of Python that run the program that measures it.
    :param then: what may follow it, as a way of its own: its time is added to this one's.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    prepare: Callable[[], None] = field(default=lambda: None)
    measured_by: Sequence[str] = ("-S", "-m", "bench.measured")
    then: "Command | None" = None


def write_bytecode() -> None:
    """Compile what the commands import, which the first of them would do for the others."""
    specs = (importlib.util.find_spec(name) for name in _IMPORTED)
    folders = [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]
    subprocess.run(
        [sys.executable, "-m", "compileall", "-qq", "-j", "0", *folders],
        env={**os.environ, **WITH_BYTECODE},
        check=False,  # templates of awscli are no modules
    )


def run(command: Command, servers: Mapping[str, int]) -> Run:
    """Run a command to its end.

    :param servers: the process id of each server, by its name.
    :raises RuntimeError: when it failed.
    """
    before = _cpu_seconds(servers)
    result = subprocess.run(
        [sys.executable, *command.measured_by, *command.argv],
        env={**os.environ, **WITH_BYTECODE, **command.environment},
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
        server_cpu_seconds={name: after[name] - before[name] for name in servers},
        peak_mib=taken["peak_mib"],
    )


def run_in_turn(
    title: str, commands: Sequence[Command], servers: Mapping[str, int], *, rounds: int
) -> dict[str, list[Run]]:
    """Run each command once a round, and return the runs of each way.

    The rounds go through all commands in turn, so that a slow minute of the machine meets each.
    """
    runs: dict[str, list[Run]] = {}
    for number in range(1, rounds + 1):
        for command in commands:
            command.prepare()
            say(f"{title}, round {number} of {rounds}: {command.name}")
            taken = run(command, servers)
            runs.setdefault(command.name, []).append(taken)
            if command.then is not None:
                taken = taken.followed_by(run(command.then, servers))
                runs.setdefault(command.then.name, []).append(taken)
    return runs


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cpu_seconds(servers: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU time of each server with its children that have ended."""
    spent = {}
    for name, pid in servers.items():
        with open(f"/proc/{pid}/stat") as file:
            # The name of the program comes before, in parentheses, and may hold anything.
            fields = file.read().rpartition(")")[2].split()
        spent[name] = sum(map(int, fields[11:15])) / _TICKS
    return spent
