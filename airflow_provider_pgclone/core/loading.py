"""How an archive is to be loaded into a server: by which client, with which owners and rights."""

import logging
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.database import database_exists, server_major
from airflow_provider_pgclone.core.pg_restore import Loading
from airflow_provider_pgclone.core.pg_tools import tools_for_restore
from airflow_provider_pgclone.core.target import creation_options

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadOptions:
    """What the user wants of a load.

    :param jobs: how many sessions load at once.
    :param maintenance_work_mem: of these sessions; ``None`` is the server's.
    :param no_owner: ``None`` keeps the owners where the server has them and the user may act for
        them.
    :param no_acl: ``None`` does as ``no_owner``.
    :param pg_bin_dir: the folder of pg_restore, ``None`` to look for it.
    """

    jobs: int = 2
    maintenance_work_mem: str | None = None
    no_owner: bool | None = None
    no_acl: bool | None = None
    pg_bin_dir: str | None = None


def loading_for(connection: psycopg.Connection, toc: Toc, options: LoadOptions) -> Loading:
    """Decide how to load an archive.

    :param connection: a session on the server to load.
    :raises UnsupportedError: when no pg_restore can read the archive.
    """
    major = server_major(connection)
    no_owner, no_acl = options.no_owner, options.no_acl
    if no_owner is None:
        no_owner = not _may_act_for(connection, toc.owners)
    if no_acl is None:
        no_acl = no_owner or not _knows(connection, toc.grantees)
    log.info("restoring owners: %s, rights: %s", not no_owner, not no_acl)
    return Loading(
        tools=tools_for_restore(major, toc.first_reader, options.pg_bin_dir),
        server_major=major,
        jobs=options.jobs,
        maintenance_work_mem=options.maintenance_work_mem,
        no_owner=no_owner,
        no_acl=no_acl,
    )


def creation_for(connection: psycopg.Connection, target: str, toc: Toc) -> dict[str, str]:
    """Return the encoding and locale of the temporary database: the target's, else the dump's."""
    of_dump = toc.database_options
    if not database_exists(connection, target):
        return of_dump
    of_target = creation_options(connection, target)
    for option in ("ENCODING", "LOCALE_PROVIDER"):
        if option in of_dump and option in of_target and of_dump[option] != of_target[option]:
            log.warning(
                "%s of the dump is %s and that of %r is %s, which stays",
                option,
                of_dump[option],
                target,
                of_target[option],
            )
    return of_target


def _may_act_for(connection: psycopg.Connection, owners: frozenset[str]) -> bool:
    """Whether all owners are roles of this server that the user may give objects to."""
    row = connection.execute(
        "SELECT bool_and(rolname IS NOT NULL AND pg_has_role(current_user, rolname, 'MEMBER')) "
        "FROM unnest(%s::text[]) AS owner LEFT JOIN pg_roles ON rolname = owner",
        [sorted(owners)],
    ).fetchone()
    return row is not None and row[0] is not False


def _knows(connection: psycopg.Connection, roles: frozenset[str]) -> bool:
    """Whether all of these are roles of this server."""
    rows = connection.execute("SELECT rolname FROM pg_roles").fetchall()
    return roles <= {name for (name,) in rows}
