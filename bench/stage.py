"""The servers of the benchmarks, how commands find them, and where results go."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import databases
from bench.databases import Content
from bench.measure import Command, run_in_turn
from bench.ours.servers import BUCKET
from bench.tables import AnyTable, Comparison, Figures, Machine, as_json, markdown
from example_dags.services import PostgresServer, S3Server, postgres_server, s3_server

SETTINGS = {
    "shared_buffers": "1GB",
    # A checkpoint amid a load would be one command's and not another's.
    "max_wal_size": "16GB",
    # pg_dump locks all tables.
    "max_locks_per_transaction": "1024",
    # Copies by 16 jobs, and eight restores at once.
    "max_connections": "200",
}


@dataclass(frozen=True)
class Asked:
    """What a run of the benchmarks was asked for.

    :param content: what the database holds.
    :param million_events: rows of the largest table of ``events``, by which all are scaled.
    :param rounds: how often each command runs.
    :param save: the folder that gets each table as JSON.
    """

    content: Content
    million_events: float
    rounds: int
    save: Path | None


@dataclass(frozen=True)
class Stage:
    """The running servers.

    :param folder: for what a command leaves on disk.
    """

    server: PostgresServer
    s3: S3Server
    folder: Path
    asked: Asked
    machine: Machine

    @property
    def server_pids(self) -> dict[str, int]:
        pid = (self.server.data_dir / "postmaster.pid").read_text().split()[0]
        return {"PostgreSQL": int(pid), "S3": self.s3.pid}

    def environment(
        self,
        endpoint_url: str | None = None,
        *,
        port: int | None = None,
        name: str = databases.NAME,
    ) -> dict[str, str]:
        """Return the variables by which every command finds the servers and PostgreSQL's programs.

        :param endpoint_url: where S3 is, if not at its own address.
        :param port: where PostgreSQL is, if not at its own port.
        :param name: of the database.
        """
        server = self.server
        return {
            "PATH": f"{server.bin_dir}:{os.environ['PATH']}",
            "PGHOST": server.host,
            "PGPORT": str(port or server.port),
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

    def drop(self, *names: str) -> None:
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            for name in names:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        self.settle()

    def make_empty(self, *names: str) -> None:
        """Make databases anew."""
        self.drop(*names)
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        self.settle()

    def tables_bytes(self, name: str = databases.NAME) -> int:
        """Return how large the tables of a database are, without their indexes."""
        with psycopg.connect(self.server.uri(name)) as connection:
            row = connection.execute(
                "SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relkind = 'r' AND oid > 16384"
            ).fetchone()
        return int(row[0]) if row else 0

    def compare(
        self,
        table: str,
        title: str,
        commands: Sequence[Command],
        *,
        verb: str,
        database: str = databases.NAME,
    ) -> None:
        """Run commands in turn, print the table of their medians, and save it.

        :param commands: the first is the one that others are compared with.
        :param verb: the name of the comparison, as the program is told it.
        """
        ways = run_in_turn(title, commands, self.server_pids, rounds=self.asked.rounds)
        size_bytes = self.tables_bytes(database)
        command = f"{self._command(verb)} --rounds {self.asked.rounds}"
        self._show(Comparison(table, title, command, self.machine, size_bytes, ways))

    def show_figures(
        self,
        table: str,
        title: str,
        columns: Mapping[str, int],
        rows: Mapping[str, Sequence[float]],
        *,
        verb: str,
        row_head: str,
        database: str = databases.NAME,
    ) -> None:
        """Print a table of numbers, and save it.

        :param columns: how many digits after the point each has, by its head.
        """
        size_bytes, command = self.tables_bytes(database), self._command(verb)
        heads, digits = [row_head, *columns], [*columns.values()]
        self._show(Figures(table, title, command, self.machine, size_bytes, heads, digits, rows))

    def _command(self, verb: str) -> str:
        asked = self.asked
        options = [f"--database {asked.content.name}"] if asked.content.name != "events" else []
        if asked.million_events != databases.FULL_MILLION_EVENTS:
            options.append(f"--million-events {asked.million_events:g}")
        return " ".join(["python -m bench", verb, *options])

    def _show(self, table: AnyTable) -> None:
        print(f"\n## {table.title}\n\n{markdown(table.lines)}", end="", flush=True)
        if self.asked.save is not None:
            self.asked.save.mkdir(parents=True, exist_ok=True)
            (self.asked.save / f"{table.name}.json").write_text(as_json(table))


@contextmanager
def open_stage(asked: Asked) -> Iterator[Stage]:
    """Start the servers and fill the database."""
    load_average = os.getloadavg()[0]
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
            machine = _machine(server, load_average)
            stage = Stage(server, s3, folder / "disk", asked, machine)
            stage.make_empty(databases.NAME)
            databases.make(
                server, databases.NAME, asked.content, million_events=asked.million_events
            )
            yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _machine(server: PostgresServer, load_average: float) -> Machine:
    with psycopg.connect(server.uri()) as connection:
        version = connection.info.parameter_status("server_version") or "?"
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    models = (
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return Machine(os.cpu_count() or 1, memory_bytes, next(models, "?"), version, load_average)
