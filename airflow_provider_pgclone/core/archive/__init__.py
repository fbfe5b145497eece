"""The custom format of pg_dump: table of contents, data blocks, compression, and our manifest.

Everything here turns values into bytes and back. Nothing here knows servers, storage or files.
"""

from airflow_provider_pgclone.core.archive.block_reader import (
    BlockContent,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.archive.block_writer import (
    BlockWriter,
    BufferedWriter,
    write_objects,
    write_rows,
)
from airflow_provider_pgclone.core.archive.compression import Chunk, Compressor, compressor_of
from airflow_provider_pgclone.core.archive.dependencies import complete_dependencies
from airflow_provider_pgclone.core.archive.encoding import DATA, MAGIC, ArchiveReader
from airflow_provider_pgclone.core.archive.footer import (
    HEAD_BYTES,
    TAIL_BYTES,
    Footer,
    manifest_block,
    manifest_head,
    read_footer,
    read_manifest,
)
from airflow_provider_pgclone.core.archive.manifest import (
    BY_COLUMN,
    Block,
    Manifest,
    ManifestEntry,
    MaskingFacts,
    TableChecksum,
)
from airflow_provider_pgclone.core.archive.rights import (
    kept_rights,
    only_as_owner,
    rights_on_database,
    with_rights_of_each_large_object,
)
from airflow_provider_pgclone.core.archive.rows import COPY_END, Piece, RowCount
from airflow_provider_pgclone.core.archive.signing import (
    SIGNATURE,
    check_signing_key,
    is_signed_by,
    required_signing_key,
    signature,
)
from airflow_provider_pgclone.core.archive.toc import (
    POSITION_NOT_SET,
    SECTION_DATA,
    SECTION_POST_DATA,
    TableName,
    Toc,
    TocEntry,
    read_start,
    read_toc,
    statement_entry,
    write_toc,
)

__all__ = [
    "BY_COLUMN",
    "COPY_END",
    "DATA",
    "HEAD_BYTES",
    "MAGIC",
    "POSITION_NOT_SET",
    "SECTION_DATA",
    "SECTION_POST_DATA",
    "SIGNATURE",
    "TAIL_BYTES",
    "ArchiveReader",
    "Block",
    "BlockContent",
    "BlockWriter",
    "BufferedWriter",
    "Chunk",
    "Compressor",
    "Footer",
    "Manifest",
    "ManifestEntry",
    "MaskingFacts",
    "Piece",
    "RowCount",
    "TableChecksum",
    "TableName",
    "Toc",
    "TocEntry",
    "check_signing_key",
    "complete_dependencies",
    "compressor_of",
    "is_signed_by",
    "kept_rights",
    "manifest_block",
    "manifest_head",
    "only_as_owner",
    "read_blocks",
    "read_footer",
    "read_large_objects",
    "read_manifest",
    "read_pieces",
    "read_start",
    "read_toc",
    "required_signing_key",
    "rights_on_database",
    "signature",
    "statement_entry",
    "with_rights_of_each_large_object",
    "write_objects",
    "write_rows",
    "write_toc",
]
