"""Command lines, from which the comparisons are made."""

import sys
from collections.abc import Iterable
from dataclasses import replace

from bench.measure import Command

BUCKET = "bench"


def ours(verb: str, *arguments: object) -> list[str]:
    """Return a verb of this package, as a command of its own."""
    return [sys.executable, "-m", "bench.ours", verb, *map(str, arguments)]


def shell(text: str) -> list[str]:
    """Return what a shell runs, for what is a pipeline by nature; it fails where a part fails."""
    return ["bash", "-e", "-o", "pipefail", "-c", text]


def upload(name: str) -> str:
    return f"{sys.executable} -m awscli s3 cp - s3://{BUCKET}/{name}"


def download(name: str, path: str = "-") -> str:
    return f"{sys.executable} -m awscli s3 cp s3://{BUCKET}/{name} {path}"


def pg_restore(target: str) -> str:
    return f"pg_restore --exit-on-error --dbname={target}"


def and_analyze(command: Command, target: str) -> Command:
    """Return a command that fills a database, then as a row of its own with statistics as well."""
    argv = ["vacuumdb", "--analyze-only", "--jobs=2", f"--dbname={target}"]
    name = f"{command.name}, vacuumdb --analyze-only -j2"
    return replace(command, then=Command(name, argv, command.environment))


def at_once(commands: Iterable[str]) -> str:
    """Return a command of a shell that runs others at the same time, and fails where one fails."""
    started = " ".join(f"{command} & pids+=($!);" for command in commands)
    return f'pids=(); {started} for pid in "${{pids[@]}}"; do wait "$pid"; done'
