"""An HTTP proxy in front of an S3 server that breaks the requests which a test chooses.

A request is passed on with the Host header of its client, which its signature covers, so the server
takes the proxy's address for its own.
"""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

SERVER_SECONDS = 60
# With it, closing a socket cuts the connection instead of ending it.
_CUT_AT_CLOSE = struct.pack("ii", 1, 0)
_OF_ONE_HOP = ("connection", "content-length", "transfer-encoding", "keep-alive")


@dataclass(frozen=True)
class Request:
    """What a rule is chosen by."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.query} {self.headers.get('range', '')}"


@dataclass
class Answer:
    """What the server has said.

    :param announced: the length that the client is told, where it is not that of the body.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    announced: int | None = None


class Exchange:
    """A request and the ways to answer it."""

    def __init__(self, proxy: "FaultyS3", handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        self.request = Request(
            handler.command,
            parts.path,
            {name: values[-1] for name, values in query.items()},
            {name.lower(): value for name, value in handler.headers.items()},
        )
        self.proxy = proxy
        self._handler = handler
        self._unread = int(handler.headers.get("Content-Length") or 0)

    def read_body(self, share: float = 1.0) -> bytes:
        """Take what is left of the request's body, or a share of it."""
        length = int(self._unread * share)
        self._unread -= length
        return self._handler.rfile.read(length)

    def pass_on(self) -> Answer:
        """Have the server answer the request."""
        body = self.read_body()
        connection = http.client.HTTPConnection(
            self.proxy.host, self.proxy.port, timeout=SERVER_SECONDS
        )
        try:
            handler = self._handler
            connection.putrequest(
                handler.command, handler.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in handler.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            headers = [(n, v) for n, v in response.getheaders() if n.lower() not in _OF_ONE_HOP]
            answer = Answer(response.status, headers, response.read())
            if handler.command == "HEAD":
                answer.announced = int(response.headers.get("Content-Length") or 0)
            return answer
        finally:
            connection.close()

    def send(self, answer: Answer) -> None:
        """Answer the client."""
        length = len(answer.body) if answer.announced is None else answer.announced
        handler = self._handler
        handler.send_response(answer.status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        if answer.status != 204:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(answer.body)
        if handler.command != "HEAD" and length != len(answer.body):
            self.cut()

    def refuse(self, status: int, code: str) -> None:
        """Answer as S3 does when it refuses."""
        self.read_body()
        text = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>no</Message></Error>"
        self.send(Answer(status, [("Content-Type", "application/xml")], text.encode()))

    def cut(self) -> None:
        """Break the connection off."""
        with suppress(OSError):
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT_AT_CLOSE)
        self._handler.close_connection = True

    def stall(self) -> None:
        """Leave the client without an answer for as long as the proxy runs."""
        self.proxy.closing.wait()
        self.cut()


Match = Callable[[Request], bool]
Fault = Callable[[Exchange], None]


@dataclass
class Rule:
    """Which requests are broken, and how.

    :param first: the number of the first one among those that match, from 1.
    :param times: how many, ``None`` for all from the first one on.
    :ivar reached: set when the first one is there.
    """

    matches: Match
    fault: Fault
    first: int = 1
    times: int | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    seen: int = 0

    @property
    def hits(self) -> int:
        """How many requests were broken."""
        hits = max(0, self.seen - self.first + 1)
        return hits if self.times is None else min(hits, self.times)

    def takes(self, request: Request) -> bool:
        """Count a request, and say whether it is to be broken."""
        if not self.matches(request):
            return False
        self.seen += 1
        past = self.seen - self.first
        return past >= 0 and (self.times is None or past < self.times)


class FaultyS3:
    """The proxy.

    :param host: and ``port``, where the S3 server is.
    :ivar log: each request that has come, in order.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.closing = threading.Event()
        self.log: list[Request] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.proxy = self
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_port}"

    def break_on(
        self, matches: Match, fault: Fault, *, first: int = 1, times: int | None = None
    ) -> Rule:
        """Break some of the requests from now on; the first rule that takes one counts."""
        rule = Rule(matches, fault, first, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def mend(self) -> None:
        """Pass all requests on from now on."""
        with self._lock:
            self._rules.clear()

    def close(self) -> None:
        """Refuse connections from now on, and cut those that wait."""
        if not self.closing.is_set():
            self.closing.set()
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join()

    def serve(self, exchange: Exchange) -> None:
        with self._lock:
            self.log.append(exchange.request)
            rule = next((rule for rule in self._rules if rule.takes(exchange.request)), None)
        if self.closing.is_set():
            exchange.cut()
        elif rule is None:
            exchange.send(exchange.pass_on())
        else:
            rule.reached.set()
            rule.fault(exchange)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    proxy: FaultyS3

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no error of the proxy."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        proxy = cast("_Listener", self.server).proxy
        proxy.serve(Exchange(proxy, self))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def faulty_s3(endpoint_url: str) -> Iterator[FaultyS3]:
    """Run a proxy in front of an S3 server while the block runs."""
    parts = urlsplit(endpoint_url)
    proxy = FaultyS3(parts.hostname or "", parts.port or 80)
    try:
        yield proxy
    finally:
        proxy.close()
