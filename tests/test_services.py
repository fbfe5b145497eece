"""The servers of the demo, the benchmarks and the tests end with the process that started them."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from example_dags.services import free_ports
from tests.support import REPOSITORY

PATIENCE_SECONDS = 30
STARTS = """
import sys
from pathlib import Path
from example_dags.services import postgres_server, s3_server

with {server}(Path(sys.argv[1])) as server:
    print({port}, flush=True)
    sys.stdin.read()
"""


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("server", "port"),
    [
        ("postgres_server", "server.port"),
        ("s3_server", "server.endpoint_url.rpartition(':')[2]"),
    ],
)
def test_a_server_ends_with_a_process_that_is_killed(
    server: str, port: str, open_tmp: Path
) -> None:
    folder = open_tmp / f"killed-{server}"
    folder.mkdir()
    program = STARTS.format(server=server, port=port)
    with subprocess.Popen(
        [sys.executable, "-c", program, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        served = int(starter.stdout.readline())
        assert listens(served)
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while listens(served):
        assert time.monotonic() < deadline, f"a server of {server} listens still"


def test_free_ports_are_none_that_a_system_gives_to_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < 32768
