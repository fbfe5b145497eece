"""A request to stop that reaches children and queries at once and the code between them soon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_pgclone.core.errors import CancelledError


class Cancellation:
    """Set once, from a signal handler or another thread; every long step looks at it.

    It takes no lock: the handler may run in the middle of any line of the thread that it stops.
    """

    def __init__(self) -> None:
        self._requested = False
        self._ends: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self._requested

    def cancel(self) -> None:
        """Ask to stop, and end what is registered."""
        self._requested = True
        for end in reversed(tuple(self._ends)):  # children before the sessions that wait for them
            end()

    def check(self) -> None:
        """Raise where a stop was asked for.

        :raises CancelledError: after :meth:`cancel`.
        """
        if self._requested:
            raise CancelledError("stopped before it was done, as asked")

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have ``end`` called on a cancel while the block runs; it must not block or raise."""
        self._ends.append(end)
        try:
            self.check()
            yield
        finally:
            self._ends.remove(end)

    @contextmanager
    def own(self) -> "Iterator[Cancellation]":
        """Yield another one, which this one sets, but which does not set this one.

        A step that has threads of its own ends them by it.
        """
        own = Cancellation()
        with self.ending(own.cancel):
            try:
                yield own
            finally:
                self.check()
