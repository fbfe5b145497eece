"""Load a dump into an empty database: ours in parallel by ranged reads, others as a stream."""

import logging
from functools import partial

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.compare import check_checksums, check_encoding, check_rows
from airflow_provider_pgclone.core.content import BlockContent
from airflow_provider_pgclone.core.database import Database, connect
from airflow_provider_pgclone.core.fetch import BlockFetcher
from airflow_provider_pgclone.core.load import DataFile, load_pipes, load_stream
from airflow_provider_pgclone.core.pg_restore import Loading
from airflow_provider_pgclone.core.progress import ProgressCallback, ProgressMeter
from airflow_provider_pgclone.core.schedule import schedule
from airflow_provider_pgclone.core.stored_archive import Archive, naming
from airflow_provider_pgclone.core.trailer import Trailer

log = logging.getLogger(__name__)

# So that a read is under way for each session while another waits for its use.
READS_AHEAD_OF_SESSION = 2


def load_dump(
    archive: Archive,
    database: Database,
    loading: Loading,
    *,
    checksums: bool,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> None:
    """Load an archive, and compare what is there then with its account.

    :param database: an empty one.
    :param checksums: whether the rows are compared with the checksums of the dump; otherwise they
        are counted.
    :raises InvalidInputError: when the checksums are of another encoding.
    :raises RestoreError: at an error of pg_restore that is not harmless, or a table that has other
        rows than the dump.
    :raises ArchiveError: when a byte is not what was written.
    """
    dump, trailer = archive.dump, archive.trailer
    if checksums and trailer is not None:
        with connect(database, cancellation) as connection:
            check_encoding(connection, str(trailer.facts["encoding"]))
    log.info("loading %s into %r by pg_restore %s", dump.key, database.name, loading.tools.major)
    if trailer is None:
        meter = ProgressMeter(on_progress, bytes_total=dump.size_bytes)
        chunks = archive.storage.read(dump.key, cancellation)
        load_stream(chunks, archive.toc, database, loading, meter=meter, cancellation=cancellation)
    else:
        meter = ProgressMeter(
            on_progress,
            bytes_total=sum(part.block.length for part in trailer.parts),
            rows_total=sum(trailer.rows_of_tables.values()) if trailer.has_rows else None,
        )
        with naming(dump):
            _load_blocks(archive, trailer, database, loading, meter, cancellation)
    meter.finish()
    if trailer is not None and trailer.has_rows:
        encoding = str(trailer.facts["encoding"])
        summed = trailer.checksums if checksums else {}
        counted = {name: n for name, n in trailer.rows_of_tables.items() if name not in summed}
        with connect(database, cancellation) as connection:
            check_rows(connection, archive.toc, counted, encoding)
            if summed:
                log.info("comparing the checksums of %d tables", len(summed))
                check_checksums(connection, archive.toc, summed, encoding)


def _load_blocks(
    archive: Archive,
    trailer: Trailer,
    database: Database,
    loading: Loading,
    meter: ProgressMeter,
    cancellation: Cancellation,
) -> None:
    parts = {part.block.dump_id: part for part in trailer.parts}
    toc = archive.toc.without(loading.left_out)
    plan = schedule(toc, {id_: part.block.raw_bytes for id_, part in parts.items()})
    order = [plan.old_ids[new_id] for new_id in plan.start_order(loading.sessions)]
    blocks = [parts[dump_id].block for dump_id in order]
    ahead = READS_AHEAD_OF_SESSION * loading.sessions
    read_range = partial(archive.storage.read_range, archive.dump.key)
    with BlockFetcher(read_range, blocks, ahead=ahead) as fetcher:

        def feed(dump_id: int, file: DataFile) -> None:
            part = parts[dump_id]
            pieces = meter.counted(fetcher.pieces(part.block, file.check))
            content = BlockContent(part, pieces, toc.compression)
            if file.holds_large_objects:
                file.write_large_objects(content.large_objects())
            else:
                file.write_rows(content.rows())
                meter.add(rows=part.block.rows)

        load_pipes(plan, feed, database, loading, cancellation=cancellation)
