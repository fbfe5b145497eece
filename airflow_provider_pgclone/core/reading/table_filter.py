"""Tells pg_dump whose rows to leave out, by a filter or by arguments.

Since PostgreSQL 17 ``pg_dump --filter=-`` reads a filter of any length from its standard input:
https://www.postgresql.org/docs/current/app-pgdump.html. Older versions have only arguments. The
system limits the length of arguments, so fewer tables can be named.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.postgres import ClientTools, quote

FIRST_FILTER_MAJOR = 17
# The limit for a stack of any size: bprm_stack_limits() in Linux's fs/exec.c.
MOST_BYTES = 6 * 1024 * 1024
# For the arguments of every dump, such as the connection, and the data that exec(2) adds.
_OWN_BYTES = 32 * 1024
_POINTER_BYTES = 8


def reads_filter(tools: ClientTools) -> bool:
    """Tell whether pg_dump can read a filter."""
    return tools.major >= FIRST_FILTER_MAJOR


def filter_lines(tables: Iterable[TableName]) -> bytes:
    """Return the filter that leaves out the rows of tables, given by schema and name."""
    return "".join(
        f"exclude table_data {_filter_pattern(schema)}.{_filter_pattern(name)}\n"
        for schema, name in tables
    ).encode(errors="surrogateescape")


def exclude_arguments(tables: Iterable[TableName]) -> list[str]:
    """Return the arguments that leave out the rows of tables, given by schema and name.

    A quoted name is a pattern that matches only this name.
    """
    return [f"--exclude-table-data={quote(schema)}.{quote(name)}" for schema, name in tables]


def room_for_arguments(arguments: Iterable[str], environment: Mapping[str, str]) -> int:
    """Return the number of bytes that are left for more arguments of a program.

    :param arguments: the arguments that it has already.
    :param environment: its environment variables in addition to those of this process. Arguments
        and variables share one limit.
    """
    variables = {**os.environ, **environment}
    taken = sum(map(argument_bytes, arguments)) + sum(
        argument_bytes(f"{name}={value}") for name, value in variables.items()
    )
    return max(0, most_argument_bytes() - _OWN_BYTES - taken)


def first_that_fit(tables: Sequence[Table], room: int) -> list[Table]:
    """Return the first tables whose arguments together take at most ``room`` bytes."""
    arguments = exclude_arguments((table.schema, table.name) for table in tables)
    ends = accumulate(map(argument_bytes, arguments))
    return [table for table, end in zip(tables, ends, strict=True) if end <= room]


def argument_bytes(argument: str) -> int:
    """Return the bytes that an argument or a variable takes, with its NUL and its pointer."""
    return len(os.fsencode(argument)) + 1 + _POINTER_BYTES


def most_argument_bytes() -> int:
    """Return the limit in bytes of arguments and environment together; see execve(2)."""
    return min(os.sysconf("SC_ARG_MAX"), MOST_BYTES)


def _filter_pattern(name: str) -> str:
    r"""Return a pattern that matches only this name, for read_pattern() in filter.c.

    Within quotes a backslash starts an escape. A carriage return is ignored there, and does not
    have an escape. So it is written between quoted pieces, as ``\r`` of a regular expression.
    """
    pieces = name.replace("\\", "\\\\").replace("\n", "\\n").split("\r")
    return r"\r".join(quote(piece) if piece else "" for piece in pieces)
