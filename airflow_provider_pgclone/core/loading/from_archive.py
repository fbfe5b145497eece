"""Loads a dump into an empty database.

An archive of this package is loaded in parallel by ranged reads; any other archive as a stream.
"""

from functools import partial

from airflow_provider_pgclone.core.archive import BlockContent, Manifest, Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.checking import check_checksums, check_encoding, check_rows
from airflow_provider_pgclone.core.executing import BlockSink, Loading, load_stream
from airflow_provider_pgclone.core.loading.fetch import BlockFetcher
from airflow_provider_pgclone.core.loading.parallel import load_parallel
from airflow_provider_pgclone.core.loading.statistics import Analysis
from airflow_provider_pgclone.core.meter import ProgressMeter
from airflow_provider_pgclone.core.postgres import Database, Session, connect
from airflow_provider_pgclone.core.repository import Archive, naming
from airflow_provider_pgclone.core.scheduling import Schedule, data_order, divide, schedule
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.core.watching import LoadWork, expect_check

log = get_log(__name__)

# For each session, one read runs while the data of another waits for its use.
READS_AHEAD_OF_SESSION = 2


def load_archive(
    archive: Archive,
    database: Database,
    loading: Loading,
    *,
    checksums: bool,
    analysis: Analysis | None = None,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    """Load an archive, and compare the rows of the database with the manifest of the archive.

    :param database: an empty database.
    :param analysis: analyzes tables meanwhile; what is left of it comes later.
    :param checksums: whether to compare the rows with the checksums in the manifest; otherwise the
        numbers of rows are compared.
    :raises InvalidInputError: when the checksums are for another encoding.
    :raises RestoreError: when an entry cannot be restored.
    :raises MismatchError: when a table does not have the same rows as in the dump.
    :raises ArchiveError: when the archive is damaged.
    """
    dump, manifest = archive.dump, archive.manifest
    if checksums and manifest is not None:
        with connect(loading.database(database), cancellation) as session:
            check_encoding(session, manifest.encoding)
    log.info("loading %s into %r", dump.key, database.name)
    if manifest is None:
        meter.bytes_total = dump.size_bytes
        meter.enter("load", "creating the schema")
        _load_chunks(archive, database, loading, meter, cancellation)
    else:
        meter.bytes_total = sum(entry.block.length for entry in manifest.entries)
        meter.rows_total = sum(manifest.rows_of_tables.values()) if manifest.has_rows else None
        meter.tables = len(manifest.rows_of_tables)
        raw_bytes = sum(entry.block.raw_bytes for entry in manifest.entries)
        expect_check(meter, raw_bytes, checksums=checksums)
        meter.enter("load", "creating the schema")
        with naming(dump):
            _load_blocks(archive, manifest, database, loading, analysis, meter, cancellation)
    if manifest is not None and manifest.has_rows:
        meter.enter("check", "comparing the rows of each table with the dump")
        with connect(loading.database(database), cancellation) as session:
            _check_loaded(session, archive.toc, manifest, meter, checksums=checksums)
    meter.complete("check")


def _load_chunks(
    archive: Archive,
    database: Database,
    loading: Loading,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    """Load an archive of another program, of which the sizes of tables are not known."""
    meter.is_planned = False
    meter.expect("load", archive.dump.size_bytes)
    load_stream(
        archive.storage.read(archive.dump.key, cancellation),
        archive.toc,
        database,
        loading,
        meter=meter,
        work=LoadWork(Schedule(loading.restored(archive.toc), {}, {}), meter),
        cancellation=cancellation,
    )


def _load_blocks(
    archive: Archive,
    manifest: Manifest,
    database: Database,
    loading: Loading,
    analysis: Analysis | None,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    entries = {entry.block.dump_id: entry for entry in manifest.entries}
    toc = loading.restored(archive.toc)
    sizes = {id_: entry.block.raw_bytes for id_, entry in entries.items()}
    plan = schedule(toc, sizes, manifest.index_bytes, sessions=loading.jobs)
    passes = divide(plan, sessions=loading.jobs, analyzes=analysis is not None)
    blocks = [entries[dump_id].block for dump_id in data_order(passes)]
    ahead = READS_AHEAD_OF_SESSION * loading.jobs
    read_range = partial(archive.storage.read_range, archive.dump.key)
    work = LoadWork(plan, meter)
    time_spent = meter.time_spent
    with BlockFetcher(read_range, blocks, ahead=ahead) as fetcher:

        def feed(dump_id: int, sink: BlockSink) -> None:
            entry = entries[dump_id]
            fetched = time_spent.each("storage", fetcher.pieces(entry.block, sink.check))
            content = BlockContent(entry, meter.counted(fetched), toc.compression)
            with time_spent.on("target"):  # what is not spent within
                if sink.holds_large_objects:
                    sink.write_large_objects(content.large_objects())
                    meter.add(work=entry.block.raw_bytes)
                else:
                    rows = time_spent.each("compression", content.rows())
                    sink.write_rows(meter.counted_work(rows))
                    meter.add(rows=entry.block.rows)

        with cancellation.own() as own:
            load_parallel(
                *(plan.toc, passes, feed, database, loading),
                work=work,
                analysis=analysis,
                cancellation=own,
            )


def _check_loaded(
    session: Session, toc: Toc, manifest: Manifest, meter: ProgressMeter, *, checksums: bool
) -> None:
    summed = (manifest.checksums or {}) if checksums else {}
    counted = {name: n for name, n in manifest.rows_of_tables.items() if name not in summed}
    check_rows(session, toc, counted, manifest.encoding)
    if summed:
        log.info("comparing the checksums of %d tables", len(summed))

        def tell(name: str) -> None:
            meter.work_on(f"comparing the checksum of {name}")

        check_checksums(session, toc, summed, manifest.encoding, tell)
