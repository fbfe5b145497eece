"""Finds the installed PostgreSQL client programs, and builds their arguments and environment."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres.database import Database
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

OLDEST_CLIENT, NEWEST_CLIENT = 14, 30
# The folders of packages from Debian, from the PostgreSQL project for Red Hat, and from Homebrew.
PACKAGED_BIN_DIRS = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
)
# Options that this package sets itself, or that would change the place or format of the dump.
_OUR_PG_DUMP_OPTIONS = (
    *("-f", "--file", "-F", "--format", "-j", "--jobs", "-d", "--dbname", "-h", "--host"),
    *("-p", "--port", "-U", "--username", "-W", "--password", "--snapshot", "-V", "--version"),
    *("-?", "--help", "-Z", "--compress", "-w", "--no-password"),
)
# The short options of pg_dump without a value. One argument may contain several of them.
_FLAG_LETTERS = "abBcCORsvwx"


@dataclass(frozen=True)
class ClientTools:
    """The client programs of one major version, in one folder."""

    bin_dir: Path
    major: int

    def path(self, program: str) -> str:
        """Return the path of a program.

        :raises UnsupportedError: when the folder does not contain it.
        """
        found = _find(program, str(self.bin_dir))
        if found is None:
            raise UnsupportedError(
                f"no program {program} in {self.bin_dir}",
                hint=f"Install all client programs of PostgreSQL {self.major}.",
            )
        return found

    @property
    def dumps_zstd(self) -> bool:
        """Whether pg_dump can compress archives with zstd: from 16 on, if built with zstd."""
        return self.major >= 16 and _dumps_zstd(self.path("pg_dump"))


def find_tools(bin_dir: str | None) -> list[ClientTools]:
    """Return the installed clients, the oldest first.

    :param bin_dir: the folder to search; ``{major}`` in it stands for each version. ``None``
        searches PATH and the folders of common packages.
    :raises UnsupportedError: when no client is found.
    """
    found: dict[int, ClientTools] = {}
    for folder in _folders(bin_dir):
        program = _find("pg_dump", folder)
        if program is None:
            continue
        try:
            major = tool_major(program)
        except (UnsupportedError, OSError) as error:
            log.warning("ignoring %s: %s", program, error)
            continue
        found.setdefault(major, ClientTools(Path(program).parent, major))
    if not found:
        raise UnsupportedError(
            f"no pg_dump in {bin_dir}" if bin_dir else "no pg_dump on PATH",
            hint="Install the PostgreSQL client programs on the worker, or set pg_bin_dir.",
        )
    return [found[major] for major in sorted(found)]


def tools_for_dump(server: int, bin_dir: str | None) -> ClientTools:
    """Return the oldest client that can dump a server.

    :param server: the major version of the server.
    :raises UnsupportedError: when every client is older than the server, which pg_dump refuses.
    """
    installed = find_tools(bin_dir)
    for tools in installed:
        if tools.major >= server:
            return tools
    raise UnsupportedError(
        f"pg_dump {installed[-1].major} is older than the server, which is PostgreSQL {server}",
        hint=f"Install the client of PostgreSQL {server} or newer, or set pg_bin_dir.",
    )


def tools_for_restore(server: int, archive: int, bin_dir: str | None) -> ClientTools:
    """Return the client that fits a server best, among those that can read an archive.

    :param server: the major version of the server; a client that is not older is preferred.
    :param archive: the oldest major version whose pg_restore reads the archive.
    :raises UnsupportedError: when every client is too old for the archive.
    """
    installed = find_tools(bin_dir)
    readers = [tools for tools in installed if tools.major >= archive]
    if not readers:
        raise UnsupportedError(
            f"pg_restore {installed[-1].major} cannot read the archive, which needs {archive}",
            hint=f"Install the client of PostgreSQL {archive} or newer, or set pg_bin_dir.",
        )
    return next((tools for tools in readers if tools.major >= server), readers[-1])


@functools.lru_cache(maxsize=64)
def tool_major(program: str) -> int:
    """Return the major version that a program reports.

    :raises UnsupportedError: when the program reports no version.
    """
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    if version is None:
        raise UnsupportedError(f"{program} does not report its version: {said.stderr.strip()}")
    return int(version.group(1))


def connection_arguments(database: Database) -> list[str]:
    """Return the arguments with which a program connects; the rest is in the environment.

    The name is passed as a connection string, since a name with ``=`` would be taken for one.
    """
    given = make_conninfo(**database.socket_parameters(), dbname=database.name)
    return ["--no-password", f"--dbname={given}"]


def tool_environment(database: Database) -> dict[str, str]:
    """Return the environment of a program, in which its messages are in English."""
    return {**database.environment(), "LC_ALL": "C"}


def check_pg_dump_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that would change where pg_dump reads or writes.

    :raises InvalidInputError: when there is such an argument, or one that is not an option, which
        pg_dump would take for the name of a database.
    """
    for argument in arguments:
        if not argument.startswith("-") or argument in ("-", "--"):
            raise InvalidInputError(
                f"{argument!r} is not an option of pg_dump",
                hint="Write an option and its value as one argument, such as --table=users.",
            )
        if _is_ours(argument):
            raise InvalidInputError(
                f"the pg_dump option {argument!r} is set by this package",
                hint="Remove it. Connection, format and file follow from other options.",
            )


def _is_ours(argument: str) -> bool:
    """Tell whether getopt_long would take an argument for one of our options."""
    if argument.startswith("--"):
        # It accepts an abbreviated name, and refuses one that fits two options.
        name = argument.partition("=")[0]
        return any(
            option.startswith(name) for option in _OUR_PG_DUMP_OPTIONS if option.startswith("--")
        )
    for letter in argument[1:]:
        if f"-{letter}" in _OUR_PG_DUMP_OPTIONS:
            return True
        if letter not in _FLAG_LETTERS:  # the rest of the argument is the value of this option
            return False
    return False


@functools.lru_cache(maxsize=64)
def _dumps_zstd(pg_dump: str) -> bool:
    """Tell whether a pg_dump was built with zstd; if not, it refuses before it connects."""
    said = subprocess.run(
        [pg_dump, "--format=custom", "--compress=zstd", "--host=/nonexistent", "--no-password"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "does not support compression" not in said.stderr


def _folders(bin_dir: str | None) -> Iterator[str]:
    majors = range(OLDEST_CLIENT, NEWEST_CLIENT)
    if bin_dir is None:
        yield from filter(None, os.environ.get("PATH", "").split(os.pathsep))
        patterns: Sequence[str] = PACKAGED_BIN_DIRS
    else:
        patterns = [bin_dir]
    for pattern in patterns:
        if "{major}" in pattern:
            yield from (pattern.replace("{major}", str(major)) for major in majors)
        else:
            yield pattern


def _find(program: str, folder: str) -> str | None:
    return shutil.which(program, path=folder)
