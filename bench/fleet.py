"""How long it takes to restore several databases side by side on one server."""

from functools import partial

from bench import databases, ways
from bench.archives import STOCK, store_archives
from bench.commands import at_once, download, ours, pg_restore, shell, vacuumdb
from bench.measure import Command
from bench.stage import Stage

NAME = "fleet"
DATABASES = 8
TARGETS = [f"fleet_{number}" for number in range(DATABASES)]
JOBS = (1, 2)


def compare_fleets(stage: Stage) -> None:
    """Restore one dump into several databases at once, each by a process of its own."""
    asked = stage.asked
    stage.make_empty(NAME)
    share = asked.million_events / DATABASES
    databases.make(stage.server, NAME, asked.content, million_events=share)
    store_archives(stage, name=NAME)
    environment = stage.environment(name=NAME)
    by_us = partial(Command, environment=environment, prepare=partial(stage.drop, *TARGETS))
    command = partial(by_us, prepare=partial(stage.make_empty, *TARGETS))
    analyzing = shell(at_once(" ".join(vacuumdb(target)) for target in TARGETS))
    stock = f"{DATABASES} × aws s3 cp, pg_restore"
    commands = [
        *(
            by_us(
                f"{DATABASES} × {ways.OURS}, {jobs} job{'s' if jobs > 1 else ''}",
                shell(at_once(" ".join(ours("restore", target, jobs)) for target in TARGETS)),
            )
            for jobs in JOBS
        ),
        command(
            stock,
            # In braces, since a pipeline is to be one thing that is waited for.
            shell(at_once(f"{{ {download(STOCK)} | {pg_restore(one)}; }}" for one in TARGETS)),
            then=Command(ways.analyzed(stock), analyzing, environment),
        ),
    ]
    title = f"Restore of {DATABASES} databases side by side"
    stage.compare("fleet", title, commands, verb="fleet", database=NAME)
    stage.drop(NAME, *TARGETS)
