"""Decides how an archive is loaded: the client, and the owners, rights and entries to restore."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_pgclone.core.archive import Toc, TocEntry, with_rights_of_each_large_object
from airflow_provider_pgclone.core.executing.ownership import (
    PUBLIC,
    Creators,
    creators_of,
    with_creators,
)
from airflow_provider_pgclone.core.executing.rights import (
    SCHEMA_PUBLIC,
    Rights,
    Roles,
    is_of_rights,
    owns_schema_public,
    read_roles,
    rights_to_restore,
)
from airflow_provider_pgclone.core.postgres import (
    LOADING,
    ClientTools,
    Database,
    Session,
    connection_arguments,
    tool_environment,
    tools_for_restore,
)
from airflow_provider_pgclone.core.scheduling import is_of_event_trigger
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# More speeds up no build that was measured.
MOST_BUILD_KIB = 1024 * 1024


@dataclass(frozen=True)
class LoadOptions:
    """The user's options for loading.

    :param jobs: the number of sessions that load at the same time, 2 by default.
    :param maintenance_work_mem: memory that each session may use to build an index, such as
        ``512MB``; ``None`` uses a share of the server's cache, or its setting if that is more.
    :param no_owner: whether to leave out owners; ``None`` restores them if all of them are roles of
        the server that the user is a member of.
    :param no_acl: whether to leave out rights; ``None`` leaves out those of roles that the server
        does not have, and those that the user may not restore.
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
    :param settings: the settings of the sessions that load the database or check it.
    :param no_owner: whether to leave out owners, so that the user owns everything.
    :param left_out: the ids of the entries to leave out.
    :param rights: the statements of the entries of rights that are changed, by id.
    :param guarded: the objects on which rights are restored only if the user owns them, by id.
    :param creators: the owners who may create objects in a schema while it is loaded.
    """

    tools: ClientTools
    server_major: int
    jobs: int
    settings: Mapping[str, str]
    no_owner: bool
    left_out: frozenset[int] = frozenset()
    rights: Mapping[int, str] = field(default_factory=dict)
    guarded: Mapping[int, str] = field(default_factory=dict)
    creators: Creators = field(default_factory=dict)

    def restored(self, toc: Toc) -> Toc:
        """Return the table of contents with what is to be restored, in the order to restore it."""
        entries = (
            replace(entry, definition=self.rights[entry.dump_id])
            if entry.dump_id in self.rights
            else entry
            for entry in toc.without(self.left_out).entries
        )
        restored = replace(toc, entries=tuple(sorted(entries, key=is_of_event_trigger)))
        return with_creators(with_rights_of_each_large_object(restored), self.creators)

    def database(self, database: Database) -> Database:
        """Return the database with the settings of sessions that load it or check it."""
        return database.with_settings(self.settings)

    def environment(self, database: Database) -> dict[str, str]:
        """Return the environment variables of the programs that load a database."""
        return tool_environment(self.database(database))

    def argv(self, database: Database) -> list[str]:
        """Return the command line of a pg_restore that reads an archive from its input."""
        return [
            self.tools.path("pg_restore"),
            "--verbose",  # otherwise errors do not name their entry
            *connection_arguments(database),
            *(["--no-owner"] if self.no_owner else []),
            "--format=custom",
        ]


def loading_for(session: Session, toc: Toc, options: LoadOptions) -> Loading:
    """Decide how to load an archive.

    :param session: a session on the server to load.
    :raises UnsupportedError: when no pg_restore can read the archive.
    """
    major, roles = session.major, read_roles(session)
    left_out = _left_out(toc, options, roles, major)
    no_owner = options.no_owner
    if no_owner is None:
        no_owner = not toc.without(left_out).owners <= roles.may_own
    rights = Rights()
    if options.no_acl is None:
        rights = rights_to_restore(toc.without(left_out), roles, major)
        left_out |= {id_ for id_, statements in rights.changed.items() if not statements}
    elif options.no_acl:
        left_out |= {entry.dump_id for entry in toc.entries if is_of_rights(entry)}
    creators: Creators = {}
    if not no_owner and not roles.is_superuser:
        creators = creators_of(
            toc.without(left_out), roles.user, with_public=owns_schema_public(roles, major)
        )
    log.info(
        "restoring %s owners and %s rights of the dump",
        "no" if no_owner else "the",
        "no" if options.no_acl else "the",
    )
    return Loading(
        tools=tools_for_restore(major, toc.first_reader, options.pg_bin_dir),
        server_major=major,
        jobs=options.jobs,
        settings=_session_settings(session, options),
        no_owner=no_owner,
        left_out=left_out,
        rights=rights.changed,
        guarded=rights.guarded,
        creators=creators,
    )


def _session_settings(session: Session, options: LoadOptions) -> Mapping[str, str]:
    """Return those settings for loading that the server has and the user may set.

    Objects are created by the role that creates the database, whatever role the target's sessions
    take on.
    """
    known = session.execute(
        "SELECT name FROM pg_settings WHERE name = ANY(%s) AND (context = 'user' OR "
        "(SELECT rolsuper FROM pg_roles WHERE rolname = session_user))",
        [list(LOADING)],
    ).fetchall()
    role, login_role = session.fetch_row("SELECT current_user, session_user")
    settings = {name: LOADING[name] for (name,) in known}
    settings["role"] = "none" if role == login_role else role
    memory, workers = _for_index_builds(session, options)
    settings["maintenance_work_mem"] = memory
    log.info(
        "building indexes with %s of memory for each of %d sessions, and up to %s parallel workers "
        "beside each",
        memory,
        options.jobs,
        workers,
    )
    return settings


def _for_index_builds(session: Session, options: LoadOptions) -> tuple[str, str]:
    """Return the memory of a session that builds an index, and the server's number of workers.

    By default all sessions together may use a quarter of what the server caches in its own memory,
    which is a sign of how much it has, and each at least what the server's setting says.
    """
    set_kib, cache_kib, workers = session.fetch_row(
        "SELECT pg_size_bytes(current_setting('maintenance_work_mem')) / 1024,"
        " pg_size_bytes(current_setting('shared_buffers')) / 1024,"
        " current_setting('max_parallel_maintenance_workers')"
    )
    share_kib = min(MOST_BUILD_KIB, cache_kib // (4 * options.jobs))
    return options.maintenance_work_mem or f"{max(set_kib, share_kib)}kB", workers


def _left_out(toc: Toc, options: LoadOptions, roles: Roles, server_major: int) -> frozenset[int]:
    """Return the ids of the entries to leave out, including their comments and rights.

    A restored subscription would use the slot of the original one. A publication is for subscribers
    of the original database. The other entries require a superuser, or the owner of the schema
    public: before PostgreSQL 15 that is a superuser, since then the owner of the database.
    """
    is_superuser = roles.is_superuser
    kinds = ["SUBSCRIPTION"]
    if not options.publications:
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
            or (
                (entry.description, entry.tag) == ("COMMENT", SCHEMA_PUBLIC)
                and not owns_schema_public(roles, server_major)
            )
            or (options.no_owner is None and _takes_public_away(entry, roles, server_major))
        ):
            left_out[entry.dump_id] = entry
        if entry.dump_id in left_out and (entry.description, entry.tag) == ("SCHEMA", PUBLIC):
            log.warning("not restoring the owner %r of the schema public", entry.owner)
    for kind in kinds:
        names = [repr(e.tag) for e in left_out.values() if e.description == kind]
        if names:
            log.warning(
                "not restoring %d entries of type %s, such as %s", len(names), kind, names[0]
            )
    return frozenset(left_out)


def _takes_public_away(entry: TocEntry, roles: Roles, server_major: int) -> bool:
    """Tell whether an entry gives the schema public to an owner to whom the user may not give it.

    Where a database comes from PostgreSQL 14, this is the superuser of its server. The owners of
    what is in the schema are restored all the same.
    """
    return (
        (entry.description, entry.tag) == ("SCHEMA", PUBLIC)
        and not roles.is_superuser
        and not (owns_schema_public(roles, server_major) and entry.owner in roles.may_own)
    )
