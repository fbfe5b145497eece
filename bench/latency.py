"""How long a dump and a restore take where storage is far away."""

from functools import partial
from urllib.parse import urlsplit

from bench import ways
from bench.archives import STOCK
from bench.commands import download, ours, pg_restore, shell, upload
from bench.measure import Command
from bench.proxy import proxy
from bench.restore import TARGET
from bench.stage import Stage

MILLISECONDS = 50
JOBS = (2, 4, 8)


def compare_at_a_distance(stage: Stage) -> None:
    where = f"storage {MILLISECONDS} ms away"
    s3 = urlsplit(stage.s3.endpoint_url)
    with proxy(str(s3.hostname), s3.port or 80, milliseconds=MILLISECONDS) as port:
        environment = stage.environment(f"http://127.0.0.1:{port}")
        dumping = partial(Command, environment=environment, prepare=stage.settle)
        restoring_anew = partial(
            Command, environment=environment, prepare=partial(stage.drop, TARGET)
        )
        restoring = partial(restoring_anew, prepare=partial(stage.make_empty, TARGET))
        dumps = [
            *(dumping(f"{ways.OURS}, {jobs} jobs", ours("dump", jobs)) for jobs in JOBS),
            dumping(
                ways.DUMP_ZSTD,
                shell(f"pg_dump -Fc --compress=zstd:1 | {upload('peer.dump')}"),
            ),
        ]
        restores = [
            *(
                restoring_anew(f"{ways.OURS}, {jobs} jobs", ours("restore", TARGET, jobs))
                for jobs in JOBS
            ),
            restoring(
                ways.RESTORE_DJANGO,
                shell(f"{download(STOCK)} | {pg_restore(TARGET)}"),
            ),
        ]
        stage.compare("latency-dump", f"Dump, {where}", dumps, verb="latency")
        stage.compare("latency-restore", f"Restore, {where}", restores, verb="latency")
