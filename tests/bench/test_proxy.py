"""The proxies that stand for a distance and for a slow line."""

import socket
from threading import Thread

import pytest

from bench.proxy import Line, proxy

MIB = 1024 * 1024


def test_a_distance_delays_each_chunk_alone() -> None:
    line = Line(delay_seconds=2.0)
    assert [line.due_at(now, MIB) for now in (10.0, 10.0, 11.0)] == [12.0, 12.0, 13.0]


def test_a_slow_line_carries_one_chunk_after_the_other() -> None:
    line = Line(bytes_per_second=MIB)
    assert [line.due_at(10.0, MIB), line.due_at(10.5, MIB)] == [11.0, 12.0]


def test_a_line_that_was_idle_has_nothing_left_over() -> None:
    line = Line(bytes_per_second=MIB)
    line.due_at(10.0, MIB)
    assert line.due_at(20.0, MIB) == 21.0


def test_a_rate_and_a_distance_add_up() -> None:
    assert Line(delay_seconds=0.5, bytes_per_second=MIB).due_at(1.0, 2 * MIB) == 3.5


@pytest.mark.parametrize(
    ("milliseconds", "bytes_per_second"), [(0, 0), (5, 0), (0, 50 * MIB), (5, 50 * MIB)]
)
def test_what_is_sent_arrives_both_ways(milliseconds: int, bytes_per_second: int) -> None:
    sent = bytes(range(256)) * (8 * MIB // 256)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        echo = Thread(target=echo_one, args=(listener,))
        echo.start()
        port = listener.getsockname()[1]
        with (
            proxy(
                "127.0.0.1", port, milliseconds=milliseconds, bytes_per_second=bytes_per_second
            ) as proxy_port,
            socket.create_connection(("127.0.0.1", proxy_port), timeout=60) as client,
        ):
            sender = Thread(target=send_all, args=(client, sent))
            sender.start()
            received = b"".join(iter(lambda: client.recv(MIB), b""))
            sender.join()
        echo.join()
    assert received == sent


def send_all(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def echo_one(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        while data := client.recv(MIB):
            client.sendall(data)
