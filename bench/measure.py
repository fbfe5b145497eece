"""Run a command and say what it took."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """What one run of a command took, with all that it started.

    :param peak_mib: the most memory that its largest process had.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end.

    :raises RuntimeError: when it failed.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {said.decode()[-2000:]}")
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(r.seconds for r in runs),
        statistics.median(r.cpu_seconds for r in runs),
        max(r.peak_mib for r in runs),
    )


def report(title: str, results: Mapping[str, Run], baseline: str) -> None:
    """Print a table of medians, each with its time as a ratio to ours."""
    print(f"\n{title}\n")
    print("| way | seconds | of ours | client CPU s | peak MiB |")
    print("|---|---|---|---|---|")
    for name, result in results.items():
        ratio = result.seconds / results[baseline].seconds
        print(
            f"| {name} | {result.seconds:.1f} | {ratio:.2f} | {result.cpu_seconds:.1f} "
            f"| {result.peak_mib:.0f} |"
        )
    sys.stdout.flush()
