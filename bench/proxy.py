"""A TCP proxy that stands for a line: what it passes arrives later, or no faster than a rate.

``python -m bench.proxy <host> <port> <milliseconds> <bytes per second>`` prints the port that it
listens on, and passes each connection on to ``host:port``. A rate of 0 is none. The rate is that of
each connection and direction. The opening of a connection is not delayed.
"""

import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

CHUNK_BYTES = 64 * 1024
# What may be under way in one direction: 64 MiB, where 1 GB/s needs 25 MB for 25 ms.
LINE_CHUNKS = 1024
# A slow line holds as little as a network does, or the sender would be done long before the
# receiver. The chunks that wait keep the line busy while a thread oversleeps.
SLOW_LINE_CHUNKS = 8
SLOW_LINE_SOCKET_BYTES = 256 * 1024


@dataclass
class Line:
    """When the chunks of one direction arrive.

    :param delay_seconds: how much later each arrives than it was sent.
    :param bytes_per_second: 0 for any number.
    :param free_at: when the line has sent all that it was given, by the clock of ``due_at``.
    """

    delay_seconds: float = 0.0
    bytes_per_second: float = 0.0
    free_at: float = 0.0

    def due_at(self, now: float, size_bytes: int) -> float:
        """Return when a chunk arrives that is given to the line now.

        A rate counts from the end of the chunk before, not from its delivery. So a thread that
        oversleeps does not slow the line down.
        """
        taken = size_bytes / self.bytes_per_second if self.bytes_per_second else 0.0
        self.free_at = max(self.free_at, now) + taken
        return self.free_at + self.delay_seconds


@contextmanager
def proxy(
    host: str, port: int, *, milliseconds: int = 0, bytes_per_second: int = 0
) -> Iterator[int]:
    """Yield a port of this machine from which a proxy leads to a server.

    :param milliseconds: what each round trip takes longer.
    :param bytes_per_second: what each connection carries in each direction; 0 for any number.
    """
    argv = [sys.executable, "-m", "bench.proxy", host, port, milliseconds, bytes_per_second]
    with subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _pass_on(
    client: socket.socket, address: tuple[str, int], delay_seconds: float, rate: float
) -> None:
    """Connect a client with an address until both have said all."""
    with client, socket.create_connection(address) as server:
        for end in (client, server):  # or the kernel would hold small chunks back on its own
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rate:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_LINE_SOCKET_BYTES)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SLOW_LINE_SOCKET_BYTES)
        back = Thread(target=_carry, args=(server, client, Line(delay_seconds, rate)), daemon=True)
        back.start()
        _carry(client, server, Line(delay_seconds, rate))
        back.join()


def _carry(source: socket.socket, destination: socket.socket, line: Line) -> None:
    chunks = SLOW_LINE_CHUNKS if line.bytes_per_second else LINE_CHUNKS
    under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(chunks)
    delivery = Thread(target=_deliver, args=(under_way, destination), daemon=True)
    delivery.start()
    data = b"."
    while data:
        try:
            data = source.recv(CHUNK_BYTES)
        except OSError:  # a client that has broken off
            data = b""
        under_way.put((line.due_at(time.monotonic(), len(data)), data))
    delivery.join()


def _deliver(under_way: queue.Queue[tuple[float, bytes]], destination: socket.socket) -> None:
    """Send each chunk when its time has come; what is behind it in the line waits no longer."""
    is_open = True
    while True:
        due, data = under_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not data:
                destination.shutdown(socket.SHUT_WR)
            elif is_open:
                destination.sendall(data)
        except OSError:  # the rest is taken all the same, or the reader would wait for ever
            is_open = False
        if not data:
            return


def main() -> None:
    host, port, milliseconds, bytes_per_second = sys.argv[1:]
    one_way, rate = float(milliseconds) / 2000, float(bytes_per_second)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            arguments = (client, (host, int(port)), one_way, rate)
            Thread(target=_pass_on, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main()
