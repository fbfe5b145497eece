"""A TCP proxy that stands for a distance: all that it passes arrives later, none of it slower.

``python -m bench.delay <host> <port> <milliseconds>`` prints the port that it listens on, and
passes each connection on to ``host:port``. The opening of a connection is not delayed.
"""

import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

CHUNK_BYTES = 64 * 1024
# What may be under way in one direction: 64 MiB, where 1 GB/s needs 25 MB for 25 ms.
LINE_CHUNKS = 1024


@contextmanager
def distant(endpoint_url: str, *, milliseconds: int) -> Iterator[str]:
    """Yield a URL by which each round trip to an endpoint takes so much longer."""
    parts = urlsplit(endpoint_url)
    argv = [sys.executable, "-m", "bench.delay", f"{parts.hostname}", f"{parts.port}"]
    with subprocess.Popen([*argv, str(milliseconds)], stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            yield f"http://127.0.0.1:{proxy.stdout.readline().strip()}"
        finally:
            proxy.terminate()


def _pass_on(client: socket.socket, address: tuple[str, int], delay: float) -> None:
    """Connect a client with an address until both have said all."""
    with client, socket.create_connection(address) as server:
        for end in (client, server):  # or the kernel would hold small chunks back on its own
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = Thread(target=_carry, args=(server, client, delay), daemon=True)
        back.start()
        _carry(client, server, delay)
        back.join()


def _carry(source: socket.socket, destination: socket.socket, delay: float) -> None:
    line: queue.Queue[tuple[float, bytes]] = queue.Queue(LINE_CHUNKS)
    delivery = Thread(target=_deliver, args=(line, destination), daemon=True)
    delivery.start()
    data = b"."
    while data:
        try:
            data = source.recv(CHUNK_BYTES)
        except OSError:  # a client that has broken off
            data = b""
        line.put((time.monotonic() + delay, data))
    delivery.join()


def _deliver(line: queue.Queue[tuple[float, bytes]], destination: socket.socket) -> None:
    """Send each chunk when its time has come; what is behind it in the line waits no longer."""
    is_open = True
    while True:
        due, data = line.get()
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
    host, port, milliseconds = sys.argv[1:]
    one_way = float(milliseconds) / 2000
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            Thread(target=_pass_on, args=(client, (host, int(port)), one_way), daemon=True).start()


if __name__ == "__main__":
    main()
