"""The database that a restore or a copy is to become: may it, and how must a new one be made."""

import logging
from collections.abc import Mapping

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.database import (
    Database,
    database_exists,
    fetch_row,
    is_standby,
    server_major,
)
from airflow_provider_pgclone.core.dump_key import check_database_name
from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, UnsupportedError
from airflow_provider_pgclone.core.marker import BIRTHMARK_CONNECTION_LIMIT
from airflow_provider_pgclone.core.sessions import check_nothing_bound, terminating

log = logging.getLogger(__name__)

_CREATION_OPTIONS = {
    "ENCODING": sql.SQL("ENCODING"),
    "LOCALE_PROVIDER": sql.SQL("LOCALE_PROVIDER"),
    "LOCALE": sql.SQL("LOCALE"),
    "LC_COLLATE": sql.SQL("LC_COLLATE"),
    "LC_CTYPE": sql.SQL("LC_CTYPE"),
    "ICU_LOCALE": sql.SQL("ICU_LOCALE"),
    "ICU_RULES": sql.SQL("ICU_RULES"),
    "BUILTIN_LOCALE": sql.SQL("BUILTIN_LOCALE"),
    "TABLESPACE": sql.SQL("TABLESPACE"),
}
# The options that older servers do not know: they have libc's locales alone, without saying so.
_FIRST_MAJOR = {"LOCALE_PROVIDER": 15, "ICU_LOCALE": 15, "ICU_RULES": 16, "BUILTIN_LOCALE": 17}
_LOCALE_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def check_target(connection: psycopg.Connection, maintenance: Database, name: str) -> None:
    """Refuse a target before anything is made for it.

    :raises InvalidInputError: when it is the maintenance database or a template.
    :raises UnsupportedError: when the user may not create or rename databases, the server is a
        standby, or something is bound to the target that cannot follow.
    """
    check_database_name(name)
    if name == maintenance.name:
        raise InvalidInputError(
            f"{name!r} is the maintenance database and cannot be replaced",
            hint="Set maintenance_database to another one.",
        )
    check_primary(connection)
    check_may_create(connection)
    # A superuser is a member of every role.
    target = connection.execute(
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
            f"database {name!r} is what an interrupted DROP DATABASE has left",
            hint="Drop it.",
        )
    if not is_member:
        raise UnsupportedError(
            f"the user {user!r} may not rename database {name!r}, which belongs to {owner!r}",
            hint=f'Grant it: GRANT "{owner}" TO "{user}".',
        )
    check_nothing_bound(connection, name)


def check_primary(connection: psycopg.Connection) -> None:
    """Refuse a server on which nothing can be made.

    :raises UnsupportedError: when it is a standby.
    """
    if is_standby(connection):
        raise UnsupportedError("the server is a standby", hint="Connect to its primary.")


def check_may_create(connection: psycopg.Connection) -> None:
    """Refuse a user who cannot make databases.

    :raises UnsupportedError: naming the user.
    """
    may_create, user = fetch_row(
        connection,
        "SELECT rolsuper OR rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user",
        [],
    )
    if not may_create:
        raise UnsupportedError(
            f"the user {user!r} may not create databases",
            hint=f'Grant it: ALTER ROLE "{user}" CREATEDB.',
        )


def check_replaceable(connection: psycopg.Connection, name: str, *, replace: bool) -> None:
    """Refuse a database that exists and may not be replaced.

    :raises InvalidInputError: when it is there.
    """
    if not replace and database_exists(connection, name):
        raise InvalidInputError(
            f"database {name!r} exists and may not be replaced",
            hint="Drop it first, or allow it by replace and by allow_restore.",
        )


def creation_options(connection: psycopg.Connection, name: str) -> dict[str, str]:
    """Return the options of CREATE DATABASE by which a new one is like a database that exists."""
    # By way of JSON, since which columns there are depends on the version.
    encoding, provider_code, collate, ctype, locale_name, icu_rules, tablespace = fetch_row(
        connection,
        "SELECT pg_encoding_to_char(d.encoding), row ->> 'datlocprovider', datcollate, datctype, "
        "coalesce(row ->> 'datlocale', row ->> 'daticulocale'), row ->> 'daticurules', spcname "
        "FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace, to_jsonb(d) AS row "
        "WHERE datname = %s",
        [name],
    )
    provider_name = _LOCALE_PROVIDERS.get(provider_code)
    options = {
        "ENCODING": encoding,
        "LOCALE_PROVIDER": provider_name,
        "LC_COLLATE": collate,
        "LC_CTYPE": ctype,
        "ICU_LOCALE": locale_name if provider_name == "icu" else None,
        "BUILTIN_LOCALE": locale_name if provider_name == "builtin" else None,
        "ICU_RULES": icu_rules,
        # That of template0 needs no right when it is not named.
        "TABLESPACE": tablespace if tablespace != "pg_default" else None,
    }
    return {option: value for option, value in options.items() if value is not None}


def create_database(connection: psycopg.Connection, name: str, options: Mapping[str, str]) -> None:
    """Make an empty database with an encoding and locale of its own, and closed."""
    statement = _create_statement(name, "template0")
    major = server_major(connection)
    for option, value in options.items():
        if major < _FIRST_MAJOR.get(option, 0):
            continue
        statement += sql.SQL(" {} {}").format(_CREATION_OPTIONS[option], sql.Literal(value))
    connection.execute(statement)


def open_database(connection: psycopg.Connection, name: str) -> None:
    """Let sessions in, once a database has the rights that say whom.

    Who came in before would stay, whatever is taken from him then.
    """
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
    connection.execute(statement.format(sql.Identifier(name)))


def clone_database(
    connection: psycopg.Connection,
    maintenance: Database,
    source: str,
    name: str,
    *,
    strategy: str | None,
    cancellation: Cancellation,
) -> None:
    """Make a closed copy of a database on its server, ending the sessions that are on it.

    The server wants nobody else on the source. It locks it, so that new clients wait for the copy,
    while we end those that were there.

    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    """
    (oid,) = fetch_row(connection, "SELECT oid FROM pg_database WHERE datname = %s", [source])
    statement = _create_statement(name, source)
    if strategy is not None:
        statement += sql.SQL(" STRATEGY {}").format(sql.Literal(strategy))
    with terminating(maintenance, [oid], cancellation):
        if strategy == "file_copy" and _offers_clone(connection):
            _clone_files(connection, statement, name)
        else:
            connection.execute(statement)


def check_source(
    connection: psycopg.Connection, maintenance: Database, source: str, name: str
) -> None:
    """Refuse a source of a copy on the server.

    :raises InvalidInputError: when it is its own copy, or the maintenance database, whose sessions
        are ours.
    :raises NotFoundError: when it does not exist.
    """
    if source == name:
        raise InvalidInputError(f"database {source!r} cannot be copied to itself")
    if source == maintenance.name:
        raise InvalidInputError(
            f"{source!r} is the maintenance database and cannot be copied",
            hint="Set maintenance_database to another one.",
        )
    if not database_exists(connection, source):
        raise NotFoundError(
            f"the local database {source!r} does not exist",
            hint="List the local databases to see which there are.",
        )


def check_strategy(connection: psycopg.Connection, strategy: str | None) -> None:
    """Refuse a strategy that the server does not know.

    :raises UnsupportedError: on PostgreSQL 14.
    """
    major = server_major(connection)
    if strategy is not None and major < 15:
        raise UnsupportedError(
            f"PostgreSQL {major} knows no strategy for copies", hint="Leave strategy out."
        )


def _create_statement(name: str, template: str) -> sql.Composed:
    return sql.SQL(
        "CREATE DATABASE {} TEMPLATE {} CONNECTION LIMIT {} ALLOW_CONNECTIONS false"
    ).format(
        sql.Identifier(name), sql.Identifier(template), sql.Literal(BIRTHMARK_CONNECTION_LIMIT)
    )


def _offers_clone(connection: psycopg.Connection) -> bool:
    # https://www.postgresql.org/docs/18/runtime-config-resource.html#GUC-FILE-COPY-METHOD
    row = connection.execute(
        "SELECT 'clone' = ANY(enumvals) FROM pg_settings WHERE name = 'file_copy_method'"
    ).fetchone()
    return bool(row and row[0])


def _clone_files(connection: psycopg.Connection, statement: sql.Composed, name: str) -> None:
    connection.execute("SET file_copy_method = clone")
    try:
        connection.execute(statement)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.SystemError) as error:
        if database_exists(connection, name):
            raise
        log.info("the file system does not clone files, so they are copied: %s", error)
        connection.execute("SET file_copy_method = copy")
        connection.execute(statement)
    finally:
        connection.execute("RESET file_copy_method")
