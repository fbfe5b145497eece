import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import CancelledError, ToolError
from airflow_provider_pgclone.core.postgres import parent_death, processes
from airflow_provider_pgclone.core.postgres.processes import (
    CHUNK_BYTES,
    STDERR_TAIL_LINES,
    Child,
    run_child,
)
from tests.support.fixtures.children import running

# A program that says that it runs, and then runs until it is killed.
SLEEPER = "echo running; exec sleep 600"


class WhoopsError(Exception):
    """What a block raises in the tests."""


@contextlib.contextmanager
def shell(
    script: str,
    environment: Mapping[str, str] | None = None,
    cancellation: Cancellation | None = None,
    **options: Any,
) -> Iterator[Child]:
    with run_child(
        ["/bin/sh", "-c", script],
        environment=environment or {},
        cancellation=cancellation or Cancellation(),
        **options,
    ) as child:
        yield child


def run(script: str, **options: Any) -> int:
    with shell(script, **options) as child:
        return child.wait()


def fail(script: str) -> str:
    with pytest.raises(ToolError) as caught, shell(script) as child:
        child.wait_for_success()
    return str(caught.value)


def test_success_is_the_exit_code_0() -> None:
    with shell("exit 0") as child:
        child.wait_for_success()
        assert child.wait() == 0


def test_another_exit_code_is_an_error_that_tells_it() -> None:
    assert fail("exit 3") == "sh exited with 3"


def test_the_error_ends_with_what_the_program_said() -> None:
    assert fail("echo one >&2; echo größe >&2; exit 1") == "sh exited with 1: one\n  größe"


def test_the_error_has_the_last_lines_only() -> None:
    lines = fail("for n in $(seq 1000); do echo $n >&2; done; exit 1").splitlines()
    assert len(lines) == STDERR_TAIL_LINES
    assert lines[-1] == "  1000"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert "\ufffd" in fail(r"printf '\377\376' >&2; exit 1")


def test_a_program_that_was_killed_is_told_by_its_signal() -> None:
    assert fail("kill -KILL $$") == "sh was killed by SIGKILL"


def test_a_program_that_does_not_exist_is_told() -> None:
    with (
        pytest.raises(FileNotFoundError, match="no-such-program"),
        run_child(["/no-such-program"], environment={}, cancellation=Cancellation()),
    ):
        pass


def test_the_end_of_the_output_is_no_success() -> None:
    with shell("echo half; exit 1", stdout=True) as child:
        assert b"".join(child.output()) == b"half\n"
        with pytest.raises(ToolError):
            child.wait_for_success()


def test_a_large_output_is_read_whole_while_much_is_said() -> None:
    script = "head -c 3000000 /dev/zero; head -c 300000 /dev/zero >&2; head -c 3000000 /dev/zero"
    with shell(script, stdout=True) as child:
        assert sum(map(len, child.output())) == 6_000_000
        child.wait_for_success()


def test_a_program_reads_what_is_written_to_it() -> None:
    with shell("cat", stdin=True, stdout=True) as child:
        child.stdin.write(b"some bytes")
        child.stdin.close()
        assert b"".join(child.output()) == b"some bytes"


REST_BYTES = 5


def pieces_until_end(script: str) -> tuple[list[bytes], bytes | None]:
    """Return what a program writes before END, and the rest of that line, if it came."""
    pieces: list[bytes] = []

    with shell(script, stdin=True, stdout=True) as child:
        reading = child.output_until(b"END", REST_BYTES)
        while True:
            try:
                pieces.append(bytes(next(reading)))
            except StopIteration as stopped:
                return pieces, stopped.value


# A program that waits for its input to end, as psql does.
WAITS = "; cat >&2"


@pytest.mark.parametrize("rest", ["", "1234"])
@pytest.mark.parametrize(
    "before", ["", "row\n", "E\n", "\n", "EN", "\nEN", "row", "1234\n", "ND\n"]
)
def test_the_output_before_a_mark_is_all_that_is_yielded(before: str, rest: str) -> None:
    text = before.replace("\n", "\\n")
    pieces, found = pieces_until_end(f"printf '{text}END{rest}\\n'{WAITS}")
    assert found == rest.encode()
    assert b"".join(pieces) == before.encode()
    assert b"" not in pieces


@pytest.mark.parametrize("more", range(-12, 3))
@pytest.mark.parametrize("last", ["x", "\n"])
def test_a_mark_is_found_wherever_a_chunk_ends(more: int, last: str) -> None:
    size = 2 * CHUNK_BYTES + more
    escaped = last.replace("\n", "\\n")
    script = f"head -c {size - 1} /dev/zero | tr '\\0' x; printf '{escaped}END1234\\n'{WAITS}"
    pieces, found = pieces_until_end(script)
    assert found == b"1234"
    assert b"".join(pieces) == b"x" * (size - 1) + last.encode()
    assert max(map(len, pieces)) <= CHUNK_BYTES


def test_what_only_begins_as_the_mark_goes_on() -> None:
    many = CHUNK_BYTES // 3
    pieces, found = pieces_until_end(f"yes EN | head -n {many}; printf 'END\\n'{WAITS}")
    assert found == b""
    assert b"".join(pieces) == b"EN\n" * many


@pytest.mark.timeout(60)
@pytest.mark.parametrize("row", ["t", "", "123", "1234567"])
def test_short_rows_are_read_in_large_pieces(row: str) -> None:
    """Each of their line breaks may be the end of the mark's line, also where a chunk ends."""
    size = 3 * CHUNK_BYTES // (len(row) + 1)
    pieces, found = pieces_until_end(f"yes '{row}' | head -n {size}; printf 'END\\n'{WAITS}")
    assert found == b""
    assert b"".join(pieces) == f"{row}\n".encode() * size
    assert len(pieces) <= 5


@pytest.mark.parametrize(("row_bytes", "waits"), [(100, 0), (4096, 1), (5000, 0)])
def test_what_follows_a_whole_block_is_waited_for(
    row_bytes: int, waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program writes its blocks full, and what remains at the end of its output."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(processes, "time", clock)
    # In one write, unlike head.
    row = f"dd if=/dev/zero bs={row_bytes} count=1 2>/dev/null"
    script = f"{row}; read go; printf 'END\\n'{WAITS}"
    with shell(script, stdin=True, stdout=True) as child:
        read_into = processes._read_into

        def then_go_on(buffer: bytearray, start: int, descriptor: int) -> int:
            read: int = read_into(buffer, start, descriptor)
            if start + read == row_bytes:
                child.stdin.write(b"go\n")
                child.stdin.flush()
            return read

        monkeypatch.setattr(processes, "_read_into", then_go_on)
        assert sum(map(len, child.output_until(b"END", REST_BYTES))) == row_bytes
    assert len(slept) == waits


def test_an_end_before_the_mark_and_its_line_is_told() -> None:
    assert pieces_until_end("printf 'row\\nEND12'") == ([], None)
    assert pieces_until_end("printf 'row\\nEN\\n'") == ([], None)


def test_pieces_before_a_mark_take_no_memory_of_their_own() -> None:
    script = f"head -c {3 * CHUNK_BYTES} /dev/zero; printf '\\nEND\\n'{WAITS}"
    with shell(script, stdin=True, stdout=True) as child:
        assert len({id(piece) for piece in child.output_until(b"END", REST_BYTES)}) == 1


def test_a_program_that_is_given_nothing_reads_nothing() -> None:
    assert run("! read line") == 0


def test_each_line_of_stderr_is_handed_over_before_the_wait_ends() -> None:
    lines: list[str] = []
    run("echo one >&2; echo two >&2; printf three >&2", on_stderr=lines.append)
    assert lines == ["one", "two", "three"]


def test_the_environment_is_ours_and_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "kept")
    monkeypatch.setenv("CHANGED", "before")
    script = 'test "$KEPT $CHANGED $PGPASSWORD" = "kept after hunter2"'
    assert run(script, environment={"CHANGED": "after", "PGPASSWORD": "hunter2"}) == 0


def test_a_block_that_raises_ends_its_program() -> None:
    started: list[Child] = []

    def raise_while_it_runs() -> None:
        with shell(SLEEPER, stdout=True) as child:
            started.append(child)
            assert next(child.output()) == b"running\n"
            raise WhoopsError

    with pytest.raises(WhoopsError):
        raise_while_it_runs()
    assert not running("sleep")
    assert started[0].wait() == -signal.SIGKILL


def test_a_program_that_its_block_leaves_behind_is_ended() -> None:
    with shell(SLEEPER, stdout=True) as child:
        assert next(child.output()) == b"running\n"
    assert not running("sleep")


def test_no_zombie_is_left() -> None:
    with shell("echo $$", stdout=True) as child:
        pid = int(b"".join(child.output()))
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


@pytest.mark.parametrize("use", ["output", "wait", "wait_for_success"])
def test_a_cancel_from_another_thread_ends_the_program_at_once(use: str) -> None:
    cancellation = Cancellation()

    def cancel_while_it_runs() -> None:
        with shell(SLEEPER, stdout=True, cancellation=cancellation) as child:
            assert next(child.output()) == b"running\n"
            canceller.start()
            if use == "output":
                assert list(child.output()) == []
            (child.wait if use == "wait" else child.wait_for_success)()

    canceller = threading.Thread(target=cancellation.cancel)
    with pytest.raises(CancelledError):
        cancel_while_it_runs()
    canceller.join()
    assert not running("sleep")


def test_a_cancel_frees_a_writer_whose_program_reads_nothing() -> None:
    cancellation = Cancellation()
    is_writing = threading.Event()

    def cancel_once_it_writes(line: str) -> None:
        is_writing.wait()
        cancellation.cancel()

    def write_for_ever() -> None:
        with shell(
            "echo ready >&2; exec sleep 600",
            stdin=True,
            cancellation=cancellation,
            on_stderr=cancel_once_it_writes,
        ) as child:
            is_writing.set()
            while True:
                child.stdin.write(bytes(1_000_000))

    with pytest.raises(BrokenPipeError):
        write_for_ever()
    assert not running("sleep")


def test_after_a_cancel_nothing_is_started(tmp_path: Path) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledError):
        run(f"touch {tmp_path}/started", cancellation=cancellation)
    assert not (tmp_path / "started").exists()


PARENT = """
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.postgres.processes import run_child

with run_child(
    ["/bin/sh", "-c", "echo $$ >&2; exec sleep 600"],
    environment={},
    cancellation=Cancellation(),
    on_stderr=lambda line: print(line, flush=True),
) as child:
    child.wait()
"""


# As where util-linux is missing, or busybox has its own setpriv.
WITHOUT_SETPRIV = """
from airflow_provider_pgclone.core.postgres import parent_death

parent_death._setpriv = lambda: None
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("before", ["", WITHOUT_SETPRIV], ids=["setpriv", "preexec_fn"])
def test_a_parent_that_is_killed_takes_its_program_with_it(before: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", before + PARENT], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        watched = os.pidfd_open(pid)
        try:
            parent.kill()
            # It becomes readable when the program has ended.
            assert ended_within(watched, seconds=30)
        finally:
            os.close(watched)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is not installed")
def test_none_of_our_code_runs_in_a_child_before_its_program() -> None:
    """In Python 3.11 a child could wait there for ever for a lock of another thread."""
    assert parent_death.before_exec(signal.SIGTERM) is None
    argv = parent_death.with_parent_death(["/bin/sh", "-c", "exit 0"], signal.SIGTERM)
    assert argv[1:] == ["--pdeathsig", "TERM", "--", "/bin/sh", "-c", "exit 0"]


def ended_within(pidfd: int, seconds: float) -> bool:
    readable, _, _ = select.select([pidfd], [], [], seconds)
    return bool(readable)
