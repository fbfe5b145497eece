"""The files of an archive in directory format as named pipes, which are filled when they are read.

Whoever opens a named pipe waits for the other side, so a side that does not come would be waited
for without end: :meth:`Pipes.end` lets go of all who wait.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_pgclone.core.postgres.processes import widen_pipe

_LET_GO_SECONDS = 0.02


class ReaderGoneError(Exception):
    """Nobody reads a pipe any more; why is known of the reader alone."""


class Pipes:
    """Named pipes in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._in_use: dict[str, int] = {}
        self._ended = False

    def make(self, name: str) -> None:
        os.mkfifo(self.directory / name, 0o600)
        self._names.append(name)

    @contextmanager
    def in_use(self, name: str) -> Iterator[Path]:
        """Say that somebody opens a pipe, who has to be let go of where nobody reads it."""
        with self._lock:
            self.check()
            self._in_use[name] = self._in_use.get(name, 0) + 1
        try:
            yield self.directory / name
        finally:
            with self._lock:
                self._in_use[name] -= 1
                if not self._in_use[name]:
                    del self._in_use[name]

    @contextmanager
    def writing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Open a pipe once its reader has, and yield what writes to it.

        :raises ReaderGoneError: when it is not read, or not to its end.
        """
        with self.in_use(name) as path:
            descriptor = os.open(path, os.O_WRONLY)
            try:
                self.check()
                widen_pipe(descriptor)

                def write(data: bytes) -> None:
                    view = memoryview(data)
                    while view:
                        view = view[os.write(descriptor, view) :]

                yield write
            except BrokenPipeError as error:
                raise ReaderGoneError from error
            finally:
                os.close(descriptor)

    def end(self, is_used: Callable[[], bool]) -> None:
        """Let go of all who wait at a pipe, for a reader or for a writer, until none is left.

        :param is_used: whether somebody may still be there.
        """
        with self._lock:
            self._ended = True
        waiting = threading.Event()
        while is_used():
            with self._lock:
                names = list(self._in_use)
            for name in names:
                with suppress(OSError):
                    os.close(os.open(self.directory / name, os.O_RDONLY | os.O_NONBLOCK))
            for name in self._names:
                with suppress(OSError):
                    os.close(os.open(self.directory / name, os.O_WRONLY | os.O_NONBLOCK))
            waiting.wait(_LET_GO_SECONDS)

    def check(self) -> None:
        """Raise where nothing will be read any more.

        :raises ReaderGoneError: after :meth:`end`.
        """
        if self._ended:
            raise ReaderGoneError
