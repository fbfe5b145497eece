"""Folds sorted paths and divides them into pages, for backends that cannot do so themselves."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

# S3 returns at most so many objects at once.
PAGE_OBJECTS = 1000

_T = TypeVar("_T")


def fold(paths: Iterable[str], prefix: str, delimiter: str | None) -> Iterator[tuple[str, bool]]:
    """Yield each path, or its beginning if it contains a delimiter after the prefix.

    The beginning ends with the delimiter. Paths with the same beginning yield it once.

    :return: the path or the beginning, and whether it is a beginning.
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
    """Yield lists of up to ``size`` items, each with whether more follow.

    There is at least one list; it may be empty.
    """
    page = list(itertools.islice(items, size))
    while following := list(itertools.islice(items, 1)):
        yield page, True
        page = [*following, *itertools.islice(items, size - 1)]
    yield page, False
