"""Dump a database: one archive, written in parallel, in storage only when it is whole."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from airflow_provider_pgclone import __version__
from airflow_provider_pgclone.core.archive import TableName, Toc, write_toc
from airflow_provider_pgclone.core.blocks import (
    DATA,
    BlockWriter,
    Gathering,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.checksums import lock_tables, read_checksums
from airflow_provider_pgclone.core.comparable import comparable, copied_tables
from airflow_provider_pgclone.core.compression import Compressor, compressor_of
from airflow_provider_pgclone.core.copy_out import RangeReader
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.dump_key import DumpKey
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.pg_tools import (
    ClientTools,
    check_extra_arguments,
)
from airflow_provider_pgclone.core.plan import add_ranges, named_rows_query
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.ranges import reading_ranges
from airflow_provider_pgclone.core.scope import DumpContent
from airflow_provider_pgclone.core.skeleton import Skeleton, open_skeleton
from airflow_provider_pgclone.core.source import Source, open_source
from airflow_provider_pgclone.core.storage import Storage, Upload
from airflow_provider_pgclone.core.stored_archive import OUR_MARK
from airflow_provider_pgclone.core.trailer import Part, Trailer, trailer_block

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Dump:
    """What the steps of one dump share.

    :param cancellation: of this dump alone; a failure of one of its readers sets it.
    """

    database: Database
    content: DumpContent
    source: Source
    jobs: int
    compression_level: int
    checksums: bool
    meter: ProgressMeter
    cancellation: Cancellation

    @property
    def tools(self) -> ClientTools:
        return self.source.tools

    @property
    def compression(self) -> str:
        return "zstd" if self.tools.dumps_zstd else "gzip"

    def new_compressor(self) -> Compressor:
        return compressor_of(self.compression, self.compression_level)


def dump(
    database: Database,
    storage: Storage,
    key: DumpKey,
    content: DumpContent,
    *,
    jobs: int,
    compression_level: int,
    checksums: bool,
    pg_bin_dir: str | None,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Stream an archive of a database to its key.

    :param jobs: how many sessions read large tables at once, beside pg_dump's own.
    :param compression_level: of zstd.
    :param checksums: whether to note one of each table's rows, which takes another look at them.
    :param pg_bin_dir: the folder of pg_dump, ``None`` to look for it.
    :raises InvalidInputError: when a pattern matches nothing, or an argument is not allowed.
    :raises UnsupportedError: when no pg_dump is as new as the server.
    :raises ToolError: when pg_dump or psql failed; then nothing is listed.
    """
    check_extra_arguments("pg_dump", content.pg_dump_args)
    keyed = content.masking.keyed(database)
    storage.check_writable()
    with (
        open_source(keyed, content, pg_bin_dir, cancellation) as source,
        cancellation.own() as own,
    ):
        work = _Dump(
            database=keyed,
            content=content,
            source=source,
            jobs=jobs,
            compression_level=compression_level,
            checksums=checksums,
            meter=ProgressMeter(
                on_progress,
                work_total=source.small_bytes + sum(table.size_bytes for table in source.planned),
            ),
            cancellation=own,
        )
        log.info(
            "dumping %r of PostgreSQL %s to %s, %d of its tables in parallel",
            database.name,
            source.version,
            key,
            len(source.planned),
        )
        with (
            open_skeleton(database, source, content, own) as skeleton,
            storage.open_write(
                str(key), expected_bytes=source.size_bytes, cancellation=own
            ) as upload,
        ):
            _write_archive(work, skeleton, upload)
        if cancellation.requested:  # too late to abort
            storage.delete(str(key))
        work.meter.finish()
    log.info("dumped %r to %s", database.name, key)


def _write_archive(work: _Dump, skeleton: Skeleton, upload: Upload) -> None:
    def write_out(data: bytes) -> None:
        upload.write(data)
        work.meter.add(len(data))

    write = Gathering(write_out)
    toc = replace(
        skeleton.toc,
        compression=work.compression,
        pg_dump_version=f"{skeleton.toc.pg_dump_version} ({OUR_MARK})",
    )
    toc, planned = add_ranges(toc, work.source.planned)
    ranges = RangeReader(work.database, work.source, work.cancellation)
    checksummed = _lock_checksummed(work, toc) if work.checksums else {}
    start = write_toc(toc)
    writer = BlockWriter(write, len(start))
    with reading_ranges(
        planned,
        ranges.pieces,
        work.new_compressor,
        jobs=work.jobs,
        cancellation=work.cancellation,
    ) as queues:
        write(start)
        _copy_blocks(work, skeleton, writer)
        for planned_range, queue in zip(planned, queues, strict=True):
            writer.data(planned_range.entry.dump_id, queue.chunks(work.cancellation))
            work.meter.add(rows=writer.blocks[-1].rows, work=planned_range.size_bytes)
    _check_complete(toc, writer)
    trailer = _trailer(work, toc, start, writer)
    if work.checksums:
        trailer = _with_checksums(work, toc, trailer, checksummed)
    write(trailer_block(trailer, dump_id=toc.unused_id, offset=writer.offset))
    write.flush()
    # Before the upload is completed, so that a session which has broken fails the dump in time.
    work.source.release()


def _copy_blocks(work: _Dump, skeleton: Skeleton, writer: BlockWriter) -> None:
    """Write the blocks of pg_dump itself, compressed."""
    reader, compressor = skeleton.reader, work.new_compressor()
    share = work.source.small_bytes // max(1, sum(e.has_data for e in skeleton.toc.entries))
    with skeleton.telling_why():
        for kind, dump_id in read_blocks(reader):
            if kind == DATA:
                writer.data(dump_id, compressor.chunks(read_pieces(reader)))
                work.meter.add(rows=writer.blocks[-1].rows, work=share)
            else:
                writer.large_objects(dump_id, read_large_objects(reader), compressor)
    skeleton.pg_dump.wait_for_success()


def _check_complete(toc: Toc, writer: BlockWriter) -> None:
    """Refuse an archive that lacks a block which its table of contents announces."""
    missing = {e.dump_id for e in toc.entries if e.has_data} - {b.dump_id for b in writer.blocks}
    if missing:
        raise ArchiveError(f"the archive has no data for the entries {sorted(missing)}")


def _lock_checksummed(work: _Dump, toc: Toc) -> dict[TableName, TableName]:
    """Return the tables of which checksums are taken, locked for longer than pg_dump does."""
    for called in work.source.masks.strangers.values():
        raise UnsupportedError(
            f"no checksums can be taken: a query of a table calls the function {called}, with the "
            "rights of this dump",
            hint="Give the function to a superuser, dump as its owner, or leave checksums out.",
        )
    copied = copied_tables(toc)
    for entry in toc.entries:
        if entry.description == "TABLE DATA" and (entry.namespace, entry.tag) not in copied:
            raise InvalidInputError(
                f"no checksum can be taken of the rows of {entry.namespace}.{entry.tag}",
                hint="Leave --inserts and the like out of pg_dump_args, or checksums.",
            )
    names = comparable(work.source.connection, copied, work.source.encoding)
    lock_tables(work.source.connection, names)
    return names


def _with_checksums(
    work: _Dump, toc: Toc, trailer: Trailer, names: Mapping[TableName, TableName]
) -> Trailer:
    """Add the checksums of the tables, in the snapshot that was dumped.

    :raises ArchiveError: when a table has other rows there than were written.
    """
    source, written = work.source, trailer.rows_of_tables
    log.info("taking checksums of %d tables", len(names))
    masked = {
        (table.schema, table.name): named_rows_query(table)
        for table in source.planned
        if table.masked is not None
    }
    copied = copied_tables(toc)
    found = read_checksums(source.connection, copied, names, source.encoding, masked)
    for name, checksum in found.items():
        rows = written.get(name, 0)
        if checksum.rows != rows:
            raise ArchiveError(
                f"{rows} rows of the table {'.'.join(names[name])} were written, which has "
                f"{checksum.rows} in the snapshot"
            )
    flat = [[*name, checksum.rows, checksum.total] for name, checksum in found.items()]
    return replace(trailer, facts={**trailer.facts, "checksums": flat})


def _trailer(work: _Dump, toc: Toc, start: bytes, writer: BlockWriter) -> Trailer:
    names = {entry.dump_id: (entry.namespace, entry.tag) for entry in toc.entries}
    parts = [
        Part(block, *(names[block.dump_id] if block.kind == DATA else ("", "")))
        for block in writer.blocks
    ]
    facts = {
        "package_version": __version__,
        "created_at": datetime.now(UTC).isoformat(),
        "toc_bytes": len(start),
        "toc_sha256": sha256(start).hexdigest(),
        "has_rows": all(
            entry.copy_statement for entry in toc.entries if entry.description == "TABLE DATA"
        ),
        "archive_version": ".".join(map(str, toc.version)),
        "compression": toc.compression,
        "pg_dump_version": toc.pg_dump_version,
        "server_version": work.source.version,
        "database": work.database.name,
        "database_bytes": work.source.size_bytes,
        "encoding": work.source.encoding,
        "content": work.content.patterns(),
    }
    if work.source.masks.facts is not None:
        facts["masking"] = work.source.masks.facts
    return Trailer(tuple(parts), facts)
