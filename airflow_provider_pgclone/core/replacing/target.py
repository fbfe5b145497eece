"""Checks whether a database may be created or replaced, and what it may be turned back to.

Whoever may create databases may take the names of ``:pre`` and ``:post``, and the owner of a
database writes its comment. What nobody can forge is the owner: a swap leaves both databases to the
owner of the target.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.postgres import Database, Session, database_exists, is_standby
from airflow_provider_pgclone.core.replacing.marker import Marker, read_markers
from airflow_provider_pgclone.core.replacing.names import (
    LOCAL_MARK,
    POST,
    PRE,
    LocalKey,
    check_database_name,
    kept_database_name,
)
from airflow_provider_pgclone.core.replacing.sessions import check_nothing_bound

# A superuser is a member of every role. Whoever is a member of the target's owner may alter and
# drop the target itself.
_KEPT = """
SELECT kept.datname, shobj_description(kept.oid, 'pg_database'), pg_get_userbyid(kept.datdba),
       pg_get_userbyid(target.datdba), current_user, pg_has_role(kept.datdba, 'MEMBER'),
       pg_has_role(kept.datdba, current_user, 'MEMBER')
       OR coalesce(pg_has_role(kept.datdba, target.datdba, 'MEMBER'), false)
FROM pg_database kept LEFT JOIN pg_database target ON target.datname = %s
WHERE kept.datname::text = ANY(%s::text[])
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
        "pg_get_userbyid(datdba), current_user, "
        "(SELECT rolsuper FROM pg_roles WHERE oid = datdba) FROM pg_database WHERE datname = %s",
        [name],
    ).fetchone()
    if target is None:
        return
    is_template, is_half_dropped, is_member, owner, user, is_of_superuser = target
    if is_template:
        raise InvalidInputError(f"database {name!r} is a template and cannot be replaced")
    if is_half_dropped:
        raise UnsupportedError(
            f"database {name!r} is invalid after an interrupted DROP DATABASE",
            hint="Drop it.",
        )
    if not is_member:
        hint = f'Grant it: GRANT "{owner}" TO "{user}".'
        if is_of_superuser:  # whose rights the user must not get
            hint = f'Give the database to the user: ALTER DATABASE "{name}" OWNER TO "{user}".'
        raise UnsupportedError(
            f"the user {user!r} may not rename database {name!r}, which belongs to {owner!r}",
            hint=hint,
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


def check_replaceable(session: Session, name: str, *, replace: bool, why_not: str = "") -> None:
    """Refuse a target of a copy that exists, unless it may be replaced.

    :param why_not: says what does not let it be replaced.
    :raises InvalidInputError: when the target exists and ``replace`` is false.
    """
    if not replace and database_exists(session, name):
        reason = f": {why_not}" if why_not else ""
        raise InvalidInputError(
            f"database {name!r} exists and may not be replaced{reason}",
            hint="Choose another name for the copy.",
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


def check_local_source(
    session: Session, key: LocalKey, target: str, *, require_masked: bool
) -> None:
    """Refuse a local key whose database cannot be restored over a target.

    :param require_masked: as for :func:`check_kept_database`.
    :raises NotFoundError: when its database does not exist; others as :func:`check_source` and
        :func:`check_kept_database`.
    """
    source = key.database_name(target)
    check_source(session, source, target)
    if key.is_reserved:
        check_kept_database(session, source, target, require_masked=require_masked)


@dataclass(frozen=True)
class KeptName:
    """A database that has the name of *pre* or *post* of a target.

    :param key: ``:pre`` or ``:post``.
    :param marker: its marker; ``None`` if it has none of that role.
    :param target_owner: the owner of the target; ``None`` if there is no target.
    :param user: the user of the session.
    :param may_own: whether the user is a member of its owner, and so may rename, copy and drop it.
    :param is_trusted: whether its owner is a member of the target's owner or of the user.
    """

    name: str
    key: str
    marker: Marker | None
    owner: str
    target: str
    target_owner: str | None
    user: str
    may_own: bool
    is_trusted: bool

    def why_not_ours(self) -> UnsupportedError | None:
        """Return why a restore can neither renew nor drop the database; ``None`` if it can."""
        if self.marker is None:
            return UnsupportedError(
                f"database {self.name!r} exists and was not created by a restore of this package",
                hint="Rename or drop it. A reversible restore needs this name.",
            )
        if not self.is_trusted:
            return self._of_another_owner()
        return None if self.may_own else self._not_for_the_user()

    def check_restorable(self, *, require_masked: bool) -> None:
        """Refuse to restore what others may have made in the name of *pre* or *post*.

        Without a target, no owner tells who has made it. But then it takes nobody's place: its
        owner stays that of the new target, and may as well have created a database of that name.

        :param require_masked: whether to refuse it also if no restore of this package has kept it.
        :raises UnsupportedError: says what to do.
        """
        if not self.is_trusted and self.target_owner is not None:
            raise self._of_another_owner()
        if not self.may_own:
            raise self._not_for_the_user()
        if require_masked and self.marker is None:
            raise UnsupportedError(
                f"database {self.name!r} was not kept by a restore of this package, and only "
                "masked databases may be restored",
                hint="Restore a masked dump.",
            )
        if require_masked and not self.is_trusted:
            raise UnsupportedError(
                f"database {self.target!r} does not exist, so that nothing tells whether "
                f"{self.name!r}, which belongs to {self.owner!r}, was kept by a restore, and only "
                "masked databases may be restored",
                hint=f"If {self.owner!r} owned the target, make it again, empty: "
                f'CREATE DATABASE "{self.target}" OWNER "{self.owner}".',
            )

    def _of_another_owner(self) -> UnsupportedError:
        if self.target_owner is None:
            return UnsupportedError(
                f"database {self.name!r} belongs to {self.owner!r}, and database {self.target!r} "
                f"does not exist: a restore makes it for the user {self.user!r}",
                hint=f"Restore {self.key} first if a restore has kept it: that gives the target "
                "its owner back. Otherwise rename it.",
            )
        return UnsupportedError(
            f"database {self.name!r} belongs to {self.owner!r}, and not to {self.target_owner!r}, "
            f"the owner of {self.target!r}: others may have made it",
            hint="If it is what a restore kept, and the target has another owner since, give it "
            f"to that one: {self._given_to_target_owner}. Otherwise rename it.",
        )

    def _not_for_the_user(self) -> UnsupportedError:
        # Not by GRANT: the owner may be a superuser.
        hint = f"Let {self.owner!r} or a member of it do so."
        if self.target_owner is not None:
            hint = f"Give it to the owner of {self.target!r}: {self._given_to_target_owner}."
        return UnsupportedError(
            f"the user {self.user!r} may not rename or copy database {self.name!r}, which belongs "
            f"to {self.owner!r}",
            hint=hint,
        )

    @property
    def _given_to_target_owner(self) -> str:
        return f'ALTER DATABASE "{self.name}" OWNER TO "{self.target_owner}"'


def kept_names(session: Session, target: str) -> list[KeptName]:
    """Return the databases that have the names of *pre* and *post*, whoever made them."""
    return list(_kept_names(session, target))


def kept_markers(session: Session, target: str) -> dict[str, Marker]:
    """Return the markers of *pre* and *post* by name, without those that others may have made."""
    found = kept_names(session, target)
    return {one.name: one.marker for one in found if one.marker and one.is_trusted}


def check_kept_database(session: Session, name: str, target: str, *, require_masked: bool) -> None:
    """Refuse a database of the name of *pre* or *post* that others may have made.

    :param require_masked: whether to refuse it also if no restore of this package has kept it.
    :raises UnsupportedError: when it has another owner than the target, or no marker.
    """
    for one in kept_names(session, target):
        if one.name == name:
            one.check_restorable(require_masked=require_masked)


def check_kept_names_are_ours(session: Session, target: str) -> None:
    """Refuse to renew what others may have made in the names of *pre* and *post*.

    :raises UnsupportedError: names the database.
    """
    for one in kept_names(session, target):
        if (reason := one.why_not_ours()) is not None:
            raise reason


def _kept_names(session: Session, target: str) -> Iterator[KeptName]:
    roles = {kept_database_name(target, role): role for role in (PRE, POST)}
    rows = session.execute(_KEPT, [target, list(roles)]).fetchall()
    for name, comment, owner, target_owner, user, may_own, is_trusted in sorted(rows):
        marker = Marker.parse(comment)
        yield KeptName(
            name=name,
            key=LOCAL_MARK + roles[name],
            marker=marker if marker and marker.role == roles[name] else None,
            owner=owner,
            target=target,
            target_owner=target_owner,
            user=user,
            may_own=may_own,
            is_trusted=is_trusted,
        )
