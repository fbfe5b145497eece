"""Creates databases: empty ones, and copies on the same server."""

import logging
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


def creation_options(session: Session, name: str) -> dict[str, str]:
    """Return the options of CREATE DATABASE by which a new one is like a database that exists."""
    # By way of JSON, since which columns there are depends on the version.
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
        # That of template0 needs no right when it is not named.
        "TABLESPACE": tablespace if tablespace != "pg_default" else None,
    }
    return {option: value for option, value in options.items() if value is not None}


def create_database(session: Session, name: str, options: Mapping[str, str]) -> None:
    """Make an empty database with an encoding and locale of its own, and closed."""
    statement = _create_statement(name, "template0")
    major = session.major
    for option, value in options.items():
        if major < _FIRST_MAJOR.get(option, 0):
            continue
        statement += sql.SQL(" {} {}").format(_CREATION_OPTIONS[option], sql.Literal(value))
    session.execute(statement)


def open_database(session: Session, name: str) -> None:
    """Let sessions in, once a database has the rights that say whom.

    Who came in before would stay, whatever is taken from him then.
    """
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
    session.execute(statement.format(sql.Identifier(name)))


def close_to_public(session: Session, name: str) -> None:
    """Take from everybody the rights that a new database gives to all."""
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def clone_database(session: Session, source: str, name: str, *, strategy: str | None) -> None:
    """Make a closed copy of a database on its server, ending the sessions that are on it.

    The server wants nobody else on the source. It locks it, so that new clients wait for the copy,
    while we end those that were there.

    :param strategy: ``wal_log``, ``file_copy`` or ``None`` for the server's default.
    """
    (oid,) = session.fetch_row("SELECT oid FROM pg_database WHERE datname = %s", [source])
    statement = _create_statement(name, source)
    if strategy is not None:
        statement += sql.SQL(" STRATEGY {}").format(sql.Literal(strategy))
    with terminating(session, [oid]):
        if strategy == "file_copy" and _offers_clone(session):
            _clone_files(session, statement, name)
        else:
            session.execute(statement)


def check_strategy(session: Session, strategy: str | None) -> None:
    """Refuse a strategy that the server does not know.

    :raises UnsupportedError: on PostgreSQL 14.
    """
    major = session.major
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
        log.info("the file system does not clone files, so they are copied: %s", error)
        session.execute("SET file_copy_method = copy")
        session.execute(statement)
    finally:
        session.execute("RESET file_copy_method")


def creation_for(session: Session, target: str, of_dump: Mapping[str, str]) -> Mapping[str, str]:
    """Return the encoding and locale of the temporary database: the target's, else the dump's.

    :param of_dump: options of CREATE DATABASE, as the dump has them.
    """
    if not database_exists(session, target):
        return of_dump
    of_target = creation_options(session, target)
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
