"""Command lines, from which the comparisons are made."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.measure import Command
from bench.ours.servers import BUCKET
from bench.ways import analyzed


def ours(verb: str, *arguments: object) -> list[str]:
    """Return a verb of this package, a module of ``bench.ours``, as a command of its own."""
    return [sys.executable, "-m", f"bench.ours.{verb}", *map(str, arguments)]


def shell(text: str) -> list[str]:
    """Return what a shell runs, for what is a pipeline by nature; it fails where a part fails."""
    return ["bash", "-e", "-o", "pipefail", "-c", text]


def upload(name: str) -> str:
    return f"{sys.executable} -m awscli s3 cp - s3://{BUCKET}/{name}"


def download(name: str, path: str = "-") -> str:
    return f"{sys.executable} -m awscli s3 cp s3://{BUCKET}/{name} {path}"


def copy_out(source: str) -> str:
    """Return the argument of psql that copies rows to its output."""
    return f"--command {shlex.quote(f'COPY {source} TO STDOUT')}"


def pg_restore(target: str) -> str:
    return f"pg_restore --exit-on-error --dbname={target}"


def vacuumdb(target: str) -> list[str]:
    return ["vacuumdb", "--analyze-only", "--jobs=2", f"--dbname={target}"]


def pgcopydb(folder: Path, jobs: int) -> str:
    """Return a clone; it finds pg_dump and pg_restore by PATH, as the other commands do.

    :param folder: for its own files.
    """
    return (
        f"rm -rf {folder}; pgcopydb clone --dir {folder} --table-jobs {jobs} "
        f"--index-jobs {jobs} --split-tables-larger-than 100MB"
    )


def pgcopydb_version() -> str | None:
    """Return the version of pgcopydb, ``None`` where it is not installed."""
    if shutil.which("pgcopydb") is None:
        return None
    said = subprocess.run(["pgcopydb", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0].removeprefix("pgcopydb version ")


def and_analyze(command: Command, target: str) -> Command:
    """Return a command that fills a database, then as a row of its own with statistics as well."""
    name = analyzed(command.name)
    return replace(command, then=Command(name, vacuumdb(target), command.environment))


def at_once(commands: Iterable[str]) -> str:
    """Return a command of a shell that runs others at the same time, and fails where one fails."""
    started = " ".join(f"{command} & pids+=($!);" for command in commands)
    return f'pids=(); {started} for pid in "${{pids[@]}}"; do wait "$pid"; done'
