"""How long a dump to S3 takes, beside its peers: ``make bench``."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench import database
from bench.measure import Run, median, report, run
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.seaweedfs import S3Server, s3_server

ROUNDS = 3
BUCKET = "bench"
OURS = "this package, 2 jobs"


def contenders(
    server: PostgresServer, s3: S3Server, folder: Path, pages: int
) -> dict[str, list[str]]:
    """Return the command lines by name; a shell runs those that are pipelines by nature.

    :param pages: of the largest table, which the floor reads in two halves.
    """
    pg_dump, psql = server.bin_dir / "pg_dump", server.bin_dir / "psql"
    upload = (
        f"{sys.executable} -m awscli s3 cp - s3://{BUCKET}/peer.dump "
        f"--endpoint-url {s3.endpoint_url}"
    )
    middle = f"'({pages // 2},0)'"
    queries = [
        f"COPY (SELECT * FROM events WHERE ctid < {middle}) TO STDOUT",
        f"COPY (SELECT * FROM events WHERE ctid >= {middle}) TO STDOUT",
        "COPY users TO STDOUT; COPY orders TO STDOUT",
    ]
    floor = " & ".join(f'{psql} --quiet --command "{query}" > /dev/null' for query in queries)
    directory = folder / "directory"

    def pipeline(command: str) -> list[str]:
        return ["bash", "-o", "pipefail", "-c", command]

    return {
        OURS: [sys.executable, "-m", "bench.ours", "2"],
        "this package, 4 jobs": [sys.executable, "-m", "bench.ours", "4"],
        "django-pgclone's pg_dump -Fc, aws s3 cp": pipeline(f"{pg_dump} -Fc | {upload}"),
        "pg_dump -Fc --compress=zstd:1, aws s3 cp": pipeline(
            f"{pg_dump} -Fc --compress=zstd:1 | {upload}"
        ),
        "pg_dump -Fd -j2 to disk": pipeline(
            f"rm -rf {directory} && {pg_dump} -Fd -j2 -f {directory}"
        ),
        "floor: the same COPYs at once to /dev/null": pipeline(f"{floor} & wait"),
    }


def environment(server: PostgresServer, s3: S3Server) -> dict[str, str]:
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGDATABASE": database.NAME,
        "PG_BIN_DIR": str(server.bin_dir),
        "S3_ENDPOINT": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def main() -> None:
    million_events = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    folder = Path(tempfile.mkdtemp(prefix="pgclone-bench-"))
    os.chmod(folder, 0o755)
    for name in ("pg", "s3"):
        (folder / name).mkdir()
    try:
        with (
            postgres_server(folder / "pg", settings={"shared_buffers": "1GB"}) as server,
            s3_server(folder / "s3") as s3,
        ):
            s3.client().create_bucket(Bucket=BUCKET)
            size = database.fill(server, million_events=million_events)
            print(f"{os.cpu_count()} cores, {size / 1e9:.2f} GB of tables, medians of {ROUNDS}")
            variables = environment(server, s3)
            ways = contenders(server, s3, folder, database.pages_of_events(server))
            runs: dict[str, list[Run]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, argv in ways.items():
                    runs[name].append(run(argv, variables))
            report("Dump", {name: median(taken) for name, taken in runs.items()}, OURS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
