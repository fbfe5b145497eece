"""How long a restore from S3 takes, beside its peers; each into a database that is new."""

import sys
from functools import partial

from bench import databases, ways
from bench.archives import STOCK
from bench.commands import and_analyze, download, ours, pg_restore, shell
from bench.floor import write_plan
from bench.measure import Command, run
from bench.stage import Stage

TARGET = "restored"


def compare_restores(stage: Stage) -> None:
    by_us = partial(Command, environment=stage.environment(), prepare=partial(stage.drop, TARGET))
    command = partial(by_us, prepare=partial(stage.make_empty, TARGET))
    archive = stage.folder / STOCK
    commands = [
        by_us(ways.OURS_2_JOBS, ours("restore", TARGET, 2)),
        by_us(f"{ways.OURS}, 4 jobs", ours("restore", TARGET, 4)),
        command(f"{ways.OURS_2_JOBS}, in place of another one", ours("restore", TARGET, 2)),
        and_analyze(
            command(ways.RESTORE_DJANGO, shell(f"{download(STOCK)} | {pg_restore(TARGET)}")),
            TARGET,
        ),
        and_analyze(
            command(
                ways.RESTORE_BY_DISK,
                shell(f"{download(STOCK, str(archive))}; {pg_restore(TARGET)} --jobs=2 {archive}"),
            ),
            TARGET,
        ),
        and_analyze(command(ways.RESTORE_FLOOR, shell(_floor(stage))), TARGET),
    ]
    name = stage.asked.content.name
    stage.compare(f"restore-{name}", f"Restore of the database {name}", commands, verb="restore")
    print(
        "\nThis package also checks each block by its SHA-256, counts the rows of each table, runs "
        "ANALYZE\nand gives its database the name. The others do only what is named. To drop the "
        "database that\nwas in its place, the server writes all that it has in memory."
    )


def _floor(stage: Stage) -> str:
    """Return the least that a restore must do, and make the files of text that it reads.

    One session does it once, to know how long each step takes.
    """
    folder = stage.folder / "floor"
    plan, make_texts = write_plan(stage.server, databases.NAME, folder)
    schema = folder / "schema.sql"
    make = [f"pg_dump --section=pre-data > {schema}", *make_texts]

    def steps(*arguments: object) -> str:
        arguments_text = " ".join(map(str, (plan, TARGET, *arguments)))
        return (
            f"psql --quiet --set=ON_ERROR_STOP=1 --dbname={TARGET} --file={schema}; "
            f"{sys.executable} -m bench.floor {arguments_text}"
        )

    stage.make_empty(TARGET)
    text = "; ".join([*make, steps(1, "note")])
    run(Command("the first run of the floor", shell(text), stage.environment()), {})
    return steps(2)
