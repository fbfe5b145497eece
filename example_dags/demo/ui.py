"""Airflow's web interface with the example DAGs and a week of dumps, until Ctrl-C.

What is done in it is kept for the next start.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from example_dags.demo import shop
from example_dags.demo.environment import airflow_environment, connections, web_environment
from example_dags.demo.folders import MASK_KEY, is_whole, kept_server_folder, remove_kept
from example_dags.demo.prepare import prepare
from example_dags.demo.terminal import Terminal, terminal_beside_log
from example_dags.services import PostgresServer, free_ports, is_free, postgres_server

STEPS_AT_FIRST = 4
STEPS_LATER = 3
STARTUP_SECONDS = 300
SHUTDOWN_SECONDS = 10
USUAL_PORT = 8080


@dataclass(frozen=True)
class DemoAirflow:
    """A running Airflow, and the server of the databases that its DAGs work on."""

    url: str
    server: PostgresServer
    process: subprocess.Popen[bytes]


def ui(folder: Path) -> None:
    """Start PostgreSQL and Airflow, and stop both on Ctrl-C.

    :param folder: an empty one, or that of an earlier start, which goes on from there; what a start
        that failed has left is removed.
    """
    is_new = not is_whole(folder)
    if is_new:
        remove_kept(folder)
    log = folder / "airflow.log"
    with terminal_beside_log(log, STEPS_AT_FIRST if is_new else STEPS_LATER) as terminal:
        terminal.say(f"What Airflow logs is in {log}\n")
        with demo_airflow(folder, terminal) as airflow:
            terminal.say(f"\nOpen {airflow.url} in a browser; there is no login.")
            terminal.say("Browse > Dumps has a week of dumps: restore one, and undo it.")
            terminal.say("The DAG manual_restore lets you pick a dump and approve the swap.")
            terminal.say("The DAGs of every night are paused: unpause one, and it runs at once.")
            terminal.say("Ctrl-C stops it all. The next make ui goes on from here.")
            with suppress(KeyboardInterrupt):
                airflow.process.wait()
                raise RuntimeError("Airflow has ended by itself")
            terminal.say("\nStopping ...")


@contextmanager
def demo_airflow(
    folder: Path,
    terminal: Terminal,
    *,
    path: str = "",
    variables: Mapping[str, str] | None = None,
) -> Iterator[DemoAirflow]:
    """Run PostgreSQL and Airflow until the block ends.

    :param path: what the URL has after the port.
    :param variables: environment variables of Airflow beside those of the demo.
    """
    is_new = not is_whole(folder)
    with ExitStack() as stack:
        with terminal.step("Start PostgreSQL"):
            server = stack.enter_context(postgres_server(kept_server_folder(folder)))
        (port,) = [USUAL_PORT] if is_free(USUAL_PORT) else free_ports(1)
        of_web = web_environment(port, path)
        environment = {**os.environ, **airflow_environment(folder, server), **of_web}
        environment.update(variables or {})
        if is_new:
            with terminal.step("Fill the databases shop and shop_staging"):
                shop.create_shop(server)
        text = "Set up Airflow, and make a week of dumps" if is_new else "Set up Airflow"
        with terminal.step(text):
            key = secrets.token_urlsafe(32) if is_new else (folder / MASK_KEY).read_text()
            history = (server, folder / "dumps") if is_new else None
            prepare(environment, connections(server, key), history)
            (folder / MASK_KEY).touch(mode=0o600)
            (folder / MASK_KEY).write_text(key)
        with terminal.step("Start Airflow (about a minute)"):
            process = stack.enter_context(_standalone(environment))
            _wait_until_up(f"http://127.0.0.1:{port}{path}/api/v2/monitor/health", process)
        yield DemoAirflow(f"http://127.0.0.1:{port}{path}", server, process)


@contextmanager
def _standalone(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run all of Airflow until the block ends."""
    # A group of its own, so that Ctrl-C in the terminal reaches Airflow through us alone, once.
    airflow = subprocess.Popen(
        [sys.executable, "-m", "airflow", "standalone"],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield airflow
    finally:
        try:
            airflow.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                airflow.wait(SHUTDOWN_SECONDS)
        finally:  # also after a second Ctrl-C
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
