import errno
import functools
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, StorageError
from airflow_provider_pgclone.core.storage import Storage, open_storage
from airflow_provider_pgclone.core.storage.local import LocalStorage
from airflow_provider_pgclone.core.storage.memory import MemoryStorage
from airflow_provider_pgclone.core.storage.s3 import S3Storage
from airflow_provider_pgclone.core.storage.s3_access import S3Access
from example_dags.services import S3Server, free_ports
from tests.contracts.storage import (
    FOLDER,
    FUTURE,
    KEY,
    MIB,
    StorageContract,
    WhoopsError,
    fail_after,
    folded,
    listed,
    write,
)
from tests.support.fixtures.servers import BUCKET, unfinished_uploads

_NUMBERS = itertools.count(1)


class TestMemory(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()

    @pytest.fixture
    def abandon(self) -> Callable[[str], None]:
        pytest.skip("nothing outlives the process")


KILLED_WRITER = """
import os, signal, sys, time
from pathlib import Path
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.storage.local import LocalStorage

folder, path = sys.argv[1:]
before = set(Path(folder).rglob("*.dump#*"))
upload = LocalStorage(folder).open_write(path, expected_bytes=1, cancellation=Cancellation())
with upload as writer:
    while set(Path(folder).rglob("*.dump#*")) == before:
        writer.write(bytes(1024 * 1024))
    os.kill(os.getpid(), signal.SIGKILL)
"""


class TestLocal(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        storage = LocalStorage(str(tmp_path / "dumps"))
        storage.check_writable()
        return storage

    @pytest.fixture
    def abandon(self, tmp_path: Path) -> Callable[[str], None]:
        def leave(path: str) -> None:
            argv = [sys.executable, "-c", KILLED_WRITER, str(tmp_path / "dumps"), path]
            assert subprocess.run(argv).returncode == -signal.SIGKILL

        return leave

    def test_a_folder_sorts_among_its_neighbours_as_s3_sorts_it(self, storage: Storage) -> None:
        paths = ["a-b/c", "a-b1", "a/b", "a/b-c", "a0"]
        for path in reversed(paths):
            write(storage, path, b"x")
        assert listed(storage) == paths
        assert listed(storage, "a") == paths

    def test_the_first_dump_makes_the_folder(self, tmp_path: Path) -> None:
        storage = LocalStorage(str(tmp_path / "new" / "dumps"))
        storage.check_writable()
        write(storage, KEY, b"x")
        assert (tmp_path / "new" / "dumps" / KEY).read_bytes() == b"x"

    def test_a_file_is_on_the_disk_before_it_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a power loss could leave a dump that is listed and empty."""
        steps: list[tuple[str, Path]] = []
        fsync, rename = os.fsync, os.rename
        open_as = Path("/proc/self/fd")

        def recording_fsync(descriptor: int) -> None:
            fsync(descriptor)
            steps.append(("sync", (open_as / str(descriptor)).readlink()))

        def recording_rename(source: Path, target: Path, **more: Any) -> None:
            steps.append(("rename", Path(source)))
            rename(source, target, **more)

        monkeypatch.setattr(os, "fsync", recording_fsync)
        monkeypatch.setattr(os, "rename", recording_rename)
        dumps = tmp_path / "new" / "dumps"
        storage = LocalStorage(str(dumps))
        storage.check_writable()
        assert steps == [("sync", tmp_path), ("sync", tmp_path / "new")]
        steps.clear()
        write(storage, KEY, bytes(12 * MIB))
        folder, staged = (dumps / KEY).parent, dumps / f"{KEY}#1"
        assert steps == [
            ("sync", staged),
            ("rename", staged),
            *(("sync", made) for made in (folder, *folder.parents[:3])),
        ]

    def test_a_file_that_cannot_be_synced_does_not_appear(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(descriptor: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        write(storage, KEY.replace("2026", "2025"), b"x")
        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(StorageError, match=f"{KEY}.*Input/output error"):
            write(storage, KEY, b"x")
        assert listed(storage) == [KEY.replace("2026", "2025")]

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        storage = LocalStorage(str(tmp_path / "nowhere"))
        with pytest.raises(NotFoundError, match="nowhere"):
            storage.check_readable()

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        storage = LocalStorage(str(tmp_path / "file"))
        with pytest.raises(NotFoundError, match="file"):
            storage.check_readable()
        with pytest.raises(StorageError, match="file"):
            storage.check_writable()

    def test_a_folder_that_cannot_be_read_is_an_error_of_storage(self, storage: Storage) -> None:
        with pytest.raises(StorageError, match="too long"):
            listed(storage, f"{'x' * 300}/")

    @pytest.mark.parametrize("prefix", ["../", "../other/x", "prod/../../other/", "{}/", "/"])
    def test_no_prefix_leads_out_of_the_folder(
        self, tmp_path: Path, storage: Storage, prefix: str
    ) -> None:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "x").touch()
        write(storage, KEY, b"x")
        with pytest.raises(InvalidInputError, match="is not below the storage folder"):
            listed(storage, prefix.format(tmp_path))

    def test_the_folder_of_a_mounted_file_system_is_listed(
        self, tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only root may read its lost+found, and tests may run as root."""
        scandir = os.scandir

        def refuses(path: Path) -> Any:
            if path.name == "lost+found":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        (tmp_path / "dumps" / "lost+found").mkdir()
        write(storage, KEY, b"x")
        monkeypatch.setattr(os, "scandir", refuses)
        assert listed(storage) == [KEY]
        assert folded(storage, "", "/") == ([], ["prod/"])

    def test_a_relative_folder_is_that_of_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        storage = LocalStorage("dumps")
        storage.check_writable()
        write(storage, KEY, b"x")
        assert b"".join(storage.read(KEY)) == b"x"
        assert (tmp_path / "dumps" / KEY).exists()


@functools.cache
def access(server: S3Server, **changes: str | None) -> S3Access:
    """Return the access of a client that gives up at the first failure."""
    values = {
        "endpoint_url": server.endpoint_url,
        "access": server.access_key,
        "secret": server.secret_key,
        **changes,
    }
    session = boto3.session.Session(
        aws_access_key_id=values["access"],
        aws_secret_access_key=values["secret"],
        region_name="us-east-1",
    )
    client: Any = session.client(
        "s3",
        endpoint_url=values["endpoint_url"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    return S3Access(session, client, endpoint_url=values["endpoint_url"], region="us-east-1")


@pytest.fixture
def own_folder() -> str:
    """A folder of the bucket that is this test's alone."""
    return f"test{next(_NUMBERS)}"


class TestS3(StorageContract):
    @pytest.fixture
    def storage(self, s3: S3Server, own_folder: str) -> Storage:
        return S3Storage(BUCKET, own_folder, access(s3))

    @pytest.fixture
    def put_many(self, s3: S3Server, own_folder: str) -> Callable[[Sequence[str]], None]:
        client = s3.client()

        def put(paths: Sequence[str]) -> None:
            with ThreadPoolExecutor(8) as pool:
                keys = [f"{own_folder}/{path}" for path in paths]
                list(pool.map(lambda key: client.put_object(Bucket=BUCKET, Key=key), keys))

        return put

    @pytest.fixture
    def abandon(self, s3: S3Server, own_folder: str) -> Iterator[Callable[[str], None]]:
        client = s3.client()
        begun: list[dict[str, str]] = []

        def leave(path: str) -> None:
            place = {"Bucket": BUCKET, "Key": f"{own_folder}/{path}"}
            place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
            client.upload_part(**place, PartNumber=1, Body=b"x")
            begun.append(place)

        yield leave
        for place in begun:
            with suppress(ClientError):  # removed by the test
                client.abort_multipart_upload(**place)

    def test_an_object_is_below_the_prefix(self, s3: S3Server, own_folder: str) -> None:
        write(S3Storage(BUCKET, f"/{own_folder}/", access(s3)), KEY, b"x")
        found = s3.client().get_object(Bucket=BUCKET, Key=f"{own_folder}/{KEY}")
        assert found["Body"].read() == b"x"

    def test_a_block_that_raises_leaves_no_parts(
        self, s3: S3Server, storage: Storage, own_folder: str
    ) -> None:
        seen: list[Any] = []
        with pytest.raises(WhoopsError):
            # More than the queue and the first parts hold: by then the upload has begun.
            fail_after(storage, 60, lambda: seen.extend(unfinished_uploads(s3, own_folder)))
        assert seen
        assert unfinished_uploads(s3, own_folder) == []
        assert listed(storage) == []

    @pytest.mark.parametrize("size", [1, 9 * MIB])
    def test_storage_has_checked_what_it_was_sent(
        self, s3: S3Server, storage: Storage, own_folder: str, size: int
    ) -> None:
        write(storage, KEY, bytes(size))
        head = s3.client().head_object(
            Bucket=BUCKET, Key=f"{own_folder}/{KEY}", ChecksumMode="ENABLED"
        )
        assert head.get("ChecksumCRC64NVME")

    def test_pages_of_abandoned_uploads_are_all_read(
        self, s3: S3Server, storage: Storage, own_folder: str
    ) -> None:
        client = s3.client()
        keys = [f"{own_folder}/{FOLDER}{number:04}" for number in range(1005)]

        def begin(key: str) -> None:
            client.create_multipart_upload(Bucket=BUCKET, Key=key)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(begin, keys))
        found = list(storage.abandoned_uploads(FOLDER, before=FUTURE))
        assert sorted(f"{own_folder}/{upload.path}" for upload in found) == keys
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(storage.remove_upload, found))
        assert unfinished_uploads(s3, own_folder) == []

    def test_an_upload_that_still_grows_is_not_abandoned(
        self, s3: S3Server, storage: Storage, own_folder: str
    ) -> None:
        """A dump may take days."""
        client = s3.client()
        place = {"Bucket": BUCKET, "Key": f"{own_folder}/{KEY}"}
        place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
        (begun,) = storage.abandoned_uploads("", before=FUTURE)
        moment = datetime.now(UTC)
        times: list[datetime] = []
        while not times or max(times) < moment:  # they are told in whole seconds
            client.upload_part(**place, PartNumber=len(times) + 1, Body=b"x")
            times = [part["LastModified"] for part in client.list_parts(**place)["Parts"]]
        assert list(storage.abandoned_uploads("", before=moment)) == []
        storage.remove_upload(begun)

    def test_what_may_not_be_deleted_is_named(self, s3: S3Server, own_folder: str) -> None:
        write(S3Storage(BUCKET, own_folder, access(s3)), KEY, b"x")
        reader = S3Storage(BUCKET, own_folder, access(s3, access=s3.reader_access_key))
        with pytest.raises(StorageError, match=f"{BUCKET}/{own_folder}/"):
            reader.delete_many([KEY])
        assert listed(reader) == [KEY]

    def test_a_missing_bucket_is_named_before_and_while_it_is_used(self, s3: S3Server) -> None:
        storage = S3Storage("no-such-bucket", "", access(s3))
        for use in (
            storage.check_readable,
            storage.check_writable,
            lambda: list(storage.list("")),
            lambda: storage.head(KEY),
            lambda: list(storage.read(KEY)),
            lambda: write(storage, KEY, b"x"),
            lambda: write(storage, KEY, *[bytes(MIB)] * 40),
        ):
            with pytest.raises(NotFoundError, match="bucket 'no-such-bucket' does not exist"):
                use()

    @pytest.mark.parametrize("wrong", [{"secret": "wrong"}, {"access": "nobody"}])
    def test_wrong_keys_are_refused(self, s3: S3Server, wrong: dict[str, str]) -> None:
        storage = S3Storage(BUCKET, "", access(s3, **wrong))
        for use in (
            storage.check_readable,
            storage.check_writable,
            lambda: storage.head(KEY),
            lambda: list(storage.read(KEY)),
            lambda: write(storage, KEY, b"x"),
            lambda: write(storage, KEY, *[bytes(MIB)] * 40),
        ):
            with pytest.raises(StorageError, match=f"s3://{BUCKET}/") as caught:
                use()
            assert "wrong" not in str(caught.value)

    def test_a_refused_port_is_an_error_of_storage(self, s3: S3Server) -> None:
        (port,) = free_ports(1)
        storage = S3Storage(BUCKET, "", access(s3, endpoint_url=f"http://127.0.0.1:{port}"))
        for use in (storage.check_readable, storage.check_writable, lambda: list(storage.list(""))):
            with pytest.raises(StorageError, match="cannot be reached"):
                use()

    def test_missing_credentials_are_told(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        storage = S3Storage(BUCKET, "", access(s3, access=None, secret=None))
        with pytest.raises(StorageError, match="credentials"):
            storage.check_readable()
        with pytest.raises(StorageError, match="no AWS credentials"):
            storage.head(KEY)


def no_access() -> S3Access:
    raise AssertionError("asked for access to S3")


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "file://{}/", "file://localhost{}"])
def test_a_folder_is_named_in_several_ways(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "with space"
    location = form.format(str(folder).replace(" ", "%20") if "://" in form else folder)
    storage = open_storage(location, no_access)
    storage.check_writable()
    write(storage, KEY, b"x")
    assert (folder / KEY).exists()


@pytest.mark.parametrize(
    "location",
    [
        "gs://bucket/prefix",
        "s3:/bucket",
        "S3:bucket",
        "s3://",
        "s3:///prefix",
        "file://host/folder",
        "://",
        "x://y",
        "s3://[bucket",
    ],
)
def test_another_location_is_refused_by_name(location: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a storage location"):
        open_storage(location, no_access)


@pytest.mark.parametrize(
    "location",
    [
        " /dumps",
        "/dumps ",
        "/dumps /",
        "/dumps\n",
        "dumps\t/",
        " file:///dumps/",
        "file:///dumps /",
        " s3://bucket/prefix/",
        "s3://bucket/prefix/ ",
        "s3://bucket/prefix /",
        "s3://bucket /prefix/",
        "s3:// bucket/",
    ],
)
def test_blanks_around_a_location_are_refused(location: str) -> None:
    with pytest.raises(InvalidInputError, match="has blanks around a name"):
        open_storage(location, no_access)


def test_a_bucket_is_named_with_its_prefix(s3: S3Server, own_folder: str) -> None:
    storage = open_storage(f"s3://{BUCKET}/{own_folder}/deeper/", lambda: access(s3))
    assert storage.location == f"s3://{BUCKET}/{own_folder}/deeper/"
    write(storage, KEY, b"x")
    assert listed(S3Storage(BUCKET, own_folder, access(s3))) == [f"deeper/{KEY}"]
