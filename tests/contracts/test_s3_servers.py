"""Servers that speak S3 in their own way: without some requests, or with other answers to them."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airflow_provider_pgclone.core.errors import StorageError
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.storage.s3 import S3Storage
from example_dags.services import S3Server
from tests.contracts.storage import FOLDER, FUTURE, KEY, listed, write
from tests.contracts.test_storage import access
from tests.support.fixtures.servers import BUCKET
from tests.support.services.faulty_s3 import Answer, Exchange, FaultyS3, Request, faulty_s3

PATHS = [f"{FOLDER}{number}" for number in range(3)]


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def folder() -> str:
    return f"servers-{os.urandom(4).hex()}"


@pytest.fixture
def storage(s3: S3Server, proxy: FaultyS3, folder: str) -> Storage:
    return S3Storage(BUCKET, folder, access(s3, endpoint_url=proxy.endpoint_url))


def deletes_many(request: Request) -> bool:
    return request.method == "POST" and "delete" in request.query


def lists_uploads(request: Request) -> bool:
    return request.method == "GET" and "uploads" in request.query


def xml(text: str) -> Answer:
    return Answer(200, [("Content-Type", "application/xml")], text.encode())


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "MissingContentMD5")])
def test_a_server_that_deletes_one_at_a_time_is_asked_for_each(
    status: int, code: str, proxy: FaultyS3, storage: Storage
) -> None:
    for path in (*PATHS, KEY):
        write(storage, path, b"x")
    rule = proxy.break_on(deletes_many, lambda exchange: exchange.refuse(status, code))
    storage.delete_many([*PATHS, f"{FOLDER}not-there"])
    assert rule.hits == 1
    assert listed(storage) == [KEY]


def test_an_object_that_is_kept_back_is_named(
    proxy: FaultyS3, storage: Storage, folder: str
) -> None:
    """As one under an object lock is: the answer to the request is no error."""
    write(storage, KEY, b"x")
    body = (
        f"<DeleteResult><Error><Key>{folder}/{KEY}</Key><Code>AccessDenied</Code>"
        "<Message>locked</Message></Error></DeleteResult>"
    )

    def refuse_one(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(xml(body))

    proxy.break_on(deletes_many, refuse_one)
    with pytest.raises(StorageError, match=f"1 files .* cannot be deleted.* '{KEY}': locked"):
        storage.delete_many([KEY])


def test_a_server_without_a_list_of_uploads_has_none(
    proxy: FaultyS3, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.break_on(lists_uploads, lambda exchange: exchange.refuse(501, "NotImplemented"))
    assert list(storage.abandoned_uploads("", before=FUTURE)) == []
    assert "does not support list_multipart_uploads" in caplog.text


@pytest.mark.parametrize(
    "marker", ["", "<NextKeyMarker>x</NextKeyMarker><NextUploadIdMarker>y</NextUploadIdMarker>"]
)
def test_a_server_that_never_comes_to_the_next_page_is_asked_no_more(
    marker: str, proxy: FaultyS3, storage: Storage, folder: str
) -> None:
    begun = datetime.now(UTC).isoformat()
    body = (
        f"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{marker}<Upload>"
        f"<Key>{folder}/{KEY}</Key><UploadId>gone</UploadId><Initiated>{begun}</Initiated>"
        "</Upload></ListMultipartUploadsResult>"
    )
    rule = proxy.break_on(lists_uploads, lambda exchange: exchange.send(xml(body)))
    # Of an upload that nobody knows any more nothing is left.
    assert list(storage.abandoned_uploads("", before=FUTURE)) == []
    assert rule.hits <= 2
