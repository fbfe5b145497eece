"""What the demo shows: one numbered line a step, while all other output goes to a log file."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

WIDTH = 62


class Terminal:
    """Prints to where standard output went before :func:`terminal_beside_log` took it away."""

    def __init__(self, stream: TextIO, log: Path, steps: int) -> None:
        self.stream = stream
        self.log = log
        self.steps = steps
        self._number = 0

    def say(self, text: str = "") -> None:
        print(text, file=self.stream, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show a step when it begins, and how long it took or that it failed when it ends."""
        self._number += 1
        head = f"[{self._number}/{self.steps}] {text} "
        print(f"{head:.<{WIDTH}} ", end="", file=self.stream, flush=True)
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self.say("FAILED")
            raise
        self.say(f"{time.monotonic() - started:4.1f} s")

    def table(self, rows: Sequence[Sequence[object]]) -> None:
        """Show rows in columns, the first of them aligned left."""
        texts = [[str(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for first, *others in texts:
            cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
            self.say("   ".join([f"  {first:<{widths[0]}}", *cells]))


@contextmanager
def terminal_beside_log(log: Path, steps: int) -> Iterator[Terminal]:
    """Send the output of this process and its children to ``log``, and yield the terminal.

    An error is shown in one line; its traceback goes to the log.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("ab") as file, os.fdopen(os.dup(1), "w") as stream:
        # Descriptors rather than sys.stdout, since Airflow's loggers and child processes have them.
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        terminal = Terminal(stream, log, steps)
        try:
            yield terminal
        except Exception as error:
            terminal.say(f"\nThe demo failed: {error}\nThe log has more: {log}")
            sys.excepthook(type(error), error, error.__traceback__)
            raise SystemExit(1) from error
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
