"""How long a copy of a database to its own server takes, beside its peers."""

import shutil
from dataclasses import replace
from functools import partial

from bench import database
from bench.commands import and_analyze, ours, pg_restore, shell
from bench.measure import Command, compare
from bench.stage import Stage

TARGET = "copied"


def compare_copies(stage: Stage) -> None:
    environment = stage.environment()
    into_empty = partial(
        Command, environment=environment, prepare=partial(stage.make_empty, TARGET)
    )
    by_server = partial(Command, environment=environment, prepare=partial(stage.drop, TARGET))
    create = f"CREATE DATABASE {TARGET} TEMPLATE {database.NAME}"
    commands = [
        into_empty("this package by stream, 2 jobs", ours("copy", TARGET, 2)),
        into_empty("this package by stream, 4 jobs", ours("copy", TARGET, 4)),
        and_analyze(
            into_empty("pg_dump -Fc, pg_restore", shell(f"pg_dump -Fc | {pg_restore(TARGET)}")),
            TARGET,
        ),
        and_analyze(
            into_empty(
                "pg_dump -Fc --compress=0, pg_restore",
                shell(f"pg_dump -Fc --compress=0 | {pg_restore(TARGET)}"),
            ),
            TARGET,
        ),
        *_pgcopydb(stage, into_empty),
        by_server("CREATE DATABASE … TEMPLATE", _psql(create)),
        by_server("CREATE DATABASE … STRATEGY file_copy", _psql(f"{create} STRATEGY file_copy")),
    ]
    compare("Copy", commands, stage.server_pids, rounds=stage.rounds)
    print(
        "\nThis package also counts the rows of each table, runs ANALYZE and swaps its database "
        "in; pgcopydb\nruns VACUUM ANALYZE. CREATE DATABASE wants the source to have no sessions."
    )


def _psql(statement: str) -> list[str]:
    return ["psql", "--quiet", "--dbname=postgres", f"--command={statement}"]


def _pgcopydb(stage: Stage, into_empty: "partial[Command]") -> list[Command]:
    if shutil.which("pgcopydb") is None:
        print("\npgcopydb is not installed (Debian's package pgcopydb): it is left out.")
        return []
    folder = stage.folder / "pgcopydb"
    argv = shell(
        f"rm -rf {folder}; pgcopydb clone --dir {folder} --table-jobs 2 --index-jobs 2 "
        "--split-tables-larger-than 100MB"
    )
    uris = {
        "PGCOPYDB_SOURCE_PGURI": stage.server.uri(database.NAME),
        "PGCOPYDB_TARGET_PGURI": stage.server.uri(TARGET),
    }
    command = into_empty("pgcopydb clone, 2 jobs", argv)
    return [replace(command, environment={**command.environment, **uris})]
