"""How pg_dump is told which tables' data to leave out: by a filter, or by its arguments.

A filter is what ``pg_dump --filter=-`` reads from its standard input, from PostgreSQL 17 on:
https://www.postgresql.org/docs/current/app-pgdump.html. It may be of any length. Older clients have
arguments alone, for which the system has little room, so that they leave out fewer tables.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.postgres import ClientTools, quote

FIRST_FILTER_MAJOR = 17
# However large the stack may grow: bprm_stack_limits() in Linux's fs/exec.c.
MOST_BYTES = 6 * 1024 * 1024
# The arguments that each dump has, such as its connection; and what else exec(2) puts there.
_OWN_BYTES = 32 * 1024
_POINTER_BYTES = 8


def reads_filter(tools: ClientTools) -> bool:
    """Whether a pg_dump takes a filter."""
    return tools.major >= FIRST_FILTER_MAJOR


def filter_lines(tables: Iterable[TableName]) -> bytes:
    """Return the filter that leaves out the data of some tables, each by schema and name."""
    return "".join(
        f"exclude table_data {_filter_pattern(schema)}.{_filter_pattern(name)}\n"
        for schema, name in tables
    ).encode(errors="surrogateescape")


def exclude_arguments(tables: Iterable[TableName]) -> list[str]:
    """Return the arguments that leave out the data of some tables, each by schema and name.

    Each part in quotes is a pattern that means just this name.
    """
    return [f"--exclude-table-data={quote(schema)}.{quote(name)}" for schema, name in tables]


def room_for_arguments(arguments: Iterable[str], environment: Mapping[str, str]) -> int:
    """Return how many bytes of arguments a program may have beside some.

    :param arguments: those that it has.
    :param environment: variables beside those of this process; they share the room.
    """
    variables = {**os.environ, **environment}
    taken = sum(map(argument_bytes, arguments)) + sum(
        argument_bytes(f"{name}={value}") for name, value in variables.items()
    )
    return max(0, most_argument_bytes() - _OWN_BYTES - taken)


def first_that_fit(tables: Sequence[Table], room: int) -> list[Table]:
    """Return the tables, from the first on, whose arguments take no more than so many bytes."""
    arguments = exclude_arguments((table.schema, table.name) for table in tables)
    ends = accumulate(map(argument_bytes, arguments))
    return [table for table, end in zip(tables, ends, strict=True) if end <= room]


def argument_bytes(argument: str) -> int:
    """Return the room that an argument or a variable takes: its bytes, their end and a pointer."""
    return len(os.fsencode(argument)) + 1 + _POINTER_BYTES


def most_argument_bytes() -> int:
    """Return how much arguments and environment may take together: execve(2), "Limits"."""
    return min(os.sysconf("SC_ARG_MAX"), MOST_BYTES)


def _filter_pattern(name: str) -> str:
    r"""Return a pattern that means just this name, as read_pattern() in filter.c takes it.

    In quotes a backslash starts an escape, and a carriage return is passed over and has none. So
    it goes between quoted pieces, where a pattern is a regular expression, which knows ``\r``.
    """
    pieces = name.replace("\\", "\\\\").replace("\n", "\\n").split("\r")
    return r"\r".join(quote(piece) if piece else "" for piece in pieces)
