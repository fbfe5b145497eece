"""The places that keep files: folders and buckets, behind one contract, with one module a backend.

``open_storage`` chooses the backend of a location. A new backend meets ``contract.Storage``.
Nothing here knows dumps, keys or PostgreSQL: files are paths and bytes. How Airflow's connections
reach a backend is told in ``hooks.connections``, and ``tests/contracts`` holds every backend.
"""

import os
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

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
    return urlsplit(location).scheme == "s3"


def open_storage(location: str, s3_access: Callable[[], S3Access]) -> Storage:
    """Return the storage of a location.

    :param location: ``s3://bucket/prefix/``, ``file:///folder/`` or the path of a folder.
    :param s3_access: returns how to reach S3; called for a bucket only.
    :raises InvalidInputError: when the location has another scheme or the bucket has no name.
    """
    if "://" not in location and not _SCHEME.match(location):
        from airflow_provider_pgclone.core.storage.local import LocalStorage

        return LocalStorage(os.path.expanduser(location))
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        from airflow_provider_pgclone.core.storage.local import LocalStorage

        return LocalStorage(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        from airflow_provider_pgclone.core.storage.s3 import S3Storage

        return S3Storage(parts.netloc, parts.path, s3_access())
    raise InvalidInputError(
        f"{location.rpartition('@')[2]!r} is not a storage location",
        hint="A location is s3://bucket/prefix/, file:///folder/ or the path of a folder.",
    )
