"""A bucket of S3, or of a server that is compatible with S3."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import (
    NotFoundError,
    PgCloneError,
    StorageError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.storage.contract import (
    AbandonedUpload,
    Page,
    StoredObject,
    Upload,
)
from airflow_provider_pgclone.core.storage.objects import ObjectStorage, goes_in_parts
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS
from airflow_provider_pgclone.core.storage.s3_access import S3Access
from airflow_provider_pgclone.core.storage.s3_store import open_store
from airflow_provider_pgclone.core.storage.upload import CLEAN_UP_SECONDS, run_for
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# The errors of servers that do not implement a request, or implement an old form of it.
_UNKNOWN_REQUEST = ("NotImplemented", "MissingContentMD5")


class S3Storage(ObjectStorage):
    """Keeps files as objects under a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = access.client
        super().__init__(
            f"s3://{bucket}/{self._prefix}", lambda: open_store(bucket, self._prefix, access)
        )

    def check_readable(self) -> None:
        """Request the first key of the location."""
        self._ask("list_objects_v2", Prefix=self._prefix, MaxKeys=1)

    def check_writable(self) -> None:
        """Check that the bucket exists. A missing right to write shows at the first part only."""
        self.check_readable()

    @contextmanager
    def open_write(
        self, path: str, *, expected_bytes: int, cancellation: Cancellation
    ) -> Iterator[Upload]:
        """Write an object, and remove its parts if the block raises."""
        try:
            with super().open_write(
                path, expected_bytes=expected_bytes, cancellation=cancellation
            ) as upload:
                yield upload
        except BaseException:
            if not run_for(CLEAN_UP_SECONDS, lambda: self._abort_uploads(path)):
                log.warning("storage does not answer: parts of %s may be left there", path)
            raise

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield pages of up to 1,000 objects, each by one request."""
        query = {"Prefix": self._prefix + prefix}
        if delimiter:
            query["Delimiter"] = delimiter
        while True:
            answer = self._ask("list_objects_v2", **query)
            if "IsTruncated" not in answer:  # an empty answer does not mean an empty bucket
                raise StorageError(f"the answer of {self.location} does not contain a listing")
            is_cut = bool(answer["IsTruncated"])
            yield Page(
                [self._stored(content) for content in answer.get("Contents", ())],
                [self._path(common["Prefix"]) for common in answer.get("CommonPrefixes", ())],
                is_cut,
            )
            if not is_cut:
                return
            query["ContinuationToken"] = answer["NextContinuationToken"]

    def delete(self, path: str) -> None:
        """Remove an object. obstore uses DeleteObjects, which some servers do not implement."""
        self._ask("delete_object", Key=self._prefix + path)

    def delete_many(self, paths: Sequence[str]) -> None:
        """Remove objects, a thousand in one request."""
        for start in range(0, len(paths), PAGE_OBJECTS):
            some = paths[start : start + PAGE_OBJECTS]
            objects = [{"Key": self._prefix + path} for path in some]
            try:
                answer = self._ask("delete_objects", Delete={"Objects": objects, "Quiet": True})
            except UnsupportedError:
                super().delete_many(some)  # one by one
                continue
            refused = answer.get("Errors", ())
            if refused:
                path, reason = self._path(refused[0]["Key"]), refused[0].get("Message")
                raise StorageError(
                    f"{len(refused)} files in {self.location} cannot be deleted; the first is "
                    f"{path!r}: {reason}"
                )

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """Yield the multipart uploads that received no part since ``before``.

        MinIO lists the uploads of one key only, and removes abandoned uploads itself after a day.
        """
        query = {"Prefix": self._prefix + prefix}
        while True:
            try:
                answer = self._ask("list_multipart_uploads", **query)
            except UnsupportedError as error:
                log.warning("the uploads of killed dumps cannot be listed: %s", error)
                return
            for found in answer.get("Uploads", ()):
                upload = AbandonedUpload(self._path(found["Key"]), found["UploadId"])
                if found["Initiated"] < before and not self._grew_since(upload, before):
                    yield upload
            # Some servers return only one of the two markers, or the same markers again.
            given = {name: answer.get(f"Next{name}") for name in ("KeyMarker", "UploadIdMarker")}
            markers = {name: marker for name, marker in given.items() if marker}
            if not answer.get("IsTruncated") or markers.items() <= query.items():
                return
            query |= markers

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """Abort a multipart upload."""
        with suppress(NotFoundError):
            self._ask("abort_multipart_upload", **self._upload_query(upload))

    def not_found(self, path: str) -> NotFoundError:
        """Return the error for a missing object, or raise the one for a missing bucket."""
        self.check_readable()
        return super().not_found(path)

    def _put(self, path: str, chunks: Iterator[bytes], part_bytes: int) -> None:
        """Write an object, and ignore a last error if storage has the whole object.

        If the answer to a request is lost, the request is repeated. The second one fails, although
        the first one succeeded.
        """
        before = self._look_up(path)
        counted = _Counted(chunks)
        try:
            super()._put(path, counted, part_bytes)
        except PgCloneError as error:
            if not counted.ended or not self._has_arrived(path, counted.size_bytes, before):
                if isinstance(error, NotFoundError):
                    self.check_readable()  # which names a bucket that is missing
                    raise StorageError(f"the upload of {path!r} to {self.location} is gone") from (
                        error
                    )
                raise
            log.warning("storage has the whole of %s, but reported an error: %s", path, error)
        if goes_in_parts(counted.size_bytes):
            # If the answer to CreateMultipartUpload was lost, there is a second, empty upload.
            run_for(CLEAN_UP_SECONDS, lambda: self._abort_uploads(path, logging.DEBUG))

    def _has_arrived(self, path: str, size_bytes: int, before: StoredObject | None) -> bool:
        try:
            found = self._look_up(path)
        except PgCloneError:
            return False
        return found is not None and found != before and found.size_bytes == size_bytes

    def _look_up(self, path: str) -> StoredObject | None:
        """Return an object from a listing, which does not need the right to read the object."""
        return next((s for s in next(self.list(path)).objects if s.path == path), None)

    def _grew_since(self, upload: AbandonedUpload, moment: datetime) -> bool:
        """Tell whether an upload may have received a part since then.

        The upload of a dump that takes days is not abandoned.
        """
        query = self._upload_query(upload)
        while True:
            try:
                answer = self._ask("list_parts", **query)
            except NotFoundError:  # completed or aborted meanwhile
                return True
            if "IsTruncated" not in answer:  # an empty answer does not mean an upload without parts
                return True
            if any(part["LastModified"] >= moment for part in answer.get("Parts", ())):
                return True
            if not answer["IsTruncated"]:
                return False
            query["PartNumberMarker"] = answer["NextPartNumberMarker"]

    def _upload_query(self, upload: AbandonedUpload) -> dict[str, Any]:
        return {"Key": self._prefix + upload.path, "UploadId": upload.upload_id}

    def _abort_uploads(self, path: str, level: int = logging.WARNING) -> None:
        """Abort the uploads to a path once more: a part may have arrived after the first abort.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html

        :param level: the level at which a failure is logged.
        """
        key = self._prefix + path
        try:
            for found in self._ask("list_multipart_uploads", Prefix=key).get("Uploads", ()):
                if found["Key"] == key:
                    self.remove_upload(AbandonedUpload(path, found["UploadId"]))
        except PgCloneError as error:
            log.log(level, "parts of an upload may be left at %s: %s", key, error)

    def _ask(self, operation: str, **query: Any) -> dict[str, Any]:
        """Send a request about the bucket.

        :param operation: the name of a method of the boto3 client.
        :raises UnsupportedError: when the server does not implement the request.
        :raises NotFoundError: when the bucket or the upload does not exist.
        :raises StorageError: when the server refuses the request or cannot be reached.
        """
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket, **query)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "NoSuchUpload":
                raise NotFoundError(f"the upload of {query.get('Key')!r} is gone") from error
            if code in _UNKNOWN_REQUEST:
                raise UnsupportedError(f"{self.location} does not support {operation}") from error
            if code in ("NoSuchBucket", "404"):
                raise NotFoundError(
                    f"the bucket {self._bucket!r} does not exist",
                    hint="Create it, or correct storage_location.",
                ) from error
            raise StorageError(f"{self.location} refused a request: {error}") from error
        except BotoCoreError as error:
            raise StorageError(
                f"{self.location} cannot be reached: {error}",
                hint="Check the AWS connection of storage_conn_id, or the worker's environment.",
            ) from error
        return answer

    def _stored(self, content: dict[str, Any]) -> StoredObject:
        return StoredObject(self._path(content["Key"]), content["Size"], content["LastModified"])

    def _path(self, key: str) -> str:
        return key.removeprefix(self._prefix)


class _Counted(Iterator[bytes]):
    """Passes chunks on, counts their bytes, and knows whether they have ended."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.size_bytes = 0
        self.ended = False

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self.ended = True
            raise
        self.size_bytes += len(chunk)
        return chunk
