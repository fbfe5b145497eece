"""Named pipes in a directory, which programs read as files and threads fill on demand.

To open a named pipe is to wait for the other side. If the other side never opens it, that wait does
not end by itself: :meth:`Pipes.end` releases everyone who waits.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_pgclone.core.postgres.processes import widen_pipe

_LET_GO_SECONDS = 0.02


class ReaderGoneError(Exception):
    """The reader of a pipe is gone. Only the reader knows why."""


class Pipes:
    """Creates named pipes in a directory, and opens them for writing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._in_use: dict[str, int] = {}
        self._ended = False

    def make(self, name: str) -> None:
        """Create a pipe."""
        os.mkfifo(self.directory / name, 0o600)
        self._names.append(name)

    @contextmanager
    def in_use(self, name: str) -> Iterator[Path]:
        """Register that the block waits for the reader of a pipe, so that ``end`` releases it."""
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
        """Open a pipe, wait for its reader, and yield a function that writes to the pipe.

        :raises ReaderGoneError: when nobody reads the pipe, or not to its end.
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
        """Release all who wait for the other side of a pipe, until nobody is left.

        :param is_used: tells whether somebody may still wait.
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
        """Raise an error if the pipes were ended.

        :raises ReaderGoneError: after :meth:`end`.
        """
        if self._ended:
            raise ReaderGoneError
