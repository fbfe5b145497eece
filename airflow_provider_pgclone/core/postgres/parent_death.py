"""Has the kernel end a child process when this process dies, even by kill -9.

That is PR_SET_PDEATHSIG of prctl(2), which Linux alone has. A process sets it for itself, since
fork clears it. ``setpriv`` of util-linux sets it and then becomes the program. Python could set it
between fork and exec, but in a process with threads none of Python's code may run there: in 3.11
the child sometimes waits for ever for a lock that another thread held during the fork.
"""

import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1
# Looked up here, since nothing may be loaded between fork and exec.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def with_parent_death(argv: Sequence[str], end_signal: signal.Signals) -> list[str]:
    """Return a command line that ends with this process, where ``setpriv`` can do that."""
    setpriv = _setpriv()
    if setpriv is None or shutil.which(argv[0]) is None:  # that it is missing is told by its name
        return list(argv)
    name = end_signal.name.removeprefix("SIG")
    return [setpriv, "--pdeathsig", name, "--", *argv]


def before_exec(end_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child must call between fork and exec, where there is no ``setpriv``."""
    if _PRCTL is None or _setpriv() is not None:
        return None
    parent = os.getpid()
    return lambda: _die_with(parent, end_signal)


@functools.cache
def _setpriv() -> str | None:
    """Return the path of a ``setpriv`` that knows the signal; that of busybox does not."""
    path = shutil.which("setpriv") if sys.platform == "linux" else None
    if path is None:
        return None
    said = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    return path if "--pdeathsig" in said.stdout else None


def _die_with(parent: int, end_signal: int) -> None:
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, end_signal)
        if os.getppid() != parent:
            os._exit(1)
