"""Creates empty databases, and copies of databases on the same server."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.errors import UnsupportedError
from airflow_provider_pgclone.core.postgres import (
    Session,
    database_exists,
)
from airflow_provider_pgclone.core.replacing.marker import BIRTHMARK_CONNECTION_LIMIT
from airflow_provider_pgclone.core.replacing.sessions import terminating
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

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

# Options that older servers do not have. Such servers support only the locales of libc.
_FIRST_MAJOR = {"LOCALE_PROVIDER": 15, "ICU_LOCALE": 15, "ICU_RULES": 16, "BUILTIN_LOCALE": 17}
_LOCALE_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def creation_options(session: Session, name: str) -> dict[str, str]:
    """Return the options of CREATE DATABASE that create a database like an existing one."""
    # By way of JSON, because the columns depend on the version of the server.
    encoding, provider_code, collate, ctype, locale_name, icu_rules, tablespace = session.fetch_row(
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
        # Naming a tablespace requires a right on it, even for the one that template0 uses.
        "TABLESPACE": tablespace if tablespace != "pg_default" else None,
    }
    return {option: value for option, value in options.items() if value is not None}


def create_database(session: Session, name: str, options: Mapping[str, str]) -> None:
    """Create an empty database that does not allow connections.

    :param options: the options of CREATE DATABASE, such as encoding and locale. Options that the
        server does not have are ignored.
    """
    statement = _create_statement(name, "template0")
    major = session.major
    for option, value in options.items():
        if major < _FIRST_MAJOR.get(option, 0):
            continue
        statement += sql.SQL(" {} {}").format(_CREATION_OPTIONS[option], sql.Literal(value))
    session.execute(statement)


def open_database(session: Session, name: str) -> None:
    """Allow connections to a database, after its rights have been set.

    Revoking a right does not end the sessions that are already connected.
    """
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
    session.execute(statement.format(sql.Identifier(name)))


def close_to_public(session: Session, name: str) -> None:
    """Revoke the rights that PUBLIC has on a new database."""
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def clone_database(
    session: Session, source: str, name: str, *, strategy: str | None, spares_ours: bool
) -> None:
    """Copy a database on its server; the copy does not allow connections.

    The server copies a database only if no other session is connected to it. CREATE DATABASE locks
    the source, so that new clients wait. We terminate the clients that were already connected.

    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    :param spares_ours: whether to leave other dumps and copies of ours alone, and to fail instead.
    :raises BusyError: when another dump or copy of ours reads the source.
    :raises UnsupportedError: when the user has no right to terminate a session on the source.
    """
    (oid,) = session.fetch_row("SELECT oid FROM pg_database WHERE datname = %s", [source])
    statement = _create_statement(name, source)
    if strategy is not None:
        statement += sql.SQL(" STRATEGY {}").format(sql.Literal(strategy))
    with terminating(session, [oid], spare_ours_on=[source] if spares_ours else ()):
        if strategy == "file_copy" and _offers_clone(session):
            _clone_files(session, statement, name)
        else:
            session.execute(statement)


def check_strategy(session: Session, strategy: str | None) -> None:
    """Refuse a strategy on a server that does not support one.

    :raises UnsupportedError: on PostgreSQL 14.
    """
    major = session.major
    if strategy is not None and major < 15:
        raise UnsupportedError(
            f"PostgreSQL {major} does not support a strategy for copies",
            hint="Leave strategy out.",
        )


def creation_for(session: Session, target: str, of_dump: Mapping[str, str]) -> Mapping[str, str]:
    """Return the options of CREATE DATABASE for the temporary database.

    They are those of the target or, if it does not exist, those of the dump.

    :param of_dump: the options in the dump.
    """
    if not database_exists(session, target):
        return of_dump
    of_target = creation_options(session, target)
    for option in ("ENCODING", "LOCALE_PROVIDER"):
        if option in of_dump and option in of_target and of_dump[option] != of_target[option]:
            log.warning(
                "the dump has %s %s, but the target %r keeps %s",
                option,
                of_dump[option],
                target,
                of_target[option],
            )
    return of_target


def _create_statement(name: str, template: str) -> sql.Composed:
    return sql.SQL(
        "CREATE DATABASE {} TEMPLATE {} CONNECTION LIMIT {} ALLOW_CONNECTIONS false"
    ).format(
        sql.Identifier(name), sql.Identifier(template), sql.Literal(BIRTHMARK_CONNECTION_LIMIT)
    )


def _offers_clone(session: Session) -> bool:
    # https://www.postgresql.org/docs/18/runtime-config-resource.html#GUC-FILE-COPY-METHOD
    row = session.execute(
        "SELECT 'clone' = ANY(enumvals) FROM pg_settings WHERE name = 'file_copy_method'"
    ).fetchone()
    return bool(row and row[0])


def _clone_files(session: Session, statement: sql.Composed, name: str) -> None:
    session.execute("SET file_copy_method = clone")
    try:
        session.execute(statement)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.SystemError) as error:
        if database_exists(session, name):
            raise
        log.info("copying files, because the file system cannot clone them: %s", error)
        session.execute("SET file_copy_method = copy")
        session.execute(statement)
    finally:
        session.execute("RESET file_copy_method")
