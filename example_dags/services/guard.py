"""Servers end with the process that started them, even where that is killed."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

# It waits for a line, which comes when the block ends, or for the end of our process.
_WAIT_THEN_RUN = 'read -r line || exec "$@"'


@contextmanager
def on_sudden_end(command: Sequence[str | os.PathLike[str]], **options: Any) -> Iterator[None]:
    """Run a command if this process ends while the block runs, for example by SIGKILL.

    :param options: of the command's ``Popen``, such as its user.
    """
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _WAIT_THEN_RUN, "guard", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Ctrl-C in a terminal ends our process, which the guard has to outlive.
        start_new_session=True,
        **options,
    )
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            guard.communicate(b"\n")
