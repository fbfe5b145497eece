"""How long a restore from S3 takes, beside its peers; each into a database that is new."""

from functools import partial

from bench import database
from bench.archives import STOCK
from bench.commands import and_analyze, at_once, download, ours, pg_restore, shell
from bench.measure import Command, compare, run
from bench.stage import Stage

TARGET = "restored"
_PSQL = f"psql --quiet --set=ON_ERROR_STOP=1 --dbname={TARGET}"


def compare_restores(stage: Stage) -> None:
    command = partial(
        Command,
        environment=stage.environment(),
        prepare=partial(stage.make_empty, TARGET),
    )
    archive = stage.folder / STOCK
    commands = [
        command("this package, 2 jobs", ours("restore", TARGET, 2)),
        command("this package, 4 jobs", ours("restore", TARGET, 4)),
        and_analyze(
            command(
                "django-pgclone's aws s3 cp, pg_restore",
                shell(f"{download(STOCK)} | {pg_restore(TARGET)}"),
            ),
            TARGET,
        ),
        and_analyze(
            command(
                "aws s3 cp to disk, pg_restore -j2",
                shell(f"{download(STOCK, str(archive))}; {pg_restore(TARGET)} --jobs=2 {archive}"),
            ),
            TARGET,
        ),
        command("floor: COPY of ready text and the indexes, two at once", shell(_floor(stage))),
    ]
    compare("Restore", commands, stage.server_pids, rounds=stage.rounds)
    print(
        "\nThis package also checks each block by its SHA-256, counts the rows of each table, runs "
        "ANALYZE\nand swaps its database in. The others do only what is named."
    )


def _floor(stage: Stage) -> str:
    """Return the least that a restore must do, and make the files of text that it reads."""
    schema = stage.folder / "schema.sql"
    make = [f"pg_dump --section=pre-data > {schema}"]
    loads = []
    for number, (source, table) in enumerate(database.copies(stage.server).items()):
        text = stage.folder / f"{number}.txt"
        make.append(f'psql --quiet --command "COPY {source} TO STDOUT" > {text}')
        loads.append(f'{_PSQL} --command "COPY {table} FROM STDIN" < {text}')
    run(Command("the text of the floor", shell("; ".join(make)), stage.environment()), {})
    indexes = [
        f'{_PSQL} --command "{index}"' for index in (*database.INDEXES, *database.UNIQUE_INDEXES)
    ]
    # The halves of the largest table, then the longest index beside all the rest: two cores work
    # to the end.
    rest = "; ".join([*loads[2:], *indexes[1:]])
    return (
        f"{_PSQL} --file={schema}; {at_once(loads[:2])}; {at_once([indexes[0], f'{{ {rest}; }}'])}"
    )
