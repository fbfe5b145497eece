"""Airflow's web interface with the example DAGs, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from example_dags.demo import shop
from example_dags.demo.environment import airflow_environment, web_environment
from example_dags.demo.folders import server_folder
from example_dags.demo.terminal import terminal_beside_log
from example_dags.services import free_ports, postgres_server

STEPS = 3
STARTUP_SECONDS = 300
SHUTDOWN_SECONDS = 10


def ui(folder: Path) -> None:
    """Start the server and Airflow, and stop both on Ctrl-C.

    :param folder: an empty one, for all files.
    """
    log = folder / "airflow.log"
    with terminal_beside_log(log, STEPS) as terminal, ExitStack() as stack:
        terminal.say(f"What Airflow logs is in {log}\n")
        with terminal.step("Start PostgreSQL"):
            server = stack.enter_context(
                postgres_server(stack.enter_context(server_folder(folder)))
            )
        with terminal.step("Fill the databases shop and shop_staging"):
            shop.create_shop(server)
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            **airflow_environment(folder, server),
            **web_environment(port),
        }
        with terminal.step("Start Airflow (about a minute)"):
            airflow = stack.enter_context(_standalone(environment))
            _wait_until_up(f"http://127.0.0.1:{port}/api/v2/monitor/health", airflow)
        terminal.say(f"\nOpen http://127.0.0.1:{port} in a browser; there is no login.")
        terminal.say("The nightly dump and the refresh run by themselves; try manual_restore.")
        terminal.say("Ctrl-C stops it all.")
        with suppress(KeyboardInterrupt):
            airflow.wait()
            raise RuntimeError("Airflow has ended by itself")
        terminal.say("\nStopping ...")


@contextmanager
def _standalone(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run all of Airflow until the block ends."""
    # A group of its own, so that Ctrl-C in the terminal reaches Airflow through us alone, once.
    airflow = subprocess.Popen(
        [sys.executable, "-m", "airflow", "standalone"],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield airflow
    finally:
        airflow.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            airflow.wait(SHUTDOWN_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(airflow.pid, signal.SIGKILL)
        airflow.wait()


def _wait_until_up(url: str, airflow: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if airflow.poll() is not None:
            raise RuntimeError(f"airflow standalone ended with {airflow.returncode}")
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=10).close()  # noqa: S310
            return
        time.sleep(0.5)
    raise RuntimeError(f"Airflow was not up after {STARTUP_SECONDS} s")
