"""When pg_restore is ended, and what its exit code and its messages together mean."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.loading.messages import RestoreMonitor
from airflow_provider_pgclone.core.postgres.processes import Child, run_child

FATAL = 'pg_restore: error: could not execute query: ERROR:  relation "users" already exists'
FAILED = 'pg_restore failed: could not execute query: ERROR:  relation "users" already exists'
HARMLESS = (
    "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter",
    "Command was: SET transaction_timeout = 0;",
)
ONE_IGNORED = "pg_restore: warning: errors ignored on restore: 1"
TWO_IGNORED = "pg_restore: warning: errors ignored on restore: 2"
KILLED = -9


@contextmanager
def program(code: str) -> Iterator[Child]:
    """Run a program that stands for pg_restore, which is not needed to tell of its messages."""
    argv = [sys.executable, "-c", code]
    with run_child(argv, environment={}, cancellation=Cancellation()) as child:
        yield child


@contextmanager
def waiting() -> Iterator[Child]:
    """Run a program that does not end by itself."""
    with program("import signal; signal.pause()") as child:
        yield child


@pytest.fixture(scope="module")
def ended() -> Iterator[Child]:
    with program("") as child:
        child.wait()
        yield child


def told(*lines: str, server: int = 16, trusts_lines: bool | None = None) -> RestoreMonitor:
    monitor = (
        RestoreMonitor(server)
        if trusts_lines is None
        else RestoreMonitor(server, trusts_lines=trusts_lines)
    )
    for line in lines:
        monitor.feed(line)
    return monitor


def test_it_is_ended_at_the_first_error_that_matters() -> None:
    monitor = told()
    with waiting() as child:
        monitor.attach(child)
        monitor.feed(FATAL)
        monitor.feed(ONE_IGNORED)  # which completes the error
        assert child.wait() == KILLED


def test_an_error_from_before_it_was_attached_ends_it_too() -> None:
    with waiting() as child:
        told(FATAL, ONE_IGNORED).attach(child)
        assert child.wait() == KILLED


@pytest.mark.parametrize(
    ("lines", "trusts_lines"), [((), True), (HARMLESS, True), ((FATAL, ONE_IGNORED), False)]
)
def test_it_is_not_ended_otherwise(lines: tuple[str, ...], trusts_lines: bool) -> None:
    monitor = RestoreMonitor(16, trusts_lines=trusts_lines)
    with program("import sys; sys.stdin.read(); sys.exit(7)") as child:
        for line in lines:
            monitor.feed(line)
        monitor.attach(child)
        for line in lines:
            monitor.feed(line)
        assert child.wait() == 7


@pytest.mark.parametrize(
    ("lines", "code", "trusts_lines"),
    [
        ((), 0, True),
        ((*HARMLESS, ONE_IGNORED), 1, True),
        ((*HARMLESS, *HARMLESS, TWO_IGNORED), 1, True),
        (HARMLESS, 0, True),
        # A name with a line break may look like an error.
        ((FATAL,), 0, False),
    ],
)
def test_it_has_succeeded(
    lines: tuple[str, ...], code: int, trusts_lines: bool, ended: Child
) -> None:
    told(*lines, trusts_lines=trusts_lines).raise_for_result(code, ended)


@pytest.mark.parametrize(
    ("lines", "code", "trusts_lines", "message"),
    [
        ((FATAL,), 0, True, FAILED),
        ((FATAL,), 1, True, FAILED),
        ((FATAL,), 1, False, FAILED),
        ((*HARMLESS, FATAL, FATAL.replace("users", "orders"), ONE_IGNORED), 1, True, FAILED),
        ((), 1, True, "exited with 1"),
        ((), 3, True, "exited with 3"),
        ((), KILLED, True, "was killed by SIGKILL"),
        ((*HARMLESS, ONE_IGNORED), 2, True, "exited with 2"),
        # It counts one error more than it has told.
        ((*HARMLESS, TWO_IGNORED), 1, True, "exited with 1"),
        (HARMLESS, 1, True, "exited with 1"),
        (("pg_restore: hello", "never mind"), 127, True, "exited with 127"),
        (("libpq.so:", "no such file"), 127, True, "exited with 127: libpq.so: no such file"),
    ],
)
def test_it_has_failed(
    lines: tuple[str, ...], code: int, trusts_lines: bool, message: str, ended: Child
) -> None:
    monitor = told(*lines, trusts_lines=trusts_lines)
    with pytest.raises(RestoreError) as caught:
        monitor.raise_for_result(code, ended)
    assert caught.value.message.removeprefix(f"{ended.program} ") == message


def test_a_setting_that_the_server_should_know_is_fatal(ended: Child) -> None:
    with pytest.raises(RestoreError, match="pg_restore failed"):
        told(*HARMLESS, ONE_IGNORED, server=17).raise_for_result(1, ended)


def test_a_harmless_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told(*HARMLESS, ONE_IGNORED)
    assert caplog.messages == [
        "harmless error of pg_restore (a session setting that the older server does not have): "
        "could not execute query: ERROR:  unrecognized configuration parameter "
        "[SET transaction_timeout = 0;]"
    ]


LAUNCHING = "pg_restore: launching item 37 TABLE DATA users"


def test_each_entry_that_is_started_is_told() -> None:
    launched: list[int] = []
    monitor = RestoreMonitor(17, launched.append)
    for line in (LAUNCHING, FATAL, LAUNCHING.replace("37", "40"), "pg_restore: finished item 37 x"):
        monitor.feed(line)
    assert launched == [37, 40]


def test_without_anybody_to_tell_it_is_a_message_like_others(ended: Child) -> None:
    told(LAUNCHING).raise_for_result(0, ended)
