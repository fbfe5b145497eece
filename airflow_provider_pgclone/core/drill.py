"""A drill: a dump is restored into a database of its own, compared, and dropped again."""

import secrets

from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import Database, connect, drop_database
from airflow_provider_pgclone.core.dump_key import DumpKey, attempt_database_name
from airflow_provider_pgclone.core.leftovers import dropped_on_error, remove_dead_drills
from airflow_provider_pgclone.core.load_dump import load_dump
from airflow_provider_pgclone.core.loading import LoadOptions, creation_for, loading_for
from airflow_provider_pgclone.core.marker import Marker, mark_newborn
from airflow_provider_pgclone.core.progress import ProgressCallback
from airflow_provider_pgclone.core.sessions import target_lock
from airflow_provider_pgclone.core.stored_archive import Archive
from airflow_provider_pgclone.core.target import (
    check_may_create,
    check_primary,
    create_database,
    open_database,
)


def drill(
    archive: Archive,
    maintenance: Database,
    load: LoadOptions,
    *,
    on_progress: ProgressCallback,
    cancellation: Cancellation,
) -> dict[str, str]:
    """Restore a dump, compare the result with its account, and drop it.

    :param maintenance: a database of the server to restore on.
    :return: what was compared and where.
    :raises RestoreError: when it cannot be restored, or a table has other rows then.
    :raises ArchiveError: when a byte is not what was written.
    """
    token = secrets.token_hex(4)
    name = attempt_database_name(DumpKey.parse(archive.dump.key).database, "drill", token)
    has_checksums = archive.trailer is not None and bool(archive.trailer.checksums)
    with connect(maintenance, cancellation) as connection:
        check_primary(connection)
        check_may_create(connection)
        loading = loading_for(connection, archive.toc, load)
        creation = creation_for(connection, name, archive.toc)
        remove_dead_drills(connection, cancellation)
        with (
            target_lock(connection, name, wait_seconds=0, cancellation=cancellation),
            dropped_on_error(connection, maintenance, [name]),
        ):
            create_database(connection, name, creation)
            # It has the rows of a production database, and nobody's rights.
            connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )
            marker = Marker("drill", target=name, attempt=token, key=archive.dump.key)
            mark_newborn(connection, name, marker)
            open_database(connection, name)
            load_dump(
                archive,
                maintenance.named(name),
                loading,
                checksums=has_checksums,
                on_progress=on_progress,
                cancellation=cancellation,
            )
            drop_database(connection, name)
        version = connection.info.parameter_status("server_version") or "?"
    return {"server_version": version, "checksums": "compared" if has_checksums else "none"}
