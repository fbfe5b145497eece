"""How an archive is to be loaded into a server: by which client, with which owners and rights."""

import logging
from dataclasses import dataclass

import psycopg

from airflow_provider_pgclone.core.archive import Toc, TocEntry
from airflow_provider_pgclone.core.database import database_exists, fetch_row, server_major
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
    :param publications: whether publications are restored.
    :param pg_bin_dir: the folder of pg_restore, ``None`` to look for it.
    """

    jobs: int = 2
    maintenance_work_mem: str | None = None
    no_owner: bool | None = None
    no_acl: bool | None = None
    publications: bool = False
    pg_bin_dir: str | None = None


def loading_for(connection: psycopg.Connection, toc: Toc, options: LoadOptions) -> Loading:
    """Decide how to load an archive.

    :param connection: a session on the server to load.
    :raises UnsupportedError: when no pg_restore can read the archive.
    """
    major = server_major(connection)
    left_out = _left_out(
        toc, publications=options.publications, is_superuser=_is_superuser(connection)
    )
    restored = toc.without(left_out)
    no_owner, no_acl = options.no_owner, options.no_acl
    if no_owner is None:
        no_owner = not _may_act_for(connection, restored.owners)
    if no_acl is None:
        no_acl = no_owner or not _knows(connection, restored.grantees)
    log.info("restoring owners: %s, rights: %s", not no_owner, not no_acl)
    return Loading(
        tools=tools_for_restore(major, toc.first_reader, options.pg_bin_dir),
        server_major=major,
        jobs=options.jobs,
        maintenance_work_mem=options.maintenance_work_mem,
        no_owner=no_owner,
        no_acl=no_acl,
        left_out=left_out,
    )


def _left_out(toc: Toc, *, publications: bool, is_superuser: bool) -> frozenset[int]:
    """Return the entries that are not restored, with what is said of them.

    A subscription would take the slot of the original's, and a publication is for subscribers that
    the original has. The others need rights that the user has not.
    """
    kinds = ["SUBSCRIPTION"]
    if not publications:
        kinds.append("PUBLICATION")
    if not is_superuser:
        kinds.append("EVENT TRIGGER")
    left_out: dict[int, TocEntry] = {}
    for entry in toc.entries:
        about_one = entry.description in ("COMMENT", "ACL", "SECURITY LABEL")
        if (
            # With a space come the tables and schemas of a publication.
            any(f"{entry.description} ".startswith(f"{kind} ") for kind in kinds)
            or (about_one and any(entry.tag.startswith(f"{kind} ") for kind in kinds))
            # Only its owner may comment on an extension, such as one that was there before.
            or (entry.tag.startswith("EXTENSION ") and about_one and not is_superuser)
        ):
            left_out[entry.dump_id] = entry
    for kind in kinds:
        names = [repr(e.tag) for e in left_out.values() if e.description == kind]
        if names:
            log.warning("not restored: %d of kind %s, such as %s", len(names), kind, names[0])
    return frozenset(left_out)


def _is_superuser(connection: psycopg.Connection) -> bool:
    (is_superuser,) = fetch_row(
        connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", []
    )
    return bool(is_superuser)


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
