"""What every storage backend is held to; a subclass gives the fixture ``storage``."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import CancelledError, NotFoundError
from airflow_provider_pgclone.core.storage import Storage

MIB = 1024 * 1024
KEY = "prod/shop/none/2026-11-20-02-00-00-000000.dump"
FOLDER = "prod/shop/none/"
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


class WhoopsError(Exception):
    """What a block raises in the tests."""


def fail_after(storage: Storage, chunks: int, then: Callable[[], object] = lambda: None) -> None:
    """Write an object in a block that raises."""
    with storage.open_write(KEY, expected_bytes=1, cancellation=Cancellation()) as upload:
        for _ in range(chunks):
            upload.write(bytes(MIB))
        then()
        raise WhoopsError


def cancel_after(storage: Storage, chunks: int, more: int) -> None:
    """Write an object whose writer is cancelled after some chunks and before some more."""
    cancellation = Cancellation()
    with storage.open_write(KEY, expected_bytes=1, cancellation=cancellation) as upload:
        for _ in range(chunks):
            upload.write(bytes(MIB))
        cancellation.cancel()
        for _ in range(more):
            upload.write(bytes(MIB))


def write(storage: Storage, path: str, *chunks: bytes) -> None:
    size = sum(map(len, chunks))
    with storage.open_write(path, expected_bytes=size, cancellation=Cancellation()) as upload:
        for chunk in chunks:
            upload.write(chunk)


def listed(storage: Storage, prefix: str = "") -> list[str]:
    return [stored.path for page in storage.list(prefix) for stored in page.objects]


def folded(storage: Storage, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Return the objects and the common beginnings of all pages."""
    found = list(storage.list(prefix, delimiter=delimiter))
    objects = [stored.path for page in found for stored in page.objects]
    return objects, [beginning for page in found for beginning in page.prefixes]


class StorageContract:
    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    @pytest.fixture
    def put_many(self, storage: Storage) -> Callable[[Sequence[str]], None]:
        """Write many tiny objects."""

        def put(paths: Sequence[str]) -> None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda path: write(storage, path, b"x"), paths))

        return put

    @pytest.fixture
    def abandon(self) -> Callable[[str], None]:
        """Leave what a writer of an object leaves that is killed."""
        raise NotImplementedError

    def test_what_is_written_is_read(self, storage: Storage) -> None:
        write(storage, KEY, b"some ", b"", b"bytes")
        assert b"".join(storage.read(KEY)) == b"some bytes"

    def test_an_empty_object_is_an_object(self, storage: Storage) -> None:
        write(storage, KEY)
        assert b"".join(storage.read(KEY)) == b""
        assert storage.head(KEY).size_bytes == 0
        assert listed(storage) == [KEY]

    def test_an_object_of_several_parts_is_read_as_it_was_written(self, storage: Storage) -> None:
        # Chunks that are no divisors of the parts, and each part with bytes of its own.
        chunks = [bytes([number]) * (MIB + number) for number in range(20)]
        write(storage, KEY, *chunks)
        digest = hashlib.sha256()
        for chunk in storage.read(KEY):
            digest.update(chunk)
        assert digest.hexdigest() == hashlib.sha256(b"".join(chunks)).hexdigest()

    def test_one_large_chunk_is_read_as_it_was_written(self, storage: Storage) -> None:
        content = bytes(range(256)) * (17 * MIB // 256) + b"end"
        write(storage, KEY, content)
        assert b"".join(storage.read(KEY)) == content

    def test_an_object_has_its_size_and_time(self, storage: Storage) -> None:
        before = datetime.now(UTC)
        write(storage, KEY, b"12345")
        (of_listing,) = next(storage.list("")).objects
        for stored in (storage.head(KEY), of_listing):
            assert (stored.path, stored.size_bytes) == (KEY, 5)
            # S3 tells whole seconds.
            assert before - timedelta(seconds=2) < stored.modified_at
            assert stored.modified_at < datetime.now(UTC) + timedelta(seconds=2)

    def test_an_object_is_not_there_before_its_block_ends(self, storage: Storage) -> None:
        with storage.open_write(KEY, expected_bytes=1, cancellation=Cancellation()) as upload:
            for _ in range(12):
                upload.write(bytes(MIB))
            with pytest.raises(NotFoundError):
                storage.head(KEY)
        assert storage.head(KEY).size_bytes == 12 * MIB

    @pytest.mark.parametrize("chunk_count", [0, 1, 12])
    def test_a_block_that_raises_leaves_nothing(self, storage: Storage, chunk_count: int) -> None:
        with pytest.raises(WhoopsError):
            fail_after(storage, chunk_count)
        with pytest.raises(NotFoundError):
            storage.head(KEY)
        assert listed(storage) == []

    def test_a_block_that_raises_never_completes_what_it_wrote(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Not even to delete it right after: somebody might list it in between.
        monkeypatch.setattr(storage, "delete", lambda path: None)
        with pytest.raises(WhoopsError):
            fail_after(storage, 12)
        assert listed(storage) == []

    @pytest.mark.parametrize(("chunks", "more"), [(0, 1), (1, 1), (12, 1), (0, 0), (12, 0)])
    def test_a_cancel_leaves_nothing(self, storage: Storage, chunks: int, more: int) -> None:
        with pytest.raises(CancelledError):
            cancel_after(storage, chunks, more)
        assert listed(storage) == []

    def test_an_object_that_is_not_there_is_named(self, storage: Storage) -> None:
        write(storage, KEY, b"x")
        missing = KEY.replace("2026", "2025")
        with pytest.raises(NotFoundError, match=missing):
            storage.head(missing)
        with pytest.raises(NotFoundError, match=missing):
            next(storage.read(missing))

    def test_a_deleted_object_is_gone(self, storage: Storage) -> None:
        write(storage, KEY, b"x")
        storage.delete(KEY)
        assert listed(storage) == []
        with pytest.raises(NotFoundError):
            storage.head(KEY)

    def test_deleting_what_is_not_there_is_no_error(self, storage: Storage) -> None:
        write(storage, KEY, b"x")
        storage.delete(KEY.replace("2026", "2025"))
        assert listed(storage) == [KEY]

    def test_many_objects_are_deleted_at_once_also_where_some_are_not_there(
        self, storage: Storage, put_many: Callable[[Sequence[str]], None]
    ) -> None:
        paths = [f"{FOLDER}{number}" for number in range(1005)]
        put_many([*paths, KEY])
        storage.delete_many([*paths, KEY.replace("2026", "2025")])
        assert listed(storage) == [KEY]

    def test_none_of_many_can_be_deleted(self, storage: Storage) -> None:
        write(storage, KEY, b"x")
        storage.delete_many([])
        assert listed(storage) == [KEY]

    def test_what_a_killed_writer_left_is_found_and_removed(
        self, storage: Storage, abandon: Callable[[str], None]
    ) -> None:
        others = (KEY.replace("prod", "dev"), KEY.replace("shop", "shop_eu"))
        for path in (KEY, KEY, *others):
            abandon(path)
        with pytest.raises(NotFoundError):
            storage.head(KEY)
        found = list(storage.abandoned_uploads("prod/shop/", before=FUTURE))
        assert [upload.path for upload in found] == [KEY, KEY]
        for upload in [*found, *found]:
            storage.remove_upload(upload)
        left = {upload.path for upload in storage.abandoned_uploads("", before=FUTURE)}
        assert left == set(others)

    def test_what_was_written_of_late_is_not_abandoned(
        self, storage: Storage, abandon: Callable[[str], None]
    ) -> None:
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        abandon(KEY)
        assert list(storage.abandoned_uploads("", before=hour_ago)) == []

    def test_an_object_is_no_abandoned_upload(self, storage: Storage) -> None:
        write(storage, KEY, *[bytes(MIB)] * 12)
        assert list(storage.abandoned_uploads("", before=FUTURE)) == []
        assert list(storage.abandoned_uploads("nowhere/", before=FUTURE)) == []

    def test_it_can_be_listed_while_it_is_empty(self, storage: Storage) -> None:
        storage.check_writable()
        storage.check_readable()
        (page,) = storage.list("")
        assert not page.objects
        assert not page.prefixes
        assert not page.is_cut

    def test_objects_are_listed_in_order_of_their_paths(self, storage: Storage) -> None:
        paths = ["B", "a-1", "a0", "a_1", "b/a", "b/c/d", "b/e"]
        for path in reversed(paths):
            write(storage, path, b"x")
        assert listed(storage) == paths

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("prod/shop/", ["prod/shop/1", "prod/shop/2/3"]),
            ("prod/shop", ["prod/shop/1", "prod/shop/2/3", "prod/shop_eu/1"]),
            ("prod/shop/2", ["prod/shop/2/3"]),
            ("prod/shop/1", ["prod/shop/1"]),
            ("prod/shop/1/", []),
            ("nowhere/", []),
        ],
    )
    def test_a_prefix_is_the_beginning_of_paths(
        self, storage: Storage, prefix: str, expected: list[str]
    ) -> None:
        for path in ("dev/shop/1", "prod/shop/1", "prod/shop/2/3", "prod/shop_eu/1"):
            write(storage, path, b"x")
        assert listed(storage, prefix) == expected

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "expected"),
        [
            ("", "/", (["top"], ["dev/", "prod/"])),
            ("prod/", "/", ([], ["prod/shop/"])),
            ("prod/shop/", "/", (["prod/shop/file"], ["prod/shop/a-b/"])),
            ("prod/shop/a-b/", "-", ([], ["prod/shop/a-b/2025-", "prod/shop/a-b/2026-"])),
            ("prod/shop/a-b/2026-", "-", ([], ["prod/shop/a-b/2026-01-"])),
            (
                "prod/shop/a-b/2026-01-",
                "-",
                (["prod/shop/a-b/2026-01-03"], ["prod/shop/a-b/2026-01-02-"]),
            ),
            ("nowhere/", "/", ([], [])),
        ],
    )
    def test_a_delimiter_folds_what_comes_after_it(
        self,
        storage: Storage,
        prefix: str,
        delimiter: str,
        expected: tuple[list[str], list[str]],
    ) -> None:
        folder = "prod/shop/a-b/"
        names = ("2025-01-02-03", "2026-01-02-03", "2026-01-02-04", "2026-01-03")
        for path in ("top", "dev/x", "prod/shop/file", *(folder + name for name in names)):
            write(storage, path, b"x")
        assert folded(storage, prefix, delimiter) == expected

    def test_more_than_a_thousand_objects_come_in_pages(
        self, storage: Storage, put_many: Callable[[Sequence[str]], None]
    ) -> None:
        paths = [f"{FOLDER}20{year:02}-{n:02}" for year in range(5) for n in range(201)]
        put_many(paths)
        found = list(storage.list(FOLDER))
        assert [len(page.objects) for page in found] == [1000, 5]
        assert [page.is_cut for page in found] == [True, False]
        assert listed(storage, FOLDER) == sorted(paths)
        years = [f"{FOLDER}20{year:02}-" for year in range(5)]
        assert folded(storage, FOLDER, "-") == ([], years)
        assert len(list(storage.list(FOLDER, delimiter="-"))) == 1
        first = next(storage.list(FOLDER))
        assert [stored.path for stored in first.objects] == sorted(paths)[:1000]

    def test_a_written_object_replaces_the_one_before(self, storage: Storage) -> None:
        for content in (b"a longer one", b"short"):
            write(storage, KEY, content)
        assert b"".join(itertools.islice(storage.read(KEY), 10)) == b"short"
