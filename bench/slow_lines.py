"""How long a dump and a copy take where each connection carries little.

So it is between regions, through tunnels and gateways, and where a server limits its clients. All
commands reach PostgreSQL and S3 by the same proxies.
"""

from functools import partial
from urllib.parse import urlsplit

from bench import ways
from bench.commands import ours, pg_restore, shell, upload
from bench.copying import TARGET, pgcopydb_clones
from bench.measure import Command
from bench.proxy import proxy
from bench.stage import Stage

BYTES_PER_SECOND = 10_000_000
JOBS = (1, 2, 4, 8, 16)
JOBS_OF_PGCOPYDB = [4, 16]


def compare_on_slow_lines(stage: Stage) -> None:
    s3 = urlsplit(stage.s3.endpoint_url)
    slow = partial(proxy, bytes_per_second=BYTES_PER_SECOND)
    where = f"{BYTES_PER_SECOND / 1e6:.0f} MB/s a connection"
    with (
        slow(stage.server.host, stage.server.port) as postgres_port,
        slow(str(s3.hostname), s3.port or 80) as s3_port,
    ):
        environment = stage.environment(f"http://127.0.0.1:{s3_port}", port=postgres_port)
        dumping = partial(Command, environment=environment, prepare=stage.settle)
        copying_anew = partial(
            Command, environment=environment, prepare=partial(stage.drop, TARGET)
        )
        copying = partial(copying_anew, prepare=partial(stage.make_empty, TARGET))
        dumps = [
            *(dumping(f"{ways.OURS}, {_jobs(jobs)}", ours("dump", jobs)) for jobs in JOBS),
            dumping(
                ways.DUMP_ZSTD, shell(f"pg_dump -Fc --compress=zstd:1 | {upload('peer.dump')}")
            ),
        ]
        copies = [
            *(
                copying_anew(f"{ways.OURS} by stream, {_jobs(jobs)}", ours("copy", TARGET, jobs))
                for jobs in JOBS
            ),
            *pgcopydb_clones(copying("", []), stage.folder, JOBS_OF_PGCOPYDB),
            copying(
                ways.COPY_PIPE_UNCOMPRESSED,
                shell(f"pg_dump -Fc --compress=0 | {pg_restore(TARGET)}"),
            ),
        ]
        stage.compare("slow-dump", f"Dump, {where}", dumps, verb="slow-lines")
        stage.compare("slow-copy", f"Copy, {where}", copies, verb="slow-lines")


def _jobs(count: int) -> str:
    return f"{count} job{'s' if count > 1 else ''}"
