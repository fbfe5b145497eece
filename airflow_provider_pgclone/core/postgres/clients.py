"""Which PostgreSQL client programs are installed, what they can do, and their arguments."""

import functools
import logging
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
from airflow_provider_pgclone.core.postgres.settings import loading_options

log = logging.getLogger(__name__)

OLDEST_CLIENT, NEWEST_CLIENT = 14, 30
# Where packages of Debian, of the PostgreSQL project for Red Hat, and of Homebrew put each major.
PACKAGED_BIN_DIRS = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
)
# What we give ourselves, or what would send the dump elsewhere or make it another format.
_OUR_OPTIONS = {
    "pg_dump": (
        *("-f", "--file", "-F", "--format", "-j", "--jobs", "-d", "--dbname", "-h", "--host"),
        *("-p", "--port", "-U", "--username", "-W", "--password", "--snapshot", "-V", "--version"),
        *("-?", "--help", "-Z", "--compress", "-w", "--no-password"),
    ),
}
# pg_dump's short options without a value: several may stand in one argument.
_FLAG_LETTERS = "abBcCORsvwx"


@dataclass(frozen=True)
class ClientTools:
    """The programs of one PostgreSQL client, in one folder."""

    bin_dir: Path
    major: int

    def path(self, program: str) -> str:
        found = _find(program, str(self.bin_dir))
        if found is None:
            raise UnsupportedError(
                f"no program {program} in {self.bin_dir}",
                hint=f"Install the client of PostgreSQL {self.major} whole.",
            )
        return found

    @property
    def dumps_zstd(self) -> bool:
        """Whether its archives may be compressed with zstd: the format knows it from 16 on."""
        return self.major >= 16 and _dumps_zstd(self.path("pg_dump"))


def find_tools(bin_dir: str | None) -> list[ClientTools]:
    """Return the clients that are installed, the oldest first.

    :param bin_dir: the only folder to look in; ``{major}`` in it stands for each version. Without
        it, PATH and the folders of the usual packages.
    :raises UnsupportedError: when there is none.
    """
    found: dict[int, ClientTools] = {}
    for folder in _folders(bin_dir):
        program = _find("pg_dump", folder)
        if program is None:
            continue
        try:
            major = tool_major(program)
        except (UnsupportedError, OSError) as error:
            log.warning("passing over %s: %s", program, error)
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

    :param server: its major version.
    :raises UnsupportedError: when each is older than the server, which pg_dump refuses.
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
    """Return the client that suits a server best among those that can read an archive.

    :param server: its major version; a client that is not older than it is preferred.
    :param archive: the oldest major version whose pg_restore reads the archive.
    :raises UnsupportedError: when each is too old for the archive.
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
    """Return the major version of a program, as it says itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    if version is None:
        raise UnsupportedError(f"{program} does not tell its version: {said.stderr.strip()}")
    return int(version.group(1))


def connection_arguments(database: Database) -> list[str]:
    """Return the arguments by which every program connects; the rest is in the environment.

    The name goes as a connection string: a name with ``=`` in it would be taken for one.
    """
    return ["--no-password", f"--dbname={make_conninfo(dbname=database.name)}"]


def tool_environment(database: Database) -> dict[str, str]:
    """Return the variables of a program, which speaks English to be understood."""
    return {**database.environment(), "LC_ALL": "C"}


def loading_environment(database: Database, settings: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables of a program that loads a database.

    Settings of its role or of the database could be in its way; those of a connection come first.

    :param settings: more of them, as ``name=value`` without spaces.
    """
    variables = tool_environment(database)
    options = f"{variables.get('PGOPTIONS', '')} {loading_options(settings)}"
    return {**variables, "PGOPTIONS": options.strip()}


def check_extra_arguments(program: str, arguments: Sequence[str]) -> None:
    """Refuse arguments that would change where a program reads or writes.

    :raises InvalidInputError: for such an argument, or one that is no option: PostgreSQL's
        programs would take it for the name of a database.
    """
    for argument in arguments:
        if not argument.startswith("-") or argument in ("-", "--"):
            raise InvalidInputError(
                f"{argument!r} is no {program} option",
                hint="Write an option and its value as one argument, such as --table=users.",
            )
        if _is_ours(argument, _OUR_OPTIONS[program]):
            raise InvalidInputError(
                f"the {program} option {argument!r} is set by this package",
                hint="Remove it; connection, format and file follow from the other options.",
            )


def _is_ours(argument: str, ours: Sequence[str]) -> bool:
    """Whether getopt_long would take an argument for one of these options."""
    if argument.startswith("--"):
        # It takes a name that is cut short; one that fits two options it refuses itself.
        name = argument.partition("=")[0]
        return any(option.startswith(name) for option in ours if option.startswith("--"))
    for letter in argument[1:]:
        if f"-{letter}" in ours:
            return True
        if letter not in _FLAG_LETTERS:  # the rest of the argument is this letter's value
            return False
    return False


@functools.lru_cache(maxsize=64)
def _dumps_zstd(pg_dump: str) -> bool:
    """Whether a pg_dump was built with zstd: it refuses the option before it connects."""
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
