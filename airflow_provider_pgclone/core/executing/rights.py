"""Decides which rights of an archive are restored, by the roles of the server and of the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_pgclone.core.archive import Toc, TocEntry, kept_rights, only_as_owner
from airflow_provider_pgclone.core.postgres import Session, to_become
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

SCHEMA_PUBLIC = "SCHEMA public"
# Since this version the owner of a database owns its schema public.
_FIRST_WITH_OWNED_PUBLIC = 15
# Each database has its own member of this role, its owner: in the one that is loaded, the user.
_DATABASE_OWNER = "pg_database_owner"
# The server says so of an entry of rights, whose id follows.
RIGHTS_LEFT_OUT = "pgclone: not restoring the rights of entry "
# More are counted in a message, and not named.
_MOST_NAMED = 50


@dataclass(frozen=True)
class Rights:
    """The rights of an archive that are not restored by its own statements.

    :param changed: the statements of entries, by id.
    :param guarded: the objects on which rights are restored only if the user owns them, by id.
        They belong to extensions or to PostgreSQL, and only the restored database knows the owner.
    """

    changed: Mapping[int, str] = field(default_factory=dict)
    guarded: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Roles:
    """The roles of a server, as its user may use them.

    :param user: the role of the user.
    :param names: all of them.
    :param may_own: those that the user may make the owner of an object, and go on to change it.
    :param has_rights_of: those whose rights the user has.
    """

    user: str
    is_superuser: bool
    names: frozenset[str]
    may_own: frozenset[str]
    has_rights_of: frozenset[str]


def read_roles(session: Session) -> Roles:
    """Read the roles of a server."""
    user, is_superuser = session.fetch_row(
        "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    rows = session.execute(
        "SELECT rolname, pg_has_role(current_user, oid, %s), "
        "pg_has_role(current_user, oid, 'USAGE') FROM pg_roles",
        [to_become(session)],
    ).fetchall()
    return Roles(
        user=user,
        is_superuser=bool(is_superuser),
        names=frozenset(name for name, _, _ in rows),
        may_own=frozenset(name for name, *may in rows if all(may)) | {_DATABASE_OWNER},
        has_rights_of=frozenset(name for name, _, has_rights in rows if has_rights),
    )


def owns_schema_public(roles: Roles, server_major: int) -> bool:
    """Tell whether the user has the rights of the owner of the schema public in a new database."""
    return roles.is_superuser or server_major >= _FIRST_WITH_OWNED_PUBLIC


def rights_to_restore(toc: Toc, roles: Roles, server_major: int) -> Rights:
    """Return what is restored of the entries of rights of which some cannot be restored.

    All other rights are kept, and above all what is revoked from PUBLIC. A warning names each right
    that is left out; for those on objects that may have another owner, the load warns.

    :param toc: the entries that are to be restored.
    """
    made = {entry.dump_id for entry in toc.entries}
    changed: dict[int, str] = {}
    objects_of: dict[str, list[str]] = {}
    guarded: dict[int, str] = {}
    for entry in toc.entries:
        # pg_restore leaves out the rights on the database; see rights_on_database().
        if not is_of_rights(entry) or entry.tag.startswith("DATABASE "):
            continue
        kept, missing = kept_rights(
            entry.definition,
            entry.owner,
            roles=roles.names,
            own_roles=roles.has_rights_of,
            may_become=roles.is_superuser,
        )
        if kept and not _may_change(entry, made, roles, server_major):
            kept = only_as_owner(kept, f"{RIGHTS_LEFT_OUT}{entry.dump_id}")
            guarded[entry.dump_id] = _object(entry)
        if kept != entry.definition:
            changed[entry.dump_id] = kept
        for role in missing:
            objects_of.setdefault(role, []).append(_object(entry))
    for role, objects in sorted(objects_of.items()):
        log.warning(
            "not restoring rights of the role %r, %s: %s",
            role,
            "for which the user may not act" if role in roles.names else "which the server lacks",
            _listed(objects),
        )
    return Rights(changed, guarded)


def warn_of_foreign(objects: list[str]) -> None:
    """Name the objects on which no rights were restored, because the user does not own them."""
    if objects:
        log.warning(
            "not restoring rights on objects that only another owner may change: %s",
            _listed(objects),
        )


def is_of_rights(entry: TocEntry) -> bool:
    """Tell whether an entry has rights, or default privileges."""
    return entry.description in ("ACL", "DEFAULT ACL")


def _may_change(entry: TocEntry, made: set[int], roles: Roles, server_major: int) -> bool:
    """Tell whether the user certainly may change the rights on an object.

    An object that the archive does not create belongs to an extension or to PostgreSQL itself.
    """
    if roles.is_superuser or entry.description == "DEFAULT ACL":
        return True
    if entry.tag == SCHEMA_PUBLIC:
        return owns_schema_public(roles, server_major)
    return not made.isdisjoint(entry.dependencies)


def _object(entry: TocEntry) -> str:
    if entry.description == "DEFAULT ACL":
        return " in ".join(filter(None, (entry.tag.lower(), entry.namespace)))
    kind, _, name = entry.tag.partition(" ")
    return f"{kind} {entry.namespace}.{name}" if entry.namespace else entry.tag


def _listed(objects: list[str]) -> str:
    more = len(objects) - _MOST_NAMED
    return ", ".join(objects[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
