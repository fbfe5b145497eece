"""Hands a program the options of its session by a pipe, which can be read once.

A variable of the environment could be read by other processes of the same user for as long as the
program runs. libpq reads a service file when it connects, and takes any path for it:
https://www.postgresql.org/docs/current/libpq-pgservice.html
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.postgres.database import Database

_SERVICE = "pgclone"
# parseServiceFile() in fe-connect.c refuses lines of 1023 bytes.
_MAX_LINE_BYTES = 1000


@dataclass(frozen=True)
class ServicePipe:
    """A service file for one connection.

    :param variables: the environment variables with which a program uses it.
    :param descriptor: the end of the pipe that the program inherits.
    """

    variables: dict[str, str]
    descriptor: int


@contextmanager
def open_service_pipe(database: Database) -> Iterator[ServicePipe]:
    """Hold a pipe with the options of a database's sessions while the block runs.

    The options come before those in the environment.

    :raises InvalidInputError: when they are too long.
    """
    line = f"options={database.parameters.get('options', '')}\n".encode()
    if len(line) > _MAX_LINE_BYTES or line.count(b"\n") > 1:
        raise InvalidInputError(
            "the options of the connection are longer than 400 bytes or have a line break, and "
            "cannot be used with a mask key",
            hint="Shorten options in the extra of the connection, or set them for the role.",
        )
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(f"[{_SERVICE}]\n".encode() + line)
        path = f"/dev/fd/{reader}"
        yield ServicePipe({"PGSERVICE": _SERVICE, "PGSERVICEFILE": path}, reader)
    finally:
        os.close(reader)
