"""Folding and paging of sorted paths, for the backends whose service does neither."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")

# As many as S3 gives at once.
PAGE_OBJECTS = 1000


def fold(paths: Iterable[str], prefix: str, delimiter: str | None) -> Iterator[tuple[str, bool]]:
    """Yield each path, or once its beginning up to the first delimiter after the prefix.

    :return: the path or beginning, and whether it is a beginning.
    """
    last = None
    for path in paths:
        head, found, _ = (
            path.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
        )
        if not found:
            yield path, False
        elif (beginning := prefix + head + found) != last:
            last = beginning
            yield beginning, True


def pages(items: Iterator[_T], size: int) -> Iterator[tuple[list[_T], bool]]:
    """Yield lists of ``size`` items, and whether more follow; at least one list, maybe empty."""
    page = list(itertools.islice(items, size))
    while following := list(itertools.islice(items, 1)):
        yield page, True
        page = [*following, *itertools.islice(items, size - 1)]
    yield page, False
