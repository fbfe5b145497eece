"""Decides how an archive is loaded: the client, and the owners, rights and entries to restore."""

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
    """The user's options for loading.

    :param jobs: the number of sessions that load at the same time, 2 by default.
    :param maintenance_work_mem: memory that each session may use to build an index, such as
        ``512MB``; ``None`` uses the server's setting.
    :param no_owner: whether to leave out owners; ``None`` restores them if all of them are roles of
        the server that the user is a member of.
    :param no_acl: whether to leave out rights; ``None`` restores them if owners are restored and
        all grantees are roles of the server.
    :param publications: whether to restore publications; by default they are left out.
    :param pg_bin_dir: the folder of pg_restore; ``None`` searches for it.
    """

    jobs: int = 2
    maintenance_work_mem: str | None = None
    no_owner: bool | None = None
    no_acl: bool | None = None
    publications: bool = False
    pg_bin_dir: str | None = None


@dataclass(frozen=True)
class Loading:
    """The settings for loading an archive.

    :param tools: the client programs.
    :param server_major: the major version of the server.
    :param jobs: the number of sessions that load at the same time.
    :param maintenance_work_mem: memory that each session may use to build an index; ``None`` uses
        the server's setting.
    :param no_owner: whether to leave out owners, so that the user owns everything.
    :param no_acl: whether to leave out rights.
    :param left_out: the ids of the entries to leave out.
    :param trusts_lines: whether each line of pg_restore's messages is its own. It is not where a
        name has a line break, which pg_restore writes as it is.
    """

    tools: ClientTools
    server_major: int
    jobs: int
    maintenance_work_mem: str | None
    no_owner: bool
    no_acl: bool
    left_out: frozenset[int] = frozenset()
    trusts_lines: bool = True

    @property
    def sessions(self) -> int:
        """The number of sessions that pg_restore may open.

        Since version 17 pg_restore sets ``transaction_timeout`` in each session, and an older
        server rejects it. This is harmless. But pg_restore does not count the errors at the start
        of additional sessions, so with more than one we cannot tell whether there were others.

        Which entries a parallel pg_restore starts, only its lines tell.
        """
        is_older = self.server_major < 17 <= self.tools.major
        return 1 if is_older or not self.trusts_lines else self.jobs

    def environment(self, database: Database) -> dict[str, str]:
        """Return the environment variables of the programs that load a database."""
        memory = self.maintenance_work_mem
        return loading_environment(
            database, [f"maintenance_work_mem={memory}"] if memory is not None else []
        )

    def argv(self, database: Database, *more: str) -> list[str]:
        """Return the command line of pg_restore.

        :param more: further arguments: the format, and the archive unless it is read from stdin.
        """
        return [
            self.tools.path("pg_restore"),
            "--verbose",  # otherwise errors do not name their entry
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
        no_owner = not _is_member_of(session, restored.owners)
    if no_acl is None:
        no_acl = no_owner or not _has_roles(session, restored.grantees)
    log.info(
        "restoring %s owners and %s rights of the dump",
        "no" if no_owner else "the",
        "no" if no_acl else "the",
    )
    trusts_lines = not restored.has_line_breaks
    if not trusts_lines and options.jobs > 1:
        log.warning("names in the dump have line breaks, so a single session loads it")
    return Loading(
        tools=tools_for_restore(major, toc.first_reader, options.pg_bin_dir),
        server_major=major,
        jobs=options.jobs,
        maintenance_work_mem=options.maintenance_work_mem,
        no_owner=no_owner,
        no_acl=no_acl,
        left_out=left_out,
        trusts_lines=trusts_lines,
    )


def _left_out(toc: Toc, *, publications: bool, is_superuser: bool) -> frozenset[int]:
    """Return the ids of the entries to leave out, including their comments and rights.

    A restored subscription would use the slot of the original one. A publication is for subscribers
    of the original database. The other entries require a superuser.
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
            # This includes kinds such as PUBLICATION TABLE.
            any(f"{entry.description} ".startswith(f"{kind} ") for kind in kinds)
            or (about_one and any(entry.tag.startswith(f"{kind} ") for kind in kinds))
            # Only the owner may comment on an extension, and it may have existed before.
            or (entry.tag.startswith("EXTENSION ") and about_one and not is_superuser)
        ):
            left_out[entry.dump_id] = entry
    for kind in kinds:
        names = [repr(e.tag) for e in left_out.values() if e.description == kind]
        if names:
            log.warning(
                "not restoring %d entries of type %s, such as %s", len(names), kind, names[0]
            )
    return frozenset(left_out)


def _is_superuser(session: Session) -> bool:
    (is_superuser,) = session.fetch_row(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    return bool(is_superuser)


def _is_member_of(session: Session, owners: frozenset[str]) -> bool:
    """Tell whether all owners are roles of the server, and the user is a member of each."""
    row = session.execute(
        "SELECT bool_and(rolname IS NOT NULL AND pg_has_role(current_user, rolname, 'MEMBER')) "
        "FROM unnest(%s::text[]) AS owner LEFT JOIN pg_roles ON rolname = owner",
        [sorted(owners)],
    ).fetchone()
    return row is not None and row[0] is not False


def _has_roles(session: Session, roles: frozenset[str]) -> bool:
    """Tell whether all roles exist on the server."""
    rows = session.execute("SELECT rolname FROM pg_roles").fetchall()
    return roles <= {name for (name,) in rows}
