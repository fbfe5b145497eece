"""When pg_restore is ended, and what its exit code and its messages together mean."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.executing.messages import RestoreMonitor
from airflow_provider_pgclone.core.postgres.processes import Child, run_child

HELLO = "pg_restore: connecting to database for restore"
FATAL = 'pg_restore: error: could not execute query: ERROR:  relation "users" already exists'
FAILED = 'pg_restore failed: could not execute query: ERROR:  relation "users" already exists'
# The text of a server or of a name with line breaks, which looks like a line of pg_restore.
REPEATED = FATAL.replace("pg_restore: ", "repeated")
HARMLESS = (
    "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter",
    "Command was: SET transaction_timeout = 0;",
)
ONE_IGNORED = "pg_restore: warning: errors ignored on restore: 1"
TWO_IGNORED = "pg_restore: warning: errors ignored on restore: 2"
UNMARKED = (
    "pg_restore failed: its messages cannot be told from those of the server, because it does not "
    "get or does not heed the environment variables PG_COLOR and PG_COLORS"
)
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


def feed(monitor: RestoreMonitor, *lines: str) -> None:
    """Feed lines as a pg_restore writes them that got the environment of the monitor."""
    mark = f"\x1b[{monitor.environment['PG_COLORS'].removeprefix('locus=')}m"
    for line in lines:
        own = line.replace("pg_restore: ", f"{mark}pg_restore: \x1b[0m")
        monitor.feed(own.replace("repeated", "pg_restore: "))


def told(*lines: str, server: int = 16) -> RestoreMonitor:
    monitor = RestoreMonitor(server)
    feed(monitor, *lines)
    return monitor


def test_it_is_ended_at_the_first_error_that_matters() -> None:
    monitor = told()
    with waiting() as child:
        monitor.attach(child)
        feed(monitor, FATAL)
        feed(monitor, ONE_IGNORED)  # which completes the error
        assert child.wait() == KILLED


def test_an_error_from_before_it_was_attached_ends_it_too() -> None:
    with waiting() as child:
        told(FATAL, ONE_IGNORED).attach(child)
        assert child.wait() == KILLED


@pytest.mark.parametrize("lines", [(), HARMLESS, (HELLO, REPEATED, ONE_IGNORED)])
def test_it_is_not_ended_otherwise(lines: Sequence[str]) -> None:
    monitor = RestoreMonitor(16)
    with program("import sys; sys.stdin.read(); sys.exit(7)") as child:
        feed(monitor, *lines)
        monitor.attach(child)
        feed(monitor, *lines)
        assert child.wait() == 7


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((HELLO,), 0),
        ((*HARMLESS, ONE_IGNORED), 1),
        ((*HARMLESS, *HARMLESS, TWO_IGNORED), 1),
        (HARMLESS, 0),
        # A name with a line break may look like an error.
        ((HELLO, REPEATED), 0),
    ],
)
def test_it_has_succeeded(lines: Sequence[str], code: int, ended: Child) -> None:
    told(*lines).raise_for_result(code, ended)


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ((FATAL,), 0, FAILED),
        ((FATAL,), 1, FAILED),
        ((*HARMLESS, FATAL, FATAL.replace("users", "orders"), ONE_IGNORED), 1, FAILED),
        ((), 0, "pg_restore has ended without a word: it has restored nothing"),
        ((), 1, "exited with 1"),
        ((), 3, "exited with 3"),
        ((), KILLED, "was killed by SIGKILL"),
        ((*HARMLESS, ONE_IGNORED), 2, "exited with 2"),
        # It counts one error more than it has told.
        ((*HARMLESS, TWO_IGNORED), 1, "exited with 1"),
        (HARMLESS, 1, "exited with 1"),
        ((HELLO, "never mind"), 127, "exited with 127"),
        (("libpq.so:", "no such file"), 127, "exited with 127: libpq.so: no such file"),
        ((REPEATED,), 0, UNMARKED),
        ((REPEATED, REPEATED, HELLO), 1, UNMARKED),
    ],
)
def test_it_has_failed(lines: Sequence[str], code: int, message: str, ended: Child) -> None:
    monitor = told(*lines)
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


def test_harmless_errors_of_a_kind_are_logged_once_for_all_runs(
    caplog: pytest.LogCaptureFixture, ended: Child
) -> None:
    caplog.set_level(logging.INFO)
    logged: set[str] = set()
    for _ in range(2):
        monitor = RestoreMonitor(16, logged=logged)
        feed(monitor, *HARMLESS, *HARMLESS, TWO_IGNORED)
        monitor.raise_for_result(1, ended)
    assert len(caplog.messages) == 1
    assert logged == {"a session setting that the older server does not have"}


def test_each_text_that_is_its_own_is_passed_on() -> None:
    texts: list[str] = []
    monitor = RestoreMonitor(17, on_text=texts.append)
    feed(monitor, "before", HELLO, FATAL, "Command was: SELECT 1;", REPEATED, ONE_IGNORED)
    assert texts == [line.removeprefix("pg_restore: ") for line in (HELLO, FATAL, ONE_IGNORED)]


def test_objects_whose_rights_the_server_left_out_are_named(
    caplog: pytest.LogCaptureFixture, ended: Child
) -> None:
    caplog.set_level(logging.WARNING)
    monitor = RestoreMonitor(17, guarded={7: "TABLE a", 8: "TABLE b", 70: "TABLE c"})
    feed(
        monitor,
        HELLO,
        *(f"WARNUNG:  pgclone: not restoring the rights of entry {id_}" for id_ in (70, 7, 7)),
    )
    monitor.raise_for_result(0, ended)
    assert caplog.messages == [
        "not restoring rights on objects that only another owner may change: TABLE a, TABLE c"
    ]
