"""``python -m bench.measured <command>`` runs a command and prints as JSON what it took.

A program of its own and a small one: to the kernel, the memory of the process that starts a command
is the command's too (``signal->maxrss`` outlives ``execve``).
"""

import json
import os
import resource
import sys
import time


def main() -> None:
    quiet = [(os.POSIX_SPAWN_OPEN, sys.stdout.fileno(), os.devnull, os.O_WRONLY, 0)]
    started = time.monotonic()
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
    report(pid, started)


def report(pid: int, started: float) -> None:
    """Wait for a child, and print what it took since it was started."""
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
