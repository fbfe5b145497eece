"""How an archive is loaded: by which client, with which owners, rights and entries."""

import logging
from dataclasses import dataclass

from airflow_provider_pgclone.core.archive import Toc, TocEntry
from airflow_provider_pgclone.core.postgres import (
    ClientTools,
    Database,
    Session,
    connection_arguments,
    loading_environment,
    tools_for_restore,
)

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


@dataclass(frozen=True)
class Loading:
    """How an archive is loaded.

    :param server_major: of the server that is loaded.
    :param jobs: how many sessions load at once.
    :param maintenance_work_mem: of these sessions, for index builds; ``None`` is the server's.
    :param no_owner: whether everything belongs to the user of the connection.
    :param no_acl: whether rights are left out.
    :param left_out: the ids of the entries that are not restored.
    """

    tools: ClientTools
    server_major: int
    jobs: int
    maintenance_work_mem: str | None
    no_owner: bool
    no_acl: bool
    left_out: frozenset[int] = frozenset()

    @property
    def sessions(self) -> int:
        """How many sessions pg_restore may open.

        A newer one sets ``transaction_timeout`` in each, which an older server does not know. That
        is harmless, but whether it was all can only be told of one session: pg_restore does not
        count the errors at the start of the others.
        """
        is_older = self.server_major < 17 <= self.tools.major
        return 1 if is_older else self.jobs

    def environment(self, database: Database) -> dict[str, str]:
        memory = self.maintenance_work_mem
        return loading_environment(
            database, [f"maintenance_work_mem={memory}"] if memory is not None else []
        )

    def argv(self, database: Database, *more: str) -> list[str]:
        """Return a command line.

        :param more: the format, and the archive unless it comes on stdin.
        """
        return [
            self.tools.path("pg_restore"),
            "--verbose",  # without it the errors do not name their entry
            *connection_arguments(database),
            *(["--no-owner"] if self.no_owner else []),
            *(["--no-acl"] if self.no_acl else []),
            *more,
        ]


def loading_for(session: Session, toc: Toc, options: LoadOptions) -> Loading:
    """Decide how to load an archive.

    :param session: a session on the server to load.
    :raises UnsupportedError: when no pg_restore can read the archive.
    """
    major = session.major
    left_out = _left_out(
        toc, publications=options.publications, is_superuser=_is_superuser(session)
    )
    restored = toc.without(left_out)
    no_owner, no_acl = options.no_owner, options.no_acl
    if no_owner is None:
        no_owner = not _may_act_for(session, restored.owners)
    if no_acl is None:
        no_acl = no_owner or not _knows(session, restored.grantees)
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


def _is_superuser(session: Session) -> bool:
    (is_superuser,) = session.fetch_row(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    return bool(is_superuser)


def _may_act_for(session: Session, owners: frozenset[str]) -> bool:
    """Whether all owners are roles of this server that the user may give objects to."""
    row = session.execute(
        "SELECT bool_and(rolname IS NOT NULL AND pg_has_role(current_user, rolname, 'MEMBER')) "
        "FROM unnest(%s::text[]) AS owner LEFT JOIN pg_roles ON rolname = owner",
        [sorted(owners)],
    ).fetchone()
    return row is not None and row[0] is not False


def _knows(session: Session, roles: frozenset[str]) -> bool:
    """Whether all of these are roles of this server."""
    rows = session.execute("SELECT rolname FROM pg_roles").fetchall()
    return roles <= {name for (name,) in rows}
