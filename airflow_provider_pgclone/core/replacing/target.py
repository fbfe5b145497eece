"""Checks whether a database may be created or replaced, and what it may be turned back to.

Whoever may create databases may take the names of ``:pre`` and ``:post``, and the owner of a
database writes its comment. What nobody can forge is the owner: a swap leaves both databases to the
owner of the target.
"""

from difflib import get_close_matches

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Database, Session, database_exists, is_standby
from airflow_provider_pgclone.core.replacing.marker import Marker, read_markers
from airflow_provider_pgclone.core.replacing.names import (
    POST,
    PRE,
    check_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.replacing.sessions import check_nothing_bound

_OWNER_OF_KEPT = """
SELECT rolname, rolsuper OR rolname = current_user OR kept.datdba IS NOT DISTINCT FROM target.datdba
FROM pg_database kept
JOIN pg_roles r ON r.oid = kept.datdba
LEFT JOIN pg_database target ON target.datname = %s
WHERE kept.datname = %s
"""
_HOW_TO_MAKE = "Create it, or set create_target to true for the restore and its swap, or the copy."


def check_target(session: Session, name: str) -> None:
    """Refuse a target before anything is created for it.

    :param session: a session on the maintenance database.
    :raises InvalidInputError: when it is the maintenance database or a template.
    :raises UnsupportedError: when the user may not create or rename databases, the server is a
        standby, or something is bound to the target that cannot move to the new database.
    """
    check_not_maintenance(session.database, name)
    check_may_replace(session, name)


def check_not_maintenance(maintenance: Database, name: str) -> None:
    """Refuse the maintenance database, to which we are connected during the swap.

    :raises InvalidInputError: also when the name is not valid.
    """
    check_database_name(name)
    if name == maintenance.name:
        raise InvalidInputError(
            f"{name!r} is the maintenance database and cannot be replaced",
            hint="Set maintenance_database to another one.",
        )


def check_may_replace(session: Session, name: str) -> None:
    """Refuse a target that the user cannot replace.

    :raises InvalidInputError: when it is a template.
    :raises UnsupportedError: when the user lacks a right, the server is a standby, or something is
        bound to the target that cannot move to the new database.
    """
    check_primary(session)
    check_may_create(session)
    # A superuser is a member of every role.
    target = session.execute(
        "SELECT datistemplate, datconnlimit = -2, pg_has_role(current_user, datdba, 'MEMBER'), "
        "pg_get_userbyid(datdba), current_user FROM pg_database WHERE datname = %s",
        [name],
    ).fetchone()
    if target is None:
        return
    is_template, is_half_dropped, is_member, owner, user = target
    if is_template:
        raise InvalidInputError(f"database {name!r} is a template and cannot be replaced")
    if is_half_dropped:
        raise UnsupportedError(
            f"database {name!r} is invalid after an interrupted DROP DATABASE",
            hint="Drop it.",
        )
    if not is_member:
        raise UnsupportedError(
            f"the user {user!r} may not rename database {name!r}, which belongs to {owner!r}",
            hint=f'Grant it: GRANT "{owner}" TO "{user}".',
        )
    check_nothing_bound(session, name)


def check_primary(session: Session) -> None:
    """Refuse a standby, which is read-only.

    :raises UnsupportedError: when the server is a standby.
    """
    if is_standby(session):
        raise UnsupportedError("the server is a standby", hint="Connect to its primary.")


def check_may_create(session: Session) -> None:
    """Refuse a user who may not create databases.

    :raises UnsupportedError: names the user.
    """
    may_create, user = session.fetch_row(
        "SELECT rolsuper OR rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user"
    )
    if not may_create:
        raise UnsupportedError(
            f"the user {user!r} may not create databases",
            hint=f'Grant it: ALTER ROLE "{user}" CREATEDB.',
        )


def check_replaceable(session: Session, name: str, *, replace: bool) -> None:
    """Refuse a target that exists, unless it may be replaced.

    :raises InvalidInputError: when the target exists and ``replace`` is false.
    """
    if not replace and database_exists(session, name):
        raise InvalidInputError(
            f"database {name!r} exists and may not be replaced",
            hint="Drop it first, or allow its replacement by replace and allow_restore.",
        )


def check_makeable(session: Session, name: str, *, create: bool) -> None:
    """Refuse a target that does not exist, unless it may be made.

    :raises NotFoundError: when there is no target and ``create`` is false; names those that are
        spelled alike.
    """
    if create or database_exists(session, name):
        return
    ours = read_markers(session)
    rows = session.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
    near = get_close_matches(name, [other for (other,) in rows if other not in ours])
    meant = [f"Did you mean {' or '.join(map(repr, near))}?"] if near else []
    raise NotFoundError(
        f"database {name!r} does not exist and may not be made",
        hint=" ".join([*meant, _HOW_TO_MAKE]),
    )


def check_source(session: Session, source: str, name: str) -> None:
    """Refuse a source of a copy on the same server.

    :param name: the name of the copy.
    :raises InvalidInputError: when the source is the copy itself, or the maintenance database, to
        which we are connected.
    :raises NotFoundError: when the source does not exist.
    """
    if source == name:
        raise InvalidInputError(f"database {source!r} cannot be copied to itself")
    if source == session.database.name:
        raise InvalidInputError(
            f"{source!r} is the maintenance database and cannot be copied",
            hint="Set maintenance_database to another one.",
        )
    if not database_exists(session, source):
        raise NotFoundError(
            f"the local database {source!r} does not exist",
            hint="List the local databases to see their names.",
        )


def kept_markers(session: Session, target: str) -> dict[str, Marker]:
    """Return the markers of *pre* and *post* by name, without those that others may have made.

    Without a target, nobody can tell: their owner is that of the last one, or another.
    """
    exists = database_exists(session, target)
    names = {kept_database_name(target, role): role for role in (PRE, POST)}
    return {
        name: marker
        for name, marker in read_markers(session).items()
        if marker.role == names.get(name)
        and (not exists or _stranger_who_owns(session, name, target) is None)
    }


def check_kept_database(session: Session, name: str, target: str, *, require_masked: bool) -> None:
    """Refuse a database of the name of *pre* or *post* that others may have made.

    :param name: a database that exists.
    :param require_masked: whether to refuse it also if no restore of this package has kept it.
    :raises UnsupportedError: when it has another owner than the target, or no marker.
    """
    stranger = _stranger_who_owns(session, name, target)
    if stranger is not None:
        whose = f"the owner of {target!r}" if database_exists(session, target) else "the user"
        raise UnsupportedError(
            f"database {name!r} belongs to {stranger!r}, and not to {whose}: others may have made "
            "it",
            hint=f"If it is what a restore kept, give it to {whose} by ALTER DATABASE.",
        )
    if require_masked and name not in kept_markers(session, target):
        raise UnsupportedError(
            f"database {name!r} was not kept by a restore of this package, and only masked "
            "databases may be restored",
            hint="Restore a masked dump.",
        )


def _stranger_who_owns(session: Session, name: str, target: str) -> str | None:
    """Return the owner of a database, ``None`` if it is the target's, a superuser or the user."""
    owner, is_trusted = session.fetch_row(_OWNER_OF_KEPT, [target, name])
    return None if is_trusted else str(owner)
