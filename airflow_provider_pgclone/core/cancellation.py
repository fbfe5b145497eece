"""A request to stop, which ends child processes and queries at once and other steps soon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_pgclone.core.errors import CancelledError


class Cancellation:
    """Is set once, by a signal handler or another thread; every long step checks it.

    It takes no lock, because a signal handler may interrupt its own thread at any line.
    """

    def __init__(self) -> None:
        self._requested = False
        self._ends: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self._requested

    def cancel(self) -> None:
        """Ask to stop, and call what was registered by :meth:`ending`."""
        self._requested = True
        # The newest first: child processes end before the sessions that wait for them.
        for end in reversed(tuple(self._ends)):
            end()

    def check(self) -> None:
        """Raise an error if a stop was requested.

        :raises CancelledError: after :meth:`cancel`.
        """
        if self._requested:
            raise CancelledError("stopped, as asked")

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Register a function that a cancel calls while the block runs.

        :param end: must not block or raise.
        """
        self._ends.append(end)
        try:
            self.check()
            yield
        finally:
            self._ends.remove(end)

    @contextmanager
    def own(self) -> "Iterator[Cancellation]":
        """Yield a second cancellation: a cancel of this one cancels both, but not the reverse.

        A step uses it to end its own threads.
        """
        own = Cancellation()
        with self.ending(own.cancel):
            try:
                yield own
            finally:
                self.check()
