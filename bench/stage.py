"""The servers of the benchmarks, and how commands find them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import database
from bench.commands import BUCKET
from example_dags.services import PostgresServer, S3Server, postgres_server, s3_server

SETTINGS = {
    "shared_buffers": "1GB",
    # A checkpoint amid a load would be one command's and not another's.
    "max_wal_size": "16GB",
    # pg_dump locks all tables.
    "max_locks_per_transaction": "1024",
}


@dataclass(frozen=True)
class Stage:
    """The running servers.

    :param folder: for what a command leaves on disk.
    :param million_events: rows of the largest table of the database.
    :param size_bytes: of its tables.
    :param rounds: how often each command runs.
    """

    server: PostgresServer
    s3: S3Server
    folder: Path
    million_events: float
    size_bytes: int
    rounds: int

    @property
    def version(self) -> str:
        with psycopg.connect(self.server.uri()) as connection:
            return connection.info.parameter_status("server_version") or "?"

    @property
    def server_pids(self) -> dict[str, int]:
        pid = (self.server.data_dir / "postmaster.pid").read_text().split()[0]
        return {"PostgreSQL": int(pid), "S3": self.s3.pid}

    def environment(
        self, endpoint_url: str | None = None, *, name: str = database.NAME
    ) -> dict[str, str]:
        """Return the variables by which every command finds the servers and PostgreSQL's programs.

        :param name: of the database.
        :param endpoint_url: where S3 is, if not at its own address.
        """
        server = self.server
        return {
            "PATH": f"{server.bin_dir}:{os.environ['PATH']}",
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": server.user,
            "PGPASSWORD": server.password,
            "PGDATABASE": name,
            "PG_BIN_DIR": str(server.bin_dir),
            "AWS_ENDPOINT_URL": endpoint_url or self.s3.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def settle(self) -> None:
        """Let the server write now what it would write in the middle of a measurement."""
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def drop(self, name: str) -> None:
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        self.settle()

    def make_empty(self, name: str) -> None:
        """Make a database anew."""
        self.drop(name)
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        self.settle()


@contextmanager
def open_stage(*, million_events: float, rounds: int) -> Iterator[Stage]:
    """Start the servers and fill the database."""
    folder = Path(tempfile.mkdtemp(prefix="pgclone-bench-"))
    os.chmod(folder, 0o755)
    for name in ("pg", "s3", "disk"):
        (folder / name).mkdir()
    try:
        with (
            postgres_server(folder / "pg", settings=SETTINGS) as server,
            s3_server(folder / "s3") as s3,
        ):
            s3.client().create_bucket(Bucket=BUCKET)
            size_bytes = database.fill(server, million_events=million_events)
            yield Stage(server, s3, folder / "disk", million_events, size_bytes, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
