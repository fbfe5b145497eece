"""Probe a server and a storage location before the first dump or restore."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    Selection,
    check_schemas,
    check_trusted_owners,
    describe_missing,
    display_name,
    missing_rights,
    tables_of_others,
)
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
    AllowedTargets,
    check_may_create,
    check_may_replace,
    check_not_maintenance,
    check_primary,
    usable_targets,
)
from airflow_provider_pgclone.core.storage import Storage

OLDEST_SERVER, NEWEST_SERVER = 14, 18
PROGRAMS = ("pg_dump", "psql", "pg_restore")
# A person waits for the answer. A dump waits for as long as the system does.
CONNECT_SECONDS = 10
# Not a dump key, so that no listing shows it as a dump.
PROBE_PREFIX = ".pgclone-probe-"
SHOWN_TARGETS = 3


@dataclass(frozen=True)
class ProbeResult:
    """The result of one probe.

    :param name: the thing that was probed.
    :param text: what was found, or what is wrong and how to mend it.
    """

    name: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Usage:
    """What a server will be used for.

    :param maintenance: the database from which others are created and dropped.
    :param database: the database to dump or to restore over; ``None`` if none is named.
    :param may_dump: whether dumps are allowed.
    :param may_restore: whether restores or copies are allowed, which create databases.
    :param pg_bin_dir: the folder of the client programs; ``None`` searches for it.
    :param selection: the part of the database that a dump without arguments reads.
    :param restore_over: which databases may be replaced or made.
    :param create_target: whether a restore makes a database that does not exist.
    """

    maintenance: Database
    database: Database | None
    may_dump: bool
    may_restore: bool
    pg_bin_dir: str | None
    selection: Selection
    restore_over: AllowedTargets
    create_target: bool


def report(findings: Sequence[ProbeResult]) -> tuple[bool, str]:
    """Return whether every probe succeeded, and a line for each of them.

    If a probe failed, there are lines for failed probes only.
    """
    wrong = [finding for finding in findings if not finding.ok]
    texts = ((found.name, " ".join(found.text.split()).rstrip(".")) for found in wrong or findings)
    return not wrong, "\n".join(f"{name}: {text}." for name, text in texts)


def probe_server(usage: Usage, cancellation: Cancellation) -> list[ProbeResult]:
    """Probe a server without changing anything on it."""
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
    """Probe storage: list it and, if dumps are allowed, write, read and delete an object.

    A missing folder is created, as the first dump would do.
    """
    try:
        storage = open_storage()
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # Airflow's AWS hook and boto3 raise all kinds
        return [ProbeResult("storage", False, str(error))]
    if not may_dump:
        return [_probe("storage", lambda: _list(storage))]
    return [_probe("storage", lambda: _write_and_read(storage, cancellation))]


def _open(
    stack: ExitStack, database: Database, cancellation: Cancellation
) -> Session | PgCloneError:
    """Open a session that lasts as long as the stack, or return the error."""
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
    """Yield the results for the maintenance database and the database itself."""
    if usage.may_restore and isinstance(maintenance, PgCloneError):
        hint = "Restores and copies need it; grant CONNECT on it, or set maintenance_database"
        yield ProbeResult("maintenance database", False, f"{maintenance.message}. {hint}")
    if usage.database is None:
        return
    if isinstance(database, NotFoundError) and usage.may_restore:
        yield ProbeResult(
            "database", True, f"{usage.database.name!r} does not exist; a restore will create it"
        )
    elif isinstance(database, PgCloneError):
        yield ProbeResult("database", False, str(database))
    elif database is not None:
        yield _probe("database", lambda: _readable(usage, database))


def _readable(usage: Usage, session: Session) -> str:
    """Describe the database, and refuse one of which a dump could not read all that it reads."""
    name, size, user = session.fetch_row(
        "SELECT current_database(), pg_size_pretty(pg_database_size(current_database())), "
        "current_user"
    )
    found = f"{name!r}, {size}"
    if not usage.may_dump:
        return found
    check_trusted_owners(session)
    check_schemas(session, [*usage.selection.schemas, *usage.selection.exclude_schemas])
    if missing := missing_rights(session, usage.selection):
        what, hint = describe_missing(missing)
        raise UnsupportedError(
            f"{found}; the user {user!r} cannot read {what}, which a dump reads",
            hint=f"{hint} If the connection is not for dumps, set allow_dump to false.",
        )
    return found + _untrusted(session, usage.selection)


def _untrusted(session: Session, selection: Selection) -> str:
    """Return of whose tables some dumps are refused. Others are not, so that it is no error."""
    tables = [
        table
        for table in tables_of_others(session)
        if not table.may_hold and selection.includes_schema(table.schema)
    ]
    if not tables:
        return ""
    first = tables[0]
    return (
        f"; of {len(tables)} of its tables, such as {display_name(first.schema, first.name)} of "
        f"{first.owner}, masks and checksums are refused, unless trusted_owners names their owners"
    )


def _client(usage: Usage, major: int) -> str:
    """Find the programs that dumps and restores of this server would run."""
    usage.maintenance.environment()  # raises for parameters that the programs cannot be given
    tools = (
        tools_for_dump(major, usage.pg_bin_dir)
        if usage.may_dump
        else tools_for_restore(major, OLDEST_CLIENT, usage.pg_bin_dir)
    )
    for program in PROGRAMS:
        tools.path(program)
    return f"{', '.join(PROGRAMS)} {tools.major} in {tools.bin_dir}"


def _probe_rights(usage: Usage, session: Session) -> Iterator[ProbeResult]:
    """Yield whether the user may create and replace databases, as restores and copies do."""
    if not usage.may_restore:
        yield ProbeResult("rights", True, "dumps only, since restores and copies are not allowed")
        return
    may_create = _probe("rights", lambda: _rights(session))
    may_write = _probe("primary", lambda: _primary(session))
    yield may_create
    yield may_write
    if usage.restore_over.patterns:
        yield _probe("restore_over", lambda: _allowed(usage, session))
    name = usage.database.name if usage.database is not None else None
    if name is None or not usage.restore_over.allow(name):
        return
    if may_create.ok and may_write.ok:
        target = _probe("target", lambda: _target(session, usage.maintenance, name))
        if not target.ok:
            yield target


def _allowed(usage: Usage, session: Session) -> str:
    """Name the databases that may be replaced."""
    names = usable_targets(
        session,
        usage.restore_over,
        maintenance=usage.maintenance.name,
        create=usage.create_target,
    )
    shown = ", ".join(map(repr, names[:SHOWN_TARGETS])) or "no database that exists now"
    more = f" and {len(names) - SHOWN_TARGETS} more" if len(names) > SHOWN_TARGETS else ""
    return f"it allows {shown}{more}"


def _rights(session: Session) -> str:
    try:
        check_may_create(session)
    except UnsupportedError as error:
        hint = "If the connection is for dumps only, set allow_restore and allow_copy to false"
        raise UnsupportedError(error.message, hint=f"{error.hint} {hint}") from error
    (may_end,) = session.fetch_row(
        "SELECT pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')"
    )
    if may_end:
        return "may create databases and end sessions"
    return (
        "may create databases, but may end only sessions of its own roles; to swap a database that "
        "others use, grant pg_signal_backend"
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
    return f"{storage.location} can be listed; writing was not tried, since dumps are not allowed"


def _write_and_read(storage: Storage, cancellation: Cancellation) -> str:
    """Write an object in the way of a dump, read it back, and delete it."""
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
                raise StorageError(f"the bytes of {path!r} differ from what was written")
    except BaseException:
        with suppress(PgCloneError):
            storage.delete(path)
        raise
    with _step("an object cannot be deleted"):
        storage.delete(path)
    return f"{storage.location} can be listed, written to, read from and deleted from"


@contextmanager
def _step(failure: str) -> Iterator[None]:
    """Add to an error of storage which step failed."""
    try:
        yield
    except CancelledError:
        raise
    except PgCloneError as error:
        hint = error.hint or "Grant the right to the storage connection, or fix storage_location."
        raise StorageError(f"{failure}: {error.message}", hint=hint) from error
