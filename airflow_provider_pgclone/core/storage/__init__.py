"""The places that keep files: folders and buckets, behind one contract, with one module a backend.

``open_storage`` chooses the backend of a location. A new backend meets ``contract.Storage``.
Nothing here knows dumps, keys or PostgreSQL: files are paths and bytes. How Airflow's connections
reach a backend is told in ``hooks.connections``, and ``tests/contracts`` holds every backend.
"""

import os
import re
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.storage.contract import (
    AbandonedUpload,
    Storage,
    StoredObject,
    Upload,
)
from airflow_provider_pgclone.core.storage.paging import PAGE_OBJECTS, pages
from airflow_provider_pgclone.core.storage.s3_access import S3Access

__all__ = [
    "PAGE_OBJECTS",
    "AbandonedUpload",
    "S3Access",
    "Storage",
    "StoredObject",
    "Upload",
    "is_bucket",
    "open_storage",
    "pages",
]


# With one slash or none it is a slip, and the dump would lie on the worker.
_SCHEME = re.compile(r"(s3|gs|file|https?|azure?|abfss?):", re.IGNORECASE)


def is_bucket(location: str) -> bool:
    """Tell whether a location is one in S3, in the same way as :func:`open_storage`."""
    parts = _split(location)
    return parts is not None and parts.scheme == "s3"


def open_storage(location: str, s3_access: Callable[[], S3Access]) -> Storage:
    """Return the storage of a location.

    :param location: ``s3://bucket/prefix/``, ``file:///folder/`` or the path of a folder.
    :param s3_access: returns how to reach S3; called for a bucket only.
    :raises InvalidInputError: when the location has another scheme, the bucket has no name, or
        there are blanks around a name.
    """
    _check_blanks(location)
    if "://" not in location and not _SCHEME.match(location):
        from airflow_provider_pgclone.core.storage.local import LocalStorage

        return LocalStorage(os.path.expanduser(location))
    parts = _split(location)
    if parts is None:
        raise _not_a_location(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        from airflow_provider_pgclone.core.storage.local import LocalStorage

        return LocalStorage(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        from airflow_provider_pgclone.core.storage.s3 import S3Storage

        return S3Storage(parts.netloc, parts.path, s3_access())
    raise _not_a_location(location)


def _split(location: str) -> SplitResult | None:
    """Return the parts of a location; ``None`` if it cannot be one."""
    try:
        return urlsplit(location)
    except ValueError:  # a bracket in the place of a host
        return None


def _check_blanks(location: str) -> None:
    """Refuse blanks at the ends of a location and of its names, which would be taken for a part.

    Folders above the one that is named may be called so.
    """
    parts = location.rstrip("/").split("/")
    checked = parts if "://" in location else [parts[0], parts[-1]]
    if any(part != part.strip() for part in (location, *checked)):
        raise InvalidInputError(
            f"the storage location {_shown(location)} has blanks around a name",
            hint="Remove them: dumps would go to another folder or prefix.",
        )


def _not_a_location(location: str) -> InvalidInputError:
    return InvalidInputError(
        f"{_shown(location)} is not a storage location",
        hint="A location is s3://bucket/prefix/, file:///folder/ or the path of a folder.",
    )


def _shown(location: str) -> str:
    """Return a location without what may be a password in it."""
    return repr(location.rpartition("@")[2])
