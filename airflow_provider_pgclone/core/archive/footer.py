"""The last block of an archive, which contains the manifest.

It is a data block whose dump id is not in the table of contents, so stock pg_restore never reads
it. Its last chunk is a footer of fixed size, which contains the manifest's position.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zstandard

from airflow_provider_pgclone.core.archive.encoding import DATA, END, write_integer
from airflow_provider_pgclone.core.archive.manifest import Manifest
from airflow_provider_pgclone.core.archive.signing import SIGNATURE
from airflow_provider_pgclone.core.errors import ArchiveError, UnsupportedError

FOOTER_MAGIC = b"PGCLONE1"
FORMAT = 1
# The magic, then the offset, the length and the SHA-256 of the manifest.
_FOOTER = struct.Struct("<8sQQ32s")
_FOOTER_LENGTH = write_integer(_FOOTER.size)
# What the block has before the manifest: its kind, its dump id, and the length of the manifest.
HEAD_BYTES = 1 + 2 * len(END)
# What it has after the manifest: the length of the footer, the footer, and the end.
TAIL_BYTES = len(_FOOTER_LENGTH) + _FOOTER.size + len(END)
_MAX_MANIFEST_BYTES = 1 << 30


@dataclass(frozen=True)
class Footer:
    """The position, size and hash of the manifest in an archive."""

    offset: int
    length: int
    sha256: bytes


def manifest_block(
    manifest: Manifest,
    *,
    dump_id: int,
    offset: int,
    sign: Callable[[Mapping[str, Any]], str] | None = None,
) -> bytes:
    """Return the block that contains the manifest, which is the last one of an archive.

    :param dump_id: a dump id that no entry uses.
    :param offset: the number of bytes that the archive has before this block.
    :param sign: returns the signature of the manifest's JSON values.
    """
    values = {"format": FORMAT, **manifest.as_json()}
    if sign is not None:
        values[SIGNATURE] = sign(values)
    data = zstandard.ZstdCompressor(level=3).compress(json.dumps(values).encode())
    head = manifest_head(dump_id, len(data))
    footer = _FOOTER.pack(
        FOOTER_MAGIC, offset + len(head), len(data), hashlib.sha256(data).digest()
    )
    return head + data + _FOOTER_LENGTH + footer + END


def manifest_head(dump_id: int, manifest_bytes: int) -> bytes:
    """Return the bytes of the last block that precede the manifest."""
    return bytes([DATA]) + write_integer(dump_id) + write_integer(manifest_bytes)


def read_footer(tail: bytes, archive_bytes: int) -> Footer | None:
    """Return the footer in the last bytes of an archive, ``None`` if the archive is not ours.

    :param tail: at least the last ``TAIL_BYTES`` bytes, or the whole archive if it is shorter.
    :param archive_bytes: the size of the whole archive.
    :raises ArchiveError: when the footer does not fit the archive.
    """
    start = len(tail) - len(END) - _FOOTER.size
    if start < 0 or not tail.endswith(END):
        return None
    magic, offset, length, digest = _FOOTER.unpack(tail[start : -len(END)])
    if magic != FOOTER_MAGIC:
        return None
    if not tail[:start].endswith(_FOOTER_LENGTH):
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    fits = offset >= HEAD_BYTES and offset + length + TAIL_BYTES == archive_bytes
    if length > _MAX_MANIFEST_BYTES or not fits:
        raise ArchiveError("the footer of the archive does not fit it: the archive is damaged")
    return Footer(offset, length, digest)


def read_manifest(data: bytes, footer: Footer) -> dict[str, Any]:
    """Return the manifest that a footer points to as JSON values, as they were signed.

    :raises ArchiveError: when the bytes differ from what was written.
    :raises UnsupportedError: when a newer version of this package wrote it.
    """
    if hashlib.sha256(data).digest() != footer.sha256:
        raise ArchiveError("the manifest at the end of the archive is damaged")
    try:
        if zstandard.frame_content_size(data) > _MAX_MANIFEST_BYTES:
            raise ArchiveError("the manifest at the end of the archive is too large")
        values: Any = json.loads(
            zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_MANIFEST_BYTES)
        )
    except (ValueError, RecursionError, zstandard.ZstdError) as error:
        # The hash is that of these bytes: somebody else than this package wrote them.
        raise ArchiveError("the manifest at the end of the archive is not one") from error
    if not isinstance(values, dict):
        raise ArchiveError("the manifest at the end of the archive is not one")
    if values.get("format") != FORMAT:
        raise UnsupportedError(
            "the archive was written by a newer version of this package",
            hint="Update airflow-provider-pgclone.",
        )
    return values
