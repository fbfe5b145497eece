"""How long a dump to S3 takes, beside its peers."""

from functools import partial

from bench import databases, ways
from bench.commands import at_once, copy_out, ours, shell, upload
from bench.floor_plan import read_parts, share_out
from bench.measure import Command
from bench.stage import Stage


def compare_dumps(stage: Stage) -> None:
    command = partial(Command, environment=stage.environment(), prepare=stage.settle)
    directory = stage.folder / "directory"
    commands = [
        command(ways.OURS_2_JOBS, ours("dump", 2)),
        command(f"{ways.OURS}, 4 jobs", ours("dump", 4)),
        command(
            f"{ways.OURS_2_JOBS}, its modules imported before",
            ["bench.ours.dump", "2"],
            measured_by=("-m", "bench.warm"),
        ),
        command(ways.DUMP_DJANGO, shell(f"pg_dump -Fc | {upload('peer.dump')}")),
        command(
            ways.DUMP_ZSTD,
            shell(f"pg_dump -Fc --compress=zstd:1 | {upload('peer.dump')}"),
        ),
        command(f"{ways.OURS}, 2 jobs, to a folder", ours("dump", 2, stage.folder / "ours")),
        command(
            "pg_dump -Fd -j2 to a folder",
            shell(f"rm -rf {directory}; pg_dump -Fd -j2 -f {directory}"),
        ),
        command(ways.DUMP_FLOOR, shell(_floor(stage))),
    ]
    name = stage.asked.content.name
    stage.compare(f"dump-{name}", f"Dump of the database {name}", commands, verb="dump")


def _floor(stage: Stage) -> str:
    shares = share_out(read_parts(stage.server, databases.NAME))
    return at_once(
        " ".join(["psql --quiet", *(copy_out(part.source) for part in share), "> /dev/null"])
        for share in shares
    )
