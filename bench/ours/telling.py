"""What a command tells of itself at its end, for who started it."""

import os
import time
from collections.abc import Callable

# Before each thing that is told.
TOLD = "told "
# The most memory that this process had, in MiB.
PEAK = "peak MiB"


def tell(name: str, value: object) -> None:
    print(f"{TOLD}{name}: {value}", flush=True)


def telling_peak(verb: Callable[..., None], arguments: list[str]) -> None:
    """Run a verb, then tell the most memory that this process had, and end it.

    It ends as the process of a task does, in which Python is not torn down: that takes a tenth of a
    second. See _fork_main() in Airflow's supervisor.py.
    """
    verb(*arguments)
    tell(PEAK, _peak_kib() / 1024)
    os._exit(0)


def seconds_since_start() -> float:
    """Return for how long this process has run, with the start of Python."""
    with open("/proc/self/stat") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _peak_kib() -> int:
    """Return the most memory that this program had, without psql and pg_restore.

    To those a row is one piece. Not by getrusage, in which the memory of the process that has
    started this one counts: ``signal->maxrss`` outlives ``execve``.
    """
    with open("/proc/self/status") as file:
        (peak,) = (line.split()[1] for line in file if line.startswith("VmHWM:"))
    return int(peak)
