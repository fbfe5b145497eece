"""Dump a database into one archive, which is written in parallel and listed once it is whole."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, islice
from typing import Any

from airflow_provider_pgclone import __version__
from airflow_provider_pgclone.core.archive import (
    DATA,
    BlockWriter,
    BufferedWriter,
    Compressor,
    Manifest,
    ManifestEntry,
    RowCount,
    Toc,
    check_signing_key,
    complete_dependencies,
    compressor_of,
    manifest_block,
    read_blocks,
    read_large_objects,
    read_pieces,
    signature,
    write_toc,
)
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.errors import ArchiveError
from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.meter import READERS, REPORT_SECONDS, ProgressMeter
from airflow_provider_pgclone.core.postgres import Database, check_pg_dump_arguments
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.reading import (
    RangeEntry,
    Skeleton,
    Snapshot,
    add_ranges,
    index_sizes,
    lock_checksummed,
    open_range_reader,
    open_skeleton,
    open_snapshot,
    reading_ranges,
    take_checksums,
)
from airflow_provider_pgclone.core.repository import OUR_MARK, DumpKey
from airflow_provider_pgclone.core.storage import Storage, Upload
from airflow_provider_pgclone.core.time_spent import limit_of, spread
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# The work of a checksum relative to that of reading the rows and compressing them.
SUMMING_WORK = 0.4


@dataclass(frozen=True)
class DumpOptions:
    """How to dump.

    :param selection: the part of the database to dump.
    :param masking: the masks of columns and the conditions on rows.
    :param jobs: the number of sessions that read tables beside pg_dump, which reads small ones.
    :param compression_level: the level of zstd; gzip always uses 1.
    :param checksums: whether to store a checksum of each table, for which its rows are read again.
    :param signing_key: the secret that signs the archive; ``None`` leaves it unsigned.
    :param pg_bin_dir: the folder of pg_dump; ``None`` searches for it.
    :param made_by: who makes the dump, for its manifest.
    """

    selection: Selection = field(default_factory=Selection)
    masking: Masking = field(default_factory=Masking)
    jobs: int = 2
    compression_level: int = 1
    checksums: bool = False
    signing_key: str | None = field(default=None, repr=False)
    pg_bin_dir: str | None = None
    made_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Dump:
    """What the steps of one dump share.

    :param snapshot: its cancellation belongs to this dump alone; a reader that fails sets it.
    :param started: when the dump started, by the monotonic clock.
    """

    snapshot: Snapshot
    key: DumpKey
    options: DumpOptions
    meter: ProgressMeter
    started: float

    @property
    def compression(self) -> str:
        return "zstd" if self.snapshot.tools.dumps_zstd else "gzip"

    def limit(self) -> str | None:
        """Return what most of the time went to: ``source``, ``compression`` or ``storage``.

        One thread writes all, so its time counts. While it waits for those who read ranges, theirs
        does.
        """
        seconds = self.meter.time_spent.seconds()
        waited = seconds.pop(READERS, 0.0)
        phases = self.meter.seconds()
        of_source = sum(phases.get(name, 0.0) for name in ("snapshot", "checksums"))
        of_others = {"source": of_source, "storage": phases.get("finish", 0.0)}
        for parts in (of_others, spread(waited, self.meter.readers_time.seconds())):
            for name, value in parts.items():
                seconds[name] = seconds.get(name, 0.0) + value
        return limit_of(seconds)

    def sign(self, values: Mapping[str, Any]) -> str:
        """Return the signature of a manifest."""
        return signature(values, str(self.key), self.options.signing_key or "")

    def new_compressor(self) -> Compressor:
        return compressor_of(self.compression, self.options.compression_level)


def dump(
    database: Database,
    storage: Storage,
    key: DumpKey,
    options: DumpOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
    report_seconds: float = REPORT_SECONDS,
) -> None:
    """Dump a database into storage, without a file on this machine.

    :param key: the place of the dump in storage.
    :param report_seconds: the time between two reports of the progress.
    :raises InvalidInputError: when a pattern matches nothing, or an argument is not allowed.
    :raises UnsupportedError: when every installed pg_dump is older than the server.
    :raises ToolError: when pg_dump or psql failed; nothing is listed then.
    """
    started = time.monotonic()
    check_pg_dump_arguments(options.selection.pg_dump_args)
    options.masking.check_key()
    if options.signing_key is not None:
        check_signing_key(options.signing_key)
    storage.check_writable()
    meter = ProgressMeter(on_progress, interval_seconds=report_seconds, first_phase="snapshot")
    meter.enter("snapshot", f"planning the dump of {database.name!r}")
    with (
        cancellation.own() as own,
        meter.reporting(own),
        open_snapshot(
            database,
            options.selection,
            options.masking,
            pg_bin_dir=options.pg_bin_dir,
            cancellation=own,
            checksums=options.checksums,
        ) as snapshot,
    ):
        tables_bytes = snapshot.small_bytes + snapshot.ranged_bytes
        meter.expect("data", tables_bytes)
        if options.checksums:
            meter.expect("checksums", SUMMING_WORK * tables_bytes)
        work = _Dump(snapshot, key, options, meter, started)
        log.info(
            "dumping %r of PostgreSQL %s to %s; large or masked tables, read in parallel: %d",
            database.name,
            snapshot.version,
            key,
            len(snapshot.ranged),
        )
        with (
            open_skeleton(snapshot) as skeleton,
            storage.open_write(
                str(key), expected_bytes=snapshot.size_bytes, cancellation=own
            ) as upload,
        ):
            _write_archive(work, skeleton, upload)
            meter.enter("finish", "completing the upload")
        if cancellation.requested:  # too late to abort the upload
            storage.delete(str(key))
    log.info("dumped %r to %s", database.name, key)
    log.info("%s", meter.summary(f"dumped {key}", limit=work.limit()))


def _write_archive(work: _Dump, skeleton: Skeleton, upload: Upload) -> None:
    snapshot, options, meter = work.snapshot, work.options, work.meter

    def write_out(data: bytes) -> None:
        with meter.time_spent.on("storage"):
            upload.write(data)
        meter.add(len(data))

    write = BufferedWriter(write_out)
    toc = replace(
        skeleton.toc,
        compression=work.compression,
        pg_dump_version=f"{skeleton.toc.pg_dump_version} ({OUR_MARK})",
    )
    toc, ranges = add_ranges(toc, snapshot.ranged, workers=options.jobs)
    toc = complete_dependencies(toc)
    checksummed = lock_checksummed(snapshot, toc) if options.checksums else {}
    start = write_toc(toc)
    meter.enter("data", "writing the schema")
    writer = BlockWriter(write, len(start))
    with (
        open_range_reader(
            snapshot, snapshot.cancellation, sessions=_at_once(ranges, options.jobs)
        ) as reader,
        reading_ranges(
            ranges,
            reader.pieces,
            work.new_compressor,
            jobs=options.jobs,
            cancellation=snapshot.cancellation,
            time_spent=meter.readers_time,
        ) as blocks,
    ):
        write(start)
        _copy_blocks(work, skeleton, writer)
        for range_entry, (chunks, count) in zip(ranges, blocks, strict=True):
            meter.work_on(f"writing {range_entry.entry.display_name}")
            writer.data(range_entry.entry.dump_id, meter.time_spent.each(READERS, chunks), count)
            meter.add(rows=count.rows, work=range_entry.size_bytes, phase="data")
        reader.finish()
    _check_complete(toc, writer)
    manifest = _manifest(work, toc, start, writer)
    meter.tables = len(manifest.rows_of_tables)
    meter.complete("data")
    if options.checksums:
        meter.enter("checksums")

        def tell(name: str) -> None:
            meter.work_on(f"taking the checksum of {name}")

        snapshot.check_same_names()
        written = manifest.rows_of_tables
        checksums = take_checksums(snapshot, toc, checksummed, written, tell)
        meter.complete("checksums")
        manifest = replace(manifest, checksums=checksums)
    sign = work.sign if options.signing_key is not None else None
    write(manifest_block(manifest, dump_id=toc.unused_id, offset=writer.offset, sign=sign))
    write.flush()
    # Before the upload is completed: if a session broke, the dump fails here and is not listed.
    snapshot.release()


def _at_once(ranges: Sequence[RangeEntry], jobs: int) -> int:
    """Return how many parts of ranges are read at the same time."""
    return len(list(islice(chain.from_iterable(one.parts() for one in ranges), jobs)))


def _copy_blocks(work: _Dump, skeleton: Skeleton, writer: BlockWriter) -> None:
    """Compress and write the blocks that pg_dump itself produces."""
    reader, compressor, meter = skeleton.reader, work.new_compressor(), work.meter
    names = {entry.dump_id: entry.display_name for entry in skeleton.toc.entries}
    sizes = work.snapshot.small_sizes(skeleton.toc)
    with skeleton.explaining_failure():
        for kind, dump_id in meter.time_spent.each("source", read_blocks(reader)):
            if kind == DATA:
                meter.work_on(f"writing {names.get(dump_id, 'a table')}")
                count = RowCount()
                pieces = meter.time_spent.each("source", read_pieces(reader))
                chunks = compressor.chunks(count.counted(pieces))
                writer.data(dump_id, meter.time_spent.each("compression", chunks), count)
                meter.add(rows=count.rows, work=sizes.get(dump_id, 0), phase="data")
            else:
                meter.work_on("writing large objects")
                objects = (
                    (oid, meter.time_spent.each("source", pieces))
                    for oid, pieces in read_large_objects(reader)
                )
                with meter.time_spent.on("compression"):  # what is not spent within
                    writer.large_objects(dump_id, objects, compressor)
    skeleton.pg_dump.wait_for_success()


def _check_complete(toc: Toc, writer: BlockWriter) -> None:
    """Refuse an archive that lacks the data of an entry in its table of contents."""
    missing = {e.dump_id for e in toc.entries if e.has_data} - {b.dump_id for b in writer.blocks}
    if missing:
        raise ArchiveError(f"the archive has no data for the entries {sorted(missing)}")


def _manifest(work: _Dump, toc: Toc, start: bytes, writer: BlockWriter) -> Manifest:
    """Return the manifest of the blocks that were written.

    :param start: the bytes of the table of contents.
    """
    snapshot = work.snapshot
    names = {entry.dump_id: entry.table for entry in toc.entries}
    return Manifest(
        entries=tuple(
            ManifestEntry(block, *(names[block.dump_id] if block.kind == DATA else ("", "")))
            for block in writer.blocks
        ),
        package_version=__version__,
        created_at=datetime.now(UTC).isoformat(),
        toc_bytes=len(start),
        toc_sha256=sha256(start).hexdigest(),
        has_rows=all(
            entry.copy_statement for entry in toc.entries if entry.description == "TABLE DATA"
        ),
        archive_version=".".join(map(str, toc.version)),
        compression=toc.compression,
        pg_dump_version=toc.pg_dump_version,
        server_version=snapshot.version,
        database=snapshot.database.name,
        database_bytes=snapshot.size_bytes,
        encoding=snapshot.encoding,
        content=snapshot.selection.as_dict(),
        masking=snapshot.masks.facts,
        made_by=work.options.made_by,
        seconds=round(time.monotonic() - work.started, 3),
        instance=work.key.instance,
        index_bytes=index_sizes(snapshot, toc),
    )
