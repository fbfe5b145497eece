"""A folder on the worker, or one that is mounted there."""

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from obstore.store import LocalStore

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from airflow_provider_pgclone.core.storage.contract import AbandonedUpload, Page, StoredObject
from airflow_provider_pgclone.core.storage.objects import ObjectStorage
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, fold, pages

# A file is written as <path>#<number>, and is renamed to <path> at the end.
STAGING_MARK = "#"
# File systems of Linux have it at their top, and only root can read it: mklost+found(8).
LOST_AND_FOUND = "lost+found/"


class LocalStorage(ObjectStorage):
    """Keeps files in a folder. A file that is being written has another name until it is whole.

    It gets its name after its bytes are on the disk, so a crash leaves a whole file or none.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        super().__init__(folder, lambda: LocalStore(folder))

    def check_readable(self) -> None:
        """Check that the folder exists."""
        if not self._folder.is_dir():
            raise NotFoundError(
                f"the storage folder {self.location!r} does not exist",
                hint="Correct storage_location; the first dump creates the folder.",
            )

    def check_writable(self) -> None:
        """Create a missing folder, which only our user may read, and check that it is writable."""
        try:
            _make_folder(self._folder, mode=0o700)
            writable = os.access(self._folder, os.R_OK | os.W_OK | os.X_OK)
        except OSError as error:
            raise StorageError(f"the storage folder {self.location!r}: {error}") from error
        if not writable:
            raise StorageError(f"the storage folder {self.location!r} is not writable")

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Page]:
        """Yield pages of files; the size of a file is read only when its page is consumed."""
        for names, is_cut in pages(fold(self._paths(prefix), prefix, delimiter), PAGE_OBJECTS):
            objects = (self._stored(path) for path, folded in names if not folded)
            yield Page(
                [stored for stored in objects if stored is not None],
                [path for path, folded in names if folded],
                is_cut,
            )

    def abandoned_uploads(self, prefix: str, *, before: datetime) -> Iterator[AbandonedUpload]:
        """Yield the files that their writers did not rename at the end."""
        for name in self._paths(prefix):
            path, mark, number = name.rpartition(STAGING_MARK)
            if not mark or not number.isdecimal():
                continue
            stored = self._stored(name)
            if stored is not None and stored.modified_at < before:
                yield AbandonedUpload(path, number)

    def remove_upload(self, upload: AbandonedUpload) -> None:
        """Remove a file that was not renamed."""
        name = f"{upload.path}{STAGING_MARK}{upload.upload_id}"
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{name!r} in {self.location}: {error}") from error

    def _put(self, path: str, chunks: Iterator[bytes], part_bytes: int) -> None:
        # obstore does not sync: after a power loss, a renamed file could be empty.
        target = self._folder / path
        with self._errors(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            written, file = _create_staged(target)
            try:
                with file:
                    for chunk in chunks:
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                written = written.rename(target)
                # All folders, since this or another writer may have made them just now.
                for parent in Path(path).parents:
                    _sync_folder(self._folder / parent)
            except BaseException:
                written.unlink(missing_ok=True)
                raise

    def _paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths that start with the prefix, in the order of keys in S3.

        :raises InvalidInputError: when the prefix leads out of the folder.
        """
        folder = prefix.rpartition("/")[0]
        if prefix.startswith("/") or ".." in folder.split("/"):
            raise InvalidInputError(
                f"the prefix {prefix!r} is not below the storage folder {self.location!r}",
                hint="A prefix is relative to storage_location, without .. in it.",
            )
        yield from self._walk(f"{folder}/" if folder else "", prefix)

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(self._folder / folder) as entries:
                names = sorted(
                    folder + entry.name + ("/" if entry.is_dir() else "") for entry in entries
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(f"the storage folder {self.location!r}: {error}") from error
        for name in names:
            if name == LOST_AND_FOUND:
                continue
            if not name.startswith(prefix) and not prefix.startswith(name):
                continue
            if name.endswith("/"):
                yield from self._walk(name, prefix)
            else:
                yield name

    def _stored(self, path: str) -> StoredObject | None:
        try:
            status = (self._folder / path).stat()
        except FileNotFoundError:  # removed after its folder was read
            return None
        return StoredObject(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _make_folder(folder: Path, mode: int) -> None:
    """Create a folder and its missing parents, so that they survive a power loss.

    :param mode: of the folder; its parents get the default.
    """
    new = list(itertools.takewhile(lambda path: not path.exists(), [folder, *folder.parents]))
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for path in reversed(new):
        _sync_folder(path.parent)


def _create_staged(target: Path) -> tuple[Path, BinaryIO]:
    """Create the file that becomes the target; other writers of the target have other files."""
    for number in itertools.count(1):
        staged = target.with_name(f"{target.name}{STAGING_MARK}{number}")
        with contextlib.suppress(FileExistsError):
            return staged, staged.open("xb")
    raise AssertionError  # the count does not end


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where its file system can do that.

    PostgreSQL ignores the same errors for folders: fsync_fname_ext() in src/common/file_utils.c.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):
            raise
    finally:
        os.close(descriptor)
