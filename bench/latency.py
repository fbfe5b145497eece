"""How long a dump and a restore take where storage is far away."""

from functools import partial

from bench.archives import STOCK
from bench.commands import download, ours, pg_restore, shell, upload
from bench.delay import distant
from bench.measure import Command, compare
from bench.restore import TARGET
from bench.stage import Stage

MILLISECONDS = 50
JOBS = (2, 4, 8)


def compare_at_a_distance(stage: Stage) -> None:
    where = f"storage {MILLISECONDS} ms away"
    with distant(stage.s3.endpoint_url, milliseconds=MILLISECONDS) as endpoint_url:
        environment = stage.environment(endpoint_url)
        dumping = partial(Command, environment=environment, prepare=stage.settle)
        restoring = partial(
            Command, environment=environment, prepare=partial(stage.make_empty, TARGET)
        )
        dumps = [
            *(dumping(f"this package, {jobs} jobs", ours("dump", jobs)) for jobs in JOBS),
            dumping(
                "pg_dump -Fc --compress=zstd:1, aws s3 cp",
                shell(f"pg_dump -Fc --compress=zstd:1 | {upload('peer.dump')}"),
            ),
        ]
        restores = [
            *(
                restoring(f"this package, {jobs} jobs", ours("restore", TARGET, jobs))
                for jobs in JOBS
            ),
            restoring(
                "django-pgclone's aws s3 cp, pg_restore",
                shell(f"{download(STOCK)} | {pg_restore(TARGET)}"),
            ),
        ]
        compare(f"Dump, {where}", dumps, stage.server_pids, rounds=stage.rounds)
        compare(f"Restore, {where}", restores, stage.server_pids, rounds=stage.rounds)
