"""How long a copy of a database to its own server takes, beside its peers."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import databases, ways
from bench.commands import and_analyze, ours, pg_restore, pgcopydb, pgcopydb_version, shell
from bench.measure import Command
from bench.stage import Stage

TARGET = "copied"


def compare_copies(stage: Stage) -> None:
    environment = stage.environment()
    into_new = partial(Command, environment=environment, prepare=partial(stage.drop, TARGET))
    into_empty = partial(into_new, prepare=partial(stage.make_empty, TARGET))
    create = f"CREATE DATABASE {TARGET} TEMPLATE {databases.NAME}"
    commands = [
        into_new(ways.OURS_BY_STREAM, ours("copy", TARGET, 2)),
        into_new(f"{ways.OURS} by stream, 4 jobs", ours("copy", TARGET, 4)),
        and_analyze(
            into_empty(ways.COPY_PIPE, shell(f"pg_dump -Fc | {pg_restore(TARGET)}")),
            TARGET,
        ),
        and_analyze(
            into_empty(
                ways.COPY_PIPE_UNCOMPRESSED,
                shell(f"pg_dump -Fc --compress=0 | {pg_restore(TARGET)}"),
            ),
            TARGET,
        ),
        *pgcopydb_clones(into_empty("", []), stage.folder, [2]),
        into_new("CREATE DATABASE … TEMPLATE", _psql(create)),
        into_new("CREATE DATABASE … STRATEGY file_copy", _psql(f"{create} STRATEGY file_copy")),
    ]
    name = stage.asked.content.name
    stage.compare(f"copy-{name}", f"Copy of the database {name}", commands, verb="copy")
    print(
        "\nThis package also counts the rows of each table, and runs ANALYZE; pgcopydb runs VACUUM "
        "ANALYZE.\nCREATE DATABASE wants the source to have no sessions."
    )


def pgcopydb_clones(like: Command, folder: Path, jobs: list[int]) -> list[Command]:
    """Return the commands by which pgcopydb copies the database, none where it is not installed."""
    if pgcopydb_version() is None:
        return []
    environment = like.environment
    server = (
        f"postgresql://{environment['PGUSER']}:{environment['PGPASSWORD']}"
        f"@{environment['PGHOST']}:{environment['PGPORT']}"
    )
    uris = {
        "PGCOPYDB_SOURCE_PGURI": f"{server}/{environment['PGDATABASE']}",
        "PGCOPYDB_TARGET_PGURI": f"{server}/{TARGET}",
    }
    return [
        replace(
            like,
            name=f"pgcopydb clone, {count} jobs",
            argv=shell(pgcopydb(folder / "pgcopydb", count)),
            environment={**environment, **uris},
        )
        for count in jobs
    ]


def _psql(statement: str) -> list[str]:
    return ["psql", "--quiet", "--dbname=postgres", f"--command={statement}"]
