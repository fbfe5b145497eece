"""What a server and a storage allow, tried out before the first dump or restore."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import (
    CancelledError,
    NotFoundError,
    PgCloneError,
    StorageError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.postgres import (
    OLDEST_CLIENT,
    Database,
    Session,
    connect,
    tools_for_dump,
    tools_for_restore,
)
from airflow_provider_pgclone.core.replacing import (
    check_may_create,
    check_may_replace,
    check_not_maintenance,
    check_primary,
)
from airflow_provider_pgclone.core.storage import Storage

OLDEST_SERVER, NEWEST_SERVER = 14, 18
PROGRAMS = ("pg_dump", "psql", "pg_restore", "vacuumdb")
# Somebody waits for the answer; a dump would wait for as long as the system does.
CONNECT_SECONDS = 10
# No dump key, so that nobody takes it for one.
PROBE_PREFIX = ".pgclone-probe-"


@dataclass(frozen=True)
class ProbeResult:
    """What one probe has found.

    :param name: of what was probed.
    :param text: what is there, or what is wrong and what to do about it.
    """

    name: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Usage:
    """What a server is meant for.

    :param database: the one to dump or to restore over; ``None`` where none is named.
    :param may_dump: whether dumps are allowed.
    :param may_restore: whether restores or copies are, for which databases are created.
    :param pg_bin_dir: the folder of the client programs, ``None`` to look for it.
    """

    maintenance: Database
    database: Database | None
    may_dump: bool
    may_restore: bool
    pg_bin_dir: str | None


def report(findings: Sequence[ProbeResult]) -> tuple[bool, str]:
    """Return whether all is well, and a line for each that was found; else for what is wrong."""
    wrong = [finding for finding in findings if not finding.ok]
    texts = ((found.name, " ".join(found.text.split()).rstrip(".")) for found in wrong or findings)
    return not wrong, "\n".join(f"{name}: {text}." for name, text in texts)


def probe_server(usage: Usage, cancellation: Cancellation) -> list[ProbeResult]:
    """Try out a server; nothing is made or changed on it."""
    with ExitStack() as stack:
        maintenance = _open(stack, usage.maintenance, cancellation)
        database = _open(stack, usage.database, cancellation) if usage.database else None
        sessions = [one for one in (maintenance, database) if isinstance(one, Session)]
        if not sessions:
            return [ProbeResult("server", False, str(maintenance))]
        session = sessions[0]
        return [
            *_probe_identity(session),
            *_probe_databases(usage, maintenance, database),
            _probe("client", lambda: _client(usage, session.major)),
            *_probe_rights(usage, session),
        ]


def probe_storage(
    open_storage: Callable[[], Storage], *, may_dump: bool, cancellation: Cancellation
) -> list[ProbeResult]:
    """Try out a storage: list it and, where dumps are allowed, write, read and delete an object.

    A folder that is missing is made, as the first dump would make it.
    """
    try:
        storage = open_storage()
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # of Airflow's AWS hook and of boto3, of all kinds
        return [ProbeResult("storage", False, str(error))]
    if not may_dump:
        return [_probe("storage", lambda: _list(storage))]
    return [_probe("storage", lambda: _write_and_read(storage, cancellation))]


def _open(
    stack: ExitStack, database: Database, cancellation: Cancellation
) -> Session | PgCloneError:
    """Open a session until the stack is left, or return why there is none."""
    limit = {"connect_timeout": str(CONNECT_SECONDS)}
    bounded = replace(database, parameters={**limit, **database.parameters})
    try:
        return stack.enter_context(connect(bounded, cancellation))
    except CancelledError:
        raise
    except PgCloneError as error:
        return error


def _probe(name: str, look: Callable[[], str]) -> ProbeResult:
    try:
        return ProbeResult(name, True, look())
    except CancelledError:
        raise
    except (PgCloneError, psycopg.Error) as error:
        return ProbeResult(name, False, str(error).strip())


def _probe_identity(session: Session) -> list[ProbeResult]:
    (version,) = session.fetch_row("SELECT current_setting('server_version')")
    info, major = session.connection.info, session.major
    if not OLDEST_SERVER <= major <= NEWEST_SERVER:
        supported = f"{OLDEST_SERVER} to {NEWEST_SERVER} are supported"
        return [ProbeResult("server", False, f"PostgreSQL {version} is not supported; {supported}")]
    where = f"{info.host}:{info.port}"
    return [ProbeResult("server", True, f"PostgreSQL {version} at {where}, as {info.user!r}")]


def _probe_databases(
    usage: Usage,
    maintenance: Session | PgCloneError,
    database: Session | PgCloneError | None,
) -> Iterator[ProbeResult]:
    """Yield what is to be told of the two databases that sessions are opened on."""
    if usage.may_restore and isinstance(maintenance, PgCloneError):
        hint = "Restores and copies need it; grant CONNECT on it, or set maintenance_database"
        yield ProbeResult("maintenance database", False, f"{maintenance}. {hint}")
    if usage.database is None:
        return
    if isinstance(database, NotFoundError) and usage.may_restore:
        yield ProbeResult(
            "database", True, f"{usage.database.name!r} is yet to be made by a restore"
        )
    elif isinstance(database, PgCloneError):
        yield ProbeResult("database", False, str(database))
    elif database is not None:
        yield _probe("database", lambda: _readable(database))


def _readable(session: Session) -> str:
    """Tell what of the database a dump could not read; it may be meant to stay out of it."""
    name, size, unreadable, first = session.fetch_row(
        "SELECT current_database(), pg_size_pretty(pg_database_size(current_database())), "
        "count(*), min(unreadable) FROM ("
        "SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS unreadable "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'p', 'S') AND relpersistence <> 't' AND nspname !~ '^pg_' "
        "AND nspname <> 'information_schema' AND NOT (has_schema_privilege(n.oid, 'USAGE') "
        "AND CASE relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') "
        "ELSE has_table_privilege(c.oid, 'SELECT') END)) AS tables"
    )
    found = f"{name!r}, {size}"
    if not unreadable:
        return found
    hint = "which a dump needs; grant pg_read_all_data, or leave their schemas out"
    return f"{found}; no right to read {unreadable} of its tables, such as {first}, {hint}"


def _client(usage: Usage, major: int) -> str:
    """Find the programs that dumps and restores of this server would run."""
    usage.maintenance.environment()  # refuses what they could not be told
    tools = (
        tools_for_dump(major, usage.pg_bin_dir)
        if usage.may_dump
        else tools_for_restore(major, OLDEST_CLIENT, usage.pg_bin_dir)
    )
    for program in PROGRAMS:
        tools.path(program)
    return f"{', '.join(PROGRAMS)} {tools.major} in {tools.bin_dir}"


def _probe_rights(usage: Usage, session: Session) -> Iterator[ProbeResult]:
    """Yield what the user may do to databases, which only restores and copies need."""
    if not usage.may_restore:
        yield ProbeResult("rights", True, "dumps only, since restores and copies are not allowed")
        return
    may_create = _probe("rights", lambda: _rights(session))
    may_write = _probe("primary", lambda: _primary(session))
    yield may_create
    yield may_write
    if usage.database is not None and may_create.ok and may_write.ok:
        name = usage.database.name
        target = _probe("target", lambda: _target(session, usage.maintenance, name))
        if not target.ok:
            yield target


def _rights(session: Session) -> str:
    try:
        check_may_create(session)
    except UnsupportedError as error:
        hint = "Where it is for dumps alone, set allow_restore and allow_copy to false"
        raise UnsupportedError(error.message, hint=f"{error.hint} {hint}") from error
    (may_end,) = session.fetch_row(
        "SELECT pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')"
    )
    if may_end:
        return "may create databases and end sessions"
    return (
        "may create databases, but end only sessions of its own roles; a swap of a database that "
        "others use needs pg_signal_backend"
    )


def _primary(session: Session) -> str:
    check_primary(session)
    return "it is not a standby"


def _target(session: Session, maintenance: Database, name: str) -> str:
    check_not_maintenance(maintenance, name)
    check_may_replace(session, name)
    return f"{name!r} may be replaced"


def _list(storage: Storage) -> str:
    storage.check_readable()
    next(iter(storage.list(PROBE_PREFIX)))
    return f"{storage.location} can be listed; it was not written to, since no dumps are allowed"


def _write_and_read(storage: Storage, cancellation: Cancellation) -> str:
    """Write an object as a dump is written, read it back, and leave nothing behind."""
    path = f"{PROBE_PREFIX}{secrets.token_hex(8)}"
    content = path.encode()
    with _step("it cannot be listed"):
        storage.check_writable()
        next(iter(storage.list(PROBE_PREFIX)))
    try:
        with _step("it cannot be written to"):
            size = len(content)
            with storage.open_write(path, expected_bytes=size, cancellation=cancellation) as upload:
                upload.write(content)
        with _step("it cannot be read from"):
            if b"".join(storage.read(path, cancellation)) != content:
                raise StorageError(f"{path!r} has other bytes than were written")
    except BaseException:
        with suppress(PgCloneError):
            storage.delete(path)
        raise
    with _step("what was written cannot be deleted"):
        storage.delete(path)
    return f"{storage.location} can be listed, written to, read from and deleted from"


@contextmanager
def _step(failure: str) -> Iterator[None]:
    """Say of an error of storage which right it is about."""
    try:
        yield
    except CancelledError:
        raise
    except PgCloneError as error:
        hint = error.hint or "Allow it to the storage connection, or correct storage_location."
        raise StorageError(f"{failure}: {error.message}", hint=hint) from error
