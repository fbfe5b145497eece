"""Which requests of S3 can be broken, and in which ways: what ``FaultyS3.break_on`` takes."""

from tests.support.services.faulty_s3 import Answer, Exchange, Fault, Match, Request


def anything(request: Request) -> bool:
    return True


def listing(request: Request) -> bool:
    return request.method == "GET" and "list-type" in request.query


def beginning(request: Request) -> bool:
    """CreateMultipartUpload."""
    return request.method == "POST" and "uploads" in request.query


def part(request: Request) -> bool:
    """UploadPart."""
    return request.method == "PUT" and "partNumber" in request.query


def completion(request: Request) -> bool:
    """CompleteMultipartUpload."""
    return request.method == "POST" and "uploadId" in request.query


def abort(request: Request) -> bool:
    """AbortMultipartUpload."""
    return request.method == "DELETE" and "uploadId" in request.query


def read(request: Request) -> bool:
    """A ranged read of an object."""
    return request.method == "GET" and "range" in request.headers


def read_of(offset: int) -> Match:
    """Return a match of the reads in which a byte of an object is."""

    def matches(request: Request) -> bool:
        if not read(request):
            return False
        start, end = _range_of(request)
        return start <= offset < end

    return matches


def _range_of(request: Request) -> tuple[int, int]:
    start, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    return int(start), int(last) + 1


def refused(status: int, code: str) -> Fault:
    """The server answers with an error, and does nothing."""
    return lambda exchange: exchange.refuse(status, code)


slow_down = refused(503, "SlowDown")
internal_error = refused(500, "InternalError")
access_denied = refused(403, "AccessDenied")


def stalled(exchange: Exchange) -> None:
    """Nothing is answered."""
    exchange.stall()


def gone(exchange: Exchange) -> None:
    """From now on nobody listens any more."""
    exchange.proxy.close()
    exchange.cut()


def cut_in_request(exchange: Exchange) -> None:
    """The connection breaks off when half of the request has come."""
    exchange.read_body(share=0.5)
    exchange.cut()


def cut_in_answer(exchange: Exchange) -> None:
    """The connection breaks off in the middle of what is read."""
    answer = exchange.pass_on()
    answer.announced = len(answer.body)
    answer.body = answer.body[: len(answer.body) // 2]
    exchange.send(answer)


def short_answer(exchange: Exchange) -> None:
    """The answer has fewer bytes than asked for, and says so."""
    answer = exchange.pass_on()
    answer.body = answer.body[: len(answer.body) // 2]
    exchange.send(answer)


def empty_answer(exchange: Exchange) -> None:
    """The answer is a success without a word."""
    exchange.read_body()
    exchange.send(Answer(200, [("Content-Type", "application/xml")], b""))


def flipped_bit(offset: int) -> Fault:
    """A bit of the byte at a place of an object is another one."""

    def fault(exchange: Exchange) -> None:
        start, _ = _range_of(exchange.request)
        answer = exchange.pass_on()
        body = bytearray(answer.body)
        body[offset - start] ^= 4
        answer.body = bytes(body)
        exchange.send(answer)

    return fault


def answer_lost(exchange: Exchange) -> None:
    """The server does what it is asked to, but the client is told of an error."""
    exchange.pass_on()
    exchange.refuse(500, "InternalError")


def error_in_success(exchange: Exchange) -> None:
    """The server has begun to answer with 200 when it fails, as S3's completion may."""
    exchange.refuse(200, "InternalError")


def ignored(exchange: Exchange) -> None:
    """The client is told that it was done, but it was not."""
    exchange.read_body()
    exchange.send(Answer(204, [], b""))
