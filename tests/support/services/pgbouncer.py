"""A PgBouncer in front of a PostgreSQL server, where it is installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from example_dags.services import NOBODY, PostgresServer, free_ports

STARTUP_SECONDS = 20
# Distributions put it where only root looks.
_FOLDERS = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"


def installed_pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=_FOLDERS)


@contextlib.contextmanager
def pgbouncer(
    program: str, server: PostgresServer, folder: Path, pool_mode: str
) -> Iterator[PostgresServer]:
    """Run it below ``folder`` until the block ends, and yield the server as its clients see it.

    :param folder: an empty folder that the servers' user may enter.
    :param pool_mode: ``session`` or ``transaction``.
    """
    (port,) = free_ports(1)
    users, settings = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{server.user}" "{server.password}"\n')
    settings.write_text(
        "[databases]\n"
        f"* = host={server.host} port={server.port}\n"
        "[pgbouncer]\n"
        f"listen_addr = {server.host}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {pool_mode}\n"
        f"ignore_startup_parameters = extra_float_digits,options\nlogfile = {folder}/log\n"
        # For so long it refuses clients after a session that it could not open, by default 15 s.
        "server_login_retry = 1\n"
    )
    as_nobody: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (folder, users, settings):
            os.chown(path, NOBODY, NOBODY)
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    process = subprocess.Popen(
        [program, "--quiet", settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **as_nobody,
    )
    try:
        _wait_until_up(process, server.host, port, folder / "log")
        yield replace(server, port=port)
    finally:
        process.kill()
        process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() >= deadline:
                said = log.read_text() if log.exists() else ""
                raise RuntimeError(f"pgbouncer did not start: {said[-2000:]}") from None
