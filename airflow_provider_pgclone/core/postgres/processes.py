"""Runs child processes, which cannot outlive their block."""

import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import ToolError
from airflow_provider_pgclone.core.postgres.database import hint_for_room
from airflow_provider_pgclone.core.postgres.parent_death import before_exec, with_parent_death
from airflow_provider_pgclone.core.postgres.redaction import redact_output
from airflow_provider_pgclone.core.postgres.service import without_service

# At this size, a stream of 100 MB/s costs a hundred turns of the interpreter a second.
CHUNK_BYTES = 1024 * 1024
SMALL_READ_BYTES = 256 * 1024
GATHER_SECONDS = 0.002
# The C library writes such blocks, but for the end of a file: glibc 4 KiB into a pipe, others less.
_BLOCK_BYTES = 1024
# When a program pauses for this long, its output is yielded even if it is little.
IDLE_MILLISECONDS = 200
# Linux accepts up to /proc/sys/fs/pipe-max-size, by default 1 MiB. Other systems have no such call.
_PIPE_BYTES = 1024 * 1024
STDERR_TAIL_LINES = 40
POLL_SECONDS = 0.2
# Airflow kills a task 5 s after it told it to stop.
GRACE_SECONDS = 2.0


class Child:
    """A running program, as :func:`run_child` yields it."""

    def __init__(
        self,
        program: str,
        process: subprocess.Popen[bytes],
        cancellation: Cancellation,
        on_stderr: Callable[[str], None] | None,
        end_signal: signal.Signals,
    ) -> None:
        self.program = program
        self._process = process
        self._cancellation = cancellation
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)
        self._on_stderr = on_stderr or self._stderr_tail.append
        self._stderr_thread = threading.Thread(
            target=self._drain_stderr, name=f"{self.program}-stderr", daemon=True
        )
        self._stderr_thread.start()
        self._end_signal = end_signal
        self._kill_at: float | None = None

    @property
    def stdin(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def output(self) -> Iterator[bytes]:
        """Yield stdout in chunks of about 1 MiB, or smaller ones when the program pauses.

        The output also ends if the program fails, so call :meth:`wait_for_success` afterwards.
        """
        descriptor = cast("IO[bytes]", self._process.stdout).fileno()
        more = select.poll()
        more.register(descriptor, select.POLLIN)
        gathered: list[bytes] = []
        size = 0
        while piece := os.read(descriptor, CHUNK_BYTES):
            gathered.append(piece)
            size += len(piece)
            if size >= CHUNK_BYTES:
                yield b"".join(gathered)
                gathered, size = [], 0
            elif len(piece) < SMALL_READ_BYTES:
                # psql writes 4 KiB at a time. Let the pipe fill: each read takes the lock of the
                # interpreter, for which other readers wait.
                time.sleep(GATHER_SECONDS)
                if not more.poll(IDLE_MILLISECONDS):
                    yield b"".join(gathered)
                    gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)

    def output_until(
        self, mark: bytes, rest_bytes: int
    ) -> Generator[bytearray, None, bytes | None]:
        """Yield stdout before a mark, and return the rest of the line of the mark.

        Each piece is in the same buffer, so it is valid only until the next one is asked for: the
        memory for a new piece would cost more than the copy of its bytes.

        :param mark: what the output before it cannot contain. The program waits after its line.
        :param rest_bytes: the most bytes of the rest, with the line break.
        :return: ``None`` if the mark did not come.
        """
        descriptor = cast("IO[bytes]", self._process.stdout).fileno()
        last = len(mark) + rest_bytes
        buffer, size = bytearray(CHUNK_BYTES), 0
        while read := _read_into(buffer, size, descriptor):
            size += read
            if buffer.endswith(b"\n", 0, size):
                place = buffer.rfind(mark, max(0, size - last), size)
                if place >= 0:
                    rest = bytes(buffer[place + len(mark) : size - 1])
                    del buffer[place:]
                    if buffer:
                        yield buffer
                    return rest
            if size == CHUNK_BYTES:
                kept = buffer[-last:]  # it may be a part of the line
                del buffer[-last:]
                yield buffer
                buffer[:last] = kept
                buffer += bytes(last)
                size = last
            elif read < SMALL_READ_BYTES and read % _BLOCK_BYTES == 0:
                time.sleep(GATHER_SECONDS)  # as above; after the end of a file, the mark follows
        return None

    def wait_exit(self) -> None:
        """Wait for the end of the program; kill it if it does not heed its end signal."""
        while True:
            try:
                self._process.wait(POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                self._kill_if_late()

    def wait(self) -> int:
        """Wait for the end of the program and of its stderr, and return the exit code.

        :raises CancelledError: when a stop was requested.
        """
        # A wait for the process with a timeout would poll, and cost each of our many runs 50 ms.
        while self._stderr_thread.is_alive():
            self._stderr_thread.join(POLL_SECONDS)
            self._kill_if_late()
        code = self._process.wait()
        self._cancellation.check()
        return code

    def wait_for_success(self) -> None:
        """Wait for the end of the program.

        :raises ToolError: when the exit code is not 0; with the last lines of stderr.
        """
        code = self.wait()
        if code != 0:
            failure = self.failure(code)
            raise ToolError(failure, hint=hint_for_room(failure))

    def failure(self, code: int) -> str:
        """Return how the program ended, and the last lines that it wrote to stderr."""
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        said = redact_output(self._stderr_tail)
        return f"{self.program} {ended}: {said}" if said else f"{self.program} {ended}"

    def kill(self) -> None:
        """Send the program its end signal; does nothing if it was sent before."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_SECONDS
            self._process.send_signal(self._end_signal)

    def stop(self) -> None:
        """End the program, and wait for its end."""
        if self._process.poll() is None:
            self.kill()
        self.wait_exit()

    def reap(self) -> None:
        """Close our ends of the pipes, end the program if it still runs, and wait for its end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _close(pipe)
        self.stop()
        self._stderr_thread.join()

    def _kill_if_late(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._process.kill()

    def _drain_stderr(self) -> None:
        with cast("IO[bytes]", self._process.stderr) as stream:
            for line in stream:
                self._on_stderr(line.decode(errors="replace").rstrip("\n"))


@contextmanager
def run_child(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cancellation: Cancellation,
    on_stderr: Callable[[str], None] | None = None,
    stdin: bool = False,
    stdout: bool = False,
    inherited: Sequence[int] = (),
    end_signal: signal.Signals = signal.SIGKILL,
) -> Iterator[Child]:
    """Run a program while the block runs. It is ended if the block ends first.

    :param argv: the program and its arguments. They must not be secret: ``ps`` shows them to every
        user.
    :param environment: variables in addition to those of this process, of which those that name a
        service of libpq are left out; secrets belong here.
    :param on_stderr: called in a thread with each line of stderr. By default, the last lines are
        kept for the error.
    :param stdin: whether the block writes to the program; otherwise its input is empty.
    :param stdout: whether the block reads from the program; otherwise its output is discarded.
    :param inherited: the descriptors of ours that the program gets.
    :param end_signal: the signal that ends the program; the kernel sends it, too, if this process
        dies. Use one that the program can catch if it has to end processes of its own. A program
        that does not end in time is killed.
    """
    cancellation.check()
    process = subprocess.Popen(
        with_parent_death(argv, end_signal),
        env={**without_service(os.environ), **environment},
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=inherited,
        # The kernel watches the thread that forked, so that thread must live as long as the child.
        preexec_fn=before_exec(end_signal),
    )
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            widen_pipe(pipe.fileno())
    child = Child(Path(argv[0]).name, process, cancellation, on_stderr, end_signal)
    try:
        with cancellation.ending(child.kill):
            yield child
    finally:
        child.reap()


def widen_pipe(descriptor: int) -> None:
    """Let a pipe hold a whole chunk, so that its two sides switch less often."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the pipes of the user may have reached their limit
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _read_into(buffer: bytearray, start: int, descriptor: int) -> int:
    """Read into a buffer from a position on, and return the number of bytes; 0 is the end."""
    with memoryview(buffer) as whole, whole[start:] as free:
        return os.readv(descriptor, [free])


def _close(pipe: IO[bytes]) -> None:
    """Close our end of a pipe; if the reader is gone, what it did not read is lost."""
    with suppress(BrokenPipeError):
        pipe.close()
