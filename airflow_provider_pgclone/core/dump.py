"""Dump a database: one archive, written in parallel, in storage only when it is whole."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from airflow_provider_pgclone import __version__
from airflow_provider_pgclone.core.archive import ArchiveReader, Toc, read_start, write_toc
from airflow_provider_pgclone.core.blocks import (
    DATA,
    BlockWriter,
    read_blocks,
    read_large_objects,
    read_pieces,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.compression import Compressor, compressor_of
from airflow_provider_pgclone.core.database import Database
from airflow_provider_pgclone.core.dump_key import DumpKey
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.pg_tools import (
    ClientTools,
    check_extra_arguments,
    connection_arguments,
    tool_environment,
    tools_for_dump,
)
from airflow_provider_pgclone.core.plan import add_ranges, quote
from airflow_provider_pgclone.core.process import Child, run_child
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.ranges import RangeReader, reading_ranges
from airflow_provider_pgclone.core.source import DumpContent, Source, open_source
from airflow_provider_pgclone.core.storage import Storage, Upload
from airflow_provider_pgclone.core.trailer import Part, Trailer, trailer_block
from airflow_provider_pgclone.core.verify import OUR_MARK

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Dump:
    """What the steps of one dump share.

    :param cancellation: of this dump alone; a failure of one of its readers sets it.
    """

    database: Database
    content: DumpContent
    source: Source
    tools: ClientTools
    jobs: int
    compression_level: int
    meter: ProgressMeter
    cancellation: Cancellation

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
    pg_bin_dir: str | None,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Stream an archive of a database to its key.

    :param jobs: how many sessions read large tables at once, beside pg_dump's own.
    :param compression_level: of zstd.
    :param pg_bin_dir: the folder of pg_dump, ``None`` to look for it.
    :raises InvalidInputError: when a pattern matches nothing, or an argument is not allowed.
    :raises UnsupportedError: when no pg_dump is as new as the server.
    :raises ToolError: when pg_dump or psql failed; then nothing is listed.
    """
    check_extra_arguments("pg_dump", content.pg_dump_args)
    storage.check_writable()
    with open_source(database, content, cancellation) as source, _own(cancellation) as own:
        work = _Dump(
            database=database,
            content=content,
            source=source,
            tools=tools_for_dump(source.major, pg_bin_dir),
            jobs=jobs,
            compression_level=compression_level,
            meter=ProgressMeter(on_progress),
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
            run_child(
                _pg_dump_argv(work),
                environment=tool_environment(database),
                cancellation=own,
                stdout=True,
            ) as pg_dump,
            storage.open_write(
                str(key), expected_bytes=source.size_bytes, cancellation=own
            ) as upload,
        ):
            _write_archive(work, pg_dump, upload)
        if cancellation.requested:  # too late to abort
            storage.delete(str(key))
    log.info("dumped %r to %s: %s", database.name, key, work.meter.finish())


@contextmanager
def _own(cancellation: Cancellation) -> Iterator[Cancellation]:
    """Yield a cancellation that the caller's sets, but which does not set the caller's."""
    own = Cancellation()
    with cancellation.ending(own.cancel):
        try:
            yield own
        finally:
            cancellation.check()


def _pg_dump_argv(work: _Dump) -> list[str]:
    """Return the command line of pg_dump; it holds nothing secret.

    It writes its blocks uncompressed: we count their rows, and compress them with a checksum.
    """
    content, source = work.content, work.source
    planned = [f"{quote(table.schema)}.{quote(table.name)}" for table in source.planned]
    left_out = (*content.exclude, *source.excluded_partitions, *planned)
    return [
        *(work.tools.path("pg_dump"), "--format=custom", "--compress=0"),
        *(f"--snapshot={source.snapshot}", *connection_arguments(work.database)),
        *(f"--exclude-table-data={pattern}" for pattern in left_out),
        *(f"--schema={pattern}" for pattern in content.schemas),
        *(f"--exclude-schema={pattern}" for pattern in content.exclude_schemas),
        *content.pg_dump_args,
    ]


def _write_archive(work: _Dump, pg_dump: Child, upload: Upload) -> None:
    def write(data: bytes) -> None:
        upload.write(data)
        work.meter.add(len(data))

    reader = ArchiveReader(pg_dump.output())
    toc = _read_toc(reader, pg_dump)
    _check_left_out(toc, work.source)
    toc = replace(
        toc,
        compression=work.compression,
        pg_dump_version=f"{toc.pg_dump_version} ({OUR_MARK})",
    )
    toc, planned = add_ranges(toc, work.source.planned)
    ranges = RangeReader(work.database, work.tools, work.source.snapshot, work.cancellation)
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
        _copy_blocks(work, reader, writer)
        pg_dump.wait_for_success()
        for planned_range, queue in zip(planned, queues, strict=True):
            writer.data(planned_range.entry.dump_id, queue.chunks(work.cancellation))
    _check_complete(toc, writer)
    write(_trailer(work, toc, start, writer))


def _read_toc(reader: ArchiveReader, pg_dump: Child) -> Toc:
    try:
        return read_start(reader)
    except ArchiveError:
        pg_dump.wait_for_success()  # it failed, and says why
        raise


def _check_left_out(toc: Toc, source: Source) -> None:
    """Make sure that pg_dump has understood what stays out as we have.

    :raises ArchiveError: naming a table whose data it would dump all the same.
    """
    for entry in toc.entries:
        if entry.has_data and (entry.namespace, entry.tag) in source.excluded_names:
            raise ArchiveError(
                f"pg_dump would dump the data of {entry.namespace}.{entry.tag}, which is excluded"
            )


def _copy_blocks(work: _Dump, reader: ArchiveReader, writer: BlockWriter) -> None:
    """Write the blocks of pg_dump itself, compressed."""
    try:
        for kind, dump_id in read_blocks(reader):
            if kind == DATA:
                writer.data(dump_id, work.new_compressor().chunks(read_pieces(reader)))
            else:
                writer.large_objects(dump_id, read_large_objects(reader), work.new_compressor)
    except ArchiveError:
        work.cancellation.check()
        raise


def _check_complete(toc: Toc, writer: BlockWriter) -> None:
    """Refuse an archive that lacks a block which its table of contents announces."""
    missing = {e.dump_id for e in toc.entries if e.has_data} - {b.dump_id for b in writer.blocks}
    if missing:
        raise ArchiveError(f"the archive has no data for the entries {sorted(missing)}")


def _trailer(work: _Dump, toc: Toc, start: bytes, writer: BlockWriter) -> bytes:
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
        "content": {name: list(value) for name, value in asdict(work.content).items()},
    }
    unused = max((entry.dump_id for entry in toc.entries), default=0) + 1
    trailer = Trailer(tuple(parts), facts)
    return trailer_block(trailer, dump_id=unused, offset=writer.offset)
