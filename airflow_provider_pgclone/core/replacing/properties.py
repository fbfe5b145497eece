"""The properties of a database besides its contents, such as owner, rights and settings."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.postgres import Session, to_become
from airflow_provider_pgclone.core.replacing.marker import Marker
from airflow_provider_pgclone.core.replacing.origin import own_comment
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

# Settings that are stored as a list of quoted names, not as one string. The list is the same as in
# variable_is_guc_list_quote() of pg_dump.
_LIST_SETTINGS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)

_PRIVILEGES = {
    "CREATE": sql.SQL("CREATE"),
    "TEMPORARY": sql.SQL("TEMPORARY"),
    "CONNECT": sql.SQL("CONNECT"),
}


@dataclass(frozen=True)
class Grant:
    """A right on a database; a grantee of ``None`` is PUBLIC."""

    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Setting:
    """A value of ``ALTER DATABASE … SET``, or of ``ALTER ROLE … IN DATABASE … SET``."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True)
class SecurityLabel:
    """A label of ``SECURITY LABEL FOR provider ON DATABASE``."""

    provider: str
    label: str


@dataclass(frozen=True)
class Properties:
    """The properties of a target that a restore and a copy preserve.

    :param has_own_grants: whether a right was ever granted or revoked. Otherwise ``grants`` are the
        default rights.
    :param comment: the comment; ``None`` if there is none, or it is a marker of this package.
    """

    owner: str
    has_own_grants: bool
    grants: tuple[Grant, ...]
    settings: tuple[Setting, ...]
    connection_limit: int
    allows_connections: bool
    comment: str | None
    labels: tuple[SecurityLabel, ...] = ()


def read_properties(session: Session, name: str) -> Properties:
    """Read the properties of an existing database."""
    oid, owner, has_own_grants, connection_limit, allows_connections, comment = session.fetch_row(
        "SELECT oid, pg_get_userbyid(datdba), datacl IS NOT NULL, datconnlimit, datallowconn, "
        "shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
        [name],
    )
    grants = session.execute(
        "SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type, "
        "is_grantable FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
        "WHERE oid = %s ORDER BY 1, 2",
        [oid],
    )
    settings = session.execute(
        "SELECT CASE setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(setrole) END, entry "
        "FROM pg_db_role_setting, unnest(setconfig) WITH ORDINALITY AS e(entry, number) "
        "WHERE setdatabase = %s ORDER BY setrole, number",
        [oid],
    )
    labels = session.execute(
        "SELECT provider, label FROM pg_shseclabel "
        "WHERE classoid = 'pg_database'::regclass AND objoid = %s ORDER BY provider",
        [oid],
    )
    return Properties(
        owner=owner,
        has_own_grants=has_own_grants,
        grants=tuple(Grant(*grant) for grant in grants),
        settings=tuple(Setting(role, *entry.split("=", maxsplit=1)) for role, entry in settings),
        connection_limit=connection_limit,
        allows_connections=allows_connections,
        comment=None if Marker.parse(comment) else own_comment(comment),
        labels=tuple(SecurityLabel(*label) for label in labels),
    )


def properties_of_new(
    session: Session, grants: Iterable[tuple[str | None, str, bool]] | None
) -> Properties:
    """Return the properties of a new database of the user.

    Rights of roles that the server does not have are left out, with a warning.

    :param grants: the grantee, the privilege or ``ALL``, and whether it may be granted on, of each
        right; ``None`` closes the database to all but the user, since its rights are unknown.
    """
    (user,) = session.fetch_row("SELECT current_user")
    roles = {name for (name,) in session.execute("SELECT rolname FROM pg_roles").fetchall()}
    given = tuple(grants or ())
    missing = {role for role, _, _ in given if role is not None} - roles
    if missing:
        log.warning(
            "not giving the database rights of roles that the server lacks: %s",
            ", ".join(map(repr, sorted(missing))),
        )
    rights: dict[tuple[str | None, str], bool] = {
        (user, privilege): False for privilege in _PRIVILEGES
    }
    for role, named, can_grant in given:
        for privilege in _PRIVILEGES if named == "ALL" else (named,):
            if role not in missing and role != user:
                rights[role, privilege] = can_grant
    return Properties(
        owner=user,
        has_own_grants=True,
        grants=tuple(Grant(*right, can_grant) for right, can_grant in rights.items()),
        settings=(),
        connection_limit=-1,
        allows_connections=True,
        comment=None,
    )


def fitted(session: Session, properties: Properties) -> Properties:
    """Return the properties of another server's database that can be set on this server.

    Security labels are left out: their meaning is that of the other server's policy. Rights and
    settings of roles that this server does not have are left out, too. Rights that were
    revoked from PUBLIC stay revoked. If the user cannot give the database to its owner, the user
    becomes the owner.
    """
    rows = session.execute(
        "SELECT rolname, pg_has_role(current_user, oid, %s) FROM pg_roles", [to_become(session)]
    ).fetchall()
    roles = {str(name): bool(is_member) for name, is_member in rows}
    (user,) = session.fetch_row("SELECT current_user")
    owner = properties.owner if roles.get(properties.owner) else user
    grants = {
        replace(grant, grantee=owner) if grant.grantee == properties.owner else grant
        for grant in properties.grants
        if grant.grantee in (None, properties.owner) or grant.grantee in roles
    }
    return replace(
        properties,
        owner=owner,
        grants=tuple(grants),
        settings=tuple(s for s in properties.settings if s.role is None or s.role in roles),
        labels=(),
    )


def apply_properties(session: Session, name: str, properties: Properties) -> None:
    """Apply all properties except the comment and whether connections are allowed.

    Rights and settings that the database already has are removed. Otherwise a right that was
    revoked from the target in the meantime would come back.
    """
    database = sql.Identifier(name)
    present = read_properties(session, name)
    session.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(properties.owner))
    )
    session.execute(
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            database, sql.Literal(properties.connection_limit)
        )
    )
    for role in {setting.role for setting in present.settings}:
        session.execute(sql.SQL("ALTER {} RESET ALL").format(_holder(database, role)))
    for setting in properties.settings:
        session.execute(_set_statement(database, setting))
    if present.has_own_grants or properties.has_own_grants:
        grantees = {grant.grantee for grant in present.grants} | {None, properties.owner}
        for grantee in grantees:
            session.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, _grantee(grantee))
            )
        for grant in properties.grants:
            session.execute(_grant_statement(database, grant))
    wanted = {label.provider: label.label for label in properties.labels}
    for provider in sorted({label.provider for label in present.labels} | wanted.keys()):
        _set_label(session, name, provider, wanted.get(provider))


def split_names(value: str) -> list[str]:
    """Split a stored list such as ``"$user", public`` into names; an empty list has one, ``""``."""
    names: list[str] = []
    name, quoted, position = "", False, 0
    while position < len(value):
        character = value[position]
        if character == '"' and quoted and value[position + 1 : position + 2] == '"':
            name, position = name + '"', position + 1
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            names, name = [*names, name], ""
        elif quoted or not character.isspace():
            name += character
        position += 1
    return [*names, name]


def _holder(database: sql.Identifier, role: str | None) -> sql.Composed:
    """Return the object of ALTER … SET: the database, or a role in the database."""
    if role is None:
        return sql.SQL("DATABASE {}").format(database)
    return sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)


def _set_label(session: Session, name: str, provider: str, label: str | None) -> None:
    """Set or remove the label of a provider; warn if this session does not have the provider."""
    try:
        with session.transaction():
            session.execute(label_statement(name, provider, label))
    except psycopg.errors.InvalidParameterValue as error:  # ExecSecLabelStmt() in seclabel.c
        log.warning(
            "the security label of %r for database %r is not carried over: %s; set it again",
            provider,
            name,
            error.diag.message_primary,
        )


def label_statement(name: str, provider: str, label: str | None) -> sql.Composed:
    """Return the statement that sets a security label of a database; ``None`` removes it."""
    return sql.SQL("SECURITY LABEL FOR {} ON DATABASE {} IS {}").format(
        sql.Identifier(provider), sql.Identifier(name), sql.Literal(label)
    )


def _grantee(role: str | None) -> sql.Composable:
    return sql.SQL("PUBLIC") if role is None else sql.Identifier(role)


def _set_statement(database: sql.Identifier, setting: Setting) -> sql.Composed:
    values = split_names(setting.value) if setting.name in _LIST_SETTINGS else [setting.value]
    return sql.SQL("ALTER {} SET {} TO {}").format(
        _holder(database, setting.role),
        sql.Identifier(*setting.name.split(".")),
        sql.SQL(", ").join(map(sql.Literal, values)),
    )


def _grant_statement(database: sql.Identifier, grant: Grant) -> sql.Composed:
    option = sql.SQL(" WITH GRANT OPTION") if grant.grantable else sql.SQL("")
    return sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
        _PRIVILEGES[grant.privilege], database, _grantee(grant.grantee), option
    )
