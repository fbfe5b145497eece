"""How long a dump to S3 takes, beside its peers."""

from functools import partial

from bench import database
from bench.commands import at_once, ours, shell, upload
from bench.measure import Command, compare
from bench.stage import Stage


def compare_dumps(stage: Stage) -> None:
    command = partial(Command, environment=stage.environment(), prepare=stage.settle)
    directory = stage.folder / "directory"
    floor = at_once(
        f'psql --quiet --command "COPY {what} TO STDOUT" > /dev/null'
        for what in database.copies(stage.server)
    )
    commands = [
        command("this package, 2 jobs", ours("dump", 2)),
        command("this package, 4 jobs", ours("dump", 4)),
        command(
            "django-pgclone's pg_dump -Fc, aws s3 cp", shell(f"pg_dump -Fc | {upload('peer.dump')}")
        ),
        command(
            "pg_dump -Fc --compress=zstd:1, aws s3 cp",
            shell(f"pg_dump -Fc --compress=zstd:1 | {upload('peer.dump')}"),
        ),
        command("this package, 2 jobs, to a folder", ours("dump", 2, stage.folder / "ours")),
        command(
            "pg_dump -Fd -j2 to a folder",
            shell(f"rm -rf {directory}; pg_dump -Fd -j2 -f {directory}"),
        ),
        command("floor: the same COPYs at once to /dev/null", shell(floor)),
    ]
    compare("Dump", commands, stage.server_pids, rounds=stage.rounds)
