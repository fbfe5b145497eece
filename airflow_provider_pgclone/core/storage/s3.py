"""A bucket of S3, or of a server that speaks its protocol."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError, StorageError
from airflow_provider_pgclone.core.storage.contract import Page, StoredObject, Upload
from airflow_provider_pgclone.core.storage.objects import ObjectStorage

if TYPE_CHECKING:
    import boto3.session
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)

# Shorter than the shortest life of assumed-role credentials (15 minutes), so that a long upload
# always has fresh ones.
CREDENTIALS_TTL = timedelta(minutes=10)
REQUEST_TIMEOUT = timedelta(minutes=5)
CONNECT_TIMEOUT = timedelta(seconds=20)


@dataclass(frozen=True)
class S3Access:
    """How to reach S3, as an AWS connection says it.

    :param session: gives credentials, refreshed where they expire.
    :param client: a boto3 client of the same connection: it lists, since obstore's listing can
        neither fold at another character than ``/`` nor start within a folder.
    :param verify: whether to check the server's certificate; a path names its authority.
    :param virtual_hosted: whether the bucket is part of the host name instead of the path.
    """

    session: "boto3.session.Session"
    client: Any
    endpoint_url: str | None = None
    region: str | None = None
    verify: bool | str | None = None
    virtual_hosted: bool = False


class S3Storage(ObjectStorage):
    """Dumps as objects below a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = access.client
        super().__init__(
            f"s3://{bucket}/{self._prefix}", lambda: _open_store(bucket, self._prefix, access)
        )

    def check_readable(self) -> None:
        """Ask for the first key of the location."""
        self._list_page({"Bucket": self._bucket, "Prefix": self._prefix, "MaxKeys": 1})

    def check_writable(self) -> None:
        """Ask whether the bucket is there; the first part shows whether it may be written."""
        self.check_readable()

    @contextmanager
    def open_write(
        self, path: str, *, expected_bytes: int, cancellation: Cancellation
    ) -> Iterator[Upload]:
        """Write an object; of one that is aborted no part stays."""
        try:
            with super().open_write(
                path, expected_bytes=expected_bytes, cancellation=cancellation
            ) as upload:
                yield upload
        except BaseException:
            self._abort_uploads(self._prefix + path)
            raise

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield pages of up to 1,000 objects, each by one request."""
        query = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if delimiter:
            query["Delimiter"] = delimiter
        while True:
            answer = self._list_page(query)
            is_cut = bool(answer.get("IsTruncated"))
            yield Page(
                [self._stored(content) for content in answer.get("Contents", ())],
                [self._path(common["Prefix"]) for common in answer.get("CommonPrefixes", ())],
                is_cut,
            )
            if not is_cut:
                return
            query["ContinuationToken"] = answer["NextContinuationToken"]

    def _abort_uploads(self, key: str) -> None:
        """Abort what an upload has left: a part under way may arrive after the first abort.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
        """
        try:
            found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
            for upload in found.get("Uploads", ()):
                if upload["Key"] == key:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=upload["UploadId"]
                    )
        except (ClientError, BotoCoreError) as error:
            log.warning("the parts of an upload may be left at %s: %s", key, error)

    def not_found(self, path: str) -> NotFoundError:
        """Tell a missing bucket from a missing object."""
        self.check_readable()
        return super().not_found(path)

    def _list_page(self, query: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.list_objects_v2(**query)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchBucket", "404"):
                raise NotFoundError(
                    f"the bucket {self._bucket!r} does not exist",
                    hint="Create it, or correct storage_location.",
                ) from error
            raise StorageError(f"{self.location} refuses: {error}") from error
        except BotoCoreError as error:
            raise StorageError(
                f"{self.location} cannot be reached: {error}",
                hint="Look at the AWS connection of storage_conn_id, or the worker's environment.",
            ) from error
        return answer

    def _stored(self, content: dict[str, Any]) -> StoredObject:
        return StoredObject(self._path(content["Key"]), content["Size"], content["LastModified"])

    def _path(self, key: str) -> str:
        return key.removeprefix(self._prefix)


def _open_store(bucket: str, prefix: str, access: S3Access) -> S3Store:
    options: ClientConfig = {
        "timeout": REQUEST_TIMEOUT,
        "connect_timeout": CONNECT_TIMEOUT,
        "allow_http": (access.endpoint_url or "").startswith("http://"),
    }
    if access.verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(access.verify, str):
        options["root_certificate"] = Path(access.verify).read_bytes()
    config: dict[str, Any] = {"virtual_hosted_style_request": access.virtual_hosted}
    if access.endpoint_url:
        config["endpoint"] = access.endpoint_url
    if access.region:
        config["region"] = access.region
    if access.session.get_credentials() is None:
        raise StorageError(
            f"no AWS credentials for s3://{bucket}",
            hint="Set them in the connection of storage_conn_id, or in the worker's environment.",
        )
    return S3Store(
        bucket,
        prefix=prefix or None,
        # Storage checks each part against it, so that what is stored is what was sent.
        checksum_algorithm="CRC64NVME",
        client_options=options,
        credential_provider=Boto3CredentialProvider(access.session, ttl=CREDENTIALS_TTL),
        **config,
    )
