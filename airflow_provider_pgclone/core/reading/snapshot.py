"""Takes the snapshot of a dump, and decides how each table is read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from airflow_provider_pgclone.core.archive import TableName, Toc
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.catalog import (
    Families,
    Held,
    Selection,
    Table,
    begin_holding,
    check_encodable,
    check_not_rewritten,
    check_same_names,
    check_same_schemas,
    check_schemas,
    check_trusted_owners,
    excluded_tables,
    selected_of_others,
    tables_of_others,
)
from airflow_provider_pgclone.core.errors import ArchiveError, InvalidInputError
from airflow_provider_pgclone.core.masking.planning import Masking, MaskPlan, plan_masking
from airflow_provider_pgclone.core.postgres import (
    NO_LOCK_TIMEOUT,
    SNAPSHOT_SESSION,
    ClientTools,
    Database,
    Session,
    connect,
    tool_environment,
    tools_for_dump,
)
from airflow_provider_pgclone.core.reading.obstacles import (
    explaining_lock,
    explaining_missing_rights,
)
from airflow_provider_pgclone.core.reading.references import check_references
from airflow_provider_pgclone.core.reading.table_choice import (
    choose_ranged,
    room_for_ranged,
    worth_locking,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

LOCK_WAIT_SECONDS = 60
_LOCK_WAIT = "--lock-wait-timeout"
# Shorter ones fit other options of pg_dump as well.
_SHORTEST_LOCK_WAIT = "--loc"

# Partitions have a row of their own for each foreign key of their table.
_REFERRING = """
SELECT conrelid FROM pg_constraint WHERE contype = 'f' AND convalidated AND confrelid = ANY(%s)
"""

_A_TABLE = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'f') AND c.oid >= 16384 AND nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE objid = c.oid AND classid = 'pg_class'::regclass AND deptype = 'e'
) LIMIT 1
"""

_PARTITIONS_AMONG = "SELECT inhrelid FROM pg_inherits WHERE inhrelid = ANY(%s)"


@dataclass(frozen=True)
class Snapshot:
    """The snapshot of a database, and the plan of a dump of it.

    :param session: the session that holds the snapshot. Its settings include the mask key, if any.
    :param database: the database without the mask key, for programs that do not need the key.
    :param tools: the client programs that dump the database.
    :param version: the version of the server.
    :param encoding: the encoding of the database.
    :param size_bytes: the size of the database.
    :param name: the name of the snapshot, which pg_dump and psql import.
    :param excluded_names: the tables that the user excludes, with their partitions.
    :param excluded_partitions: the excluded tables that are partitions.
    :param ranged: the tables that are read in ranges. They are locked, so that they cannot be
        rewritten.
    :param small_bytes: the total size of the tables that pg_dump reads.
    :param masks: the plan of the masks.
    """

    session: Session
    database: Database
    tools: ClientTools
    selection: Selection
    version: str
    encoding: str
    size_bytes: int
    name: str
    excluded_names: frozenset[TableName]
    excluded_partitions: Sequence[TableName]
    ranged: Sequence[Table]
    small_bytes: int
    masks: MaskPlan
    _read: set[TableName] = field(default_factory=set, repr=False)

    def small_sizes(self, toc: Toc) -> dict[int, int]:
        """Return the size of each entry with data that pg_dump reads, by its id: the mean of all.

        :param toc: the table of contents of pg_dump.
        """
        ids = [entry.dump_id for entry in toc.entries if entry.has_data]
        return dict.fromkeys(ids, self.small_bytes // max(1, len(ids)))

    @property
    def cancellation(self) -> Cancellation:
        """The cancellation of the session."""
        return self.session.cancellation

    @property
    def ranged_bytes(self) -> int:
        """The total size of the tables that are read in ranges."""
        return sum(table.size_bytes for table in self.ranged)

    @property
    def has_mask_key(self) -> bool:
        """Whether the options of the session contain what is derived from a mask key."""
        return self.session.database is not self.database

    @property
    def named(self) -> list[TableName]:
        """The tables that are given to pg_dump by name, to leave out their rows."""
        ranged = ((table.schema, table.name) for table in self.ranged)
        return [*self.excluded_partitions, *ranged]

    def release(self) -> None:
        """Release the snapshot, when all rows are read.

        :raises BusyError: when something had another name while they were read, or other children.
        """
        if self.session.is_idle:
            return
        self.check_same_names()
        families = Families(self.session, self.masks.read)
        self.session.execute("COMMIT")
        families.check_unchanged(self.session)

    def check_same_names(self) -> None:
        """Check that what is read by its name has the same one as in the snapshot.

        :raises BusyError: naming what was renamed since.
        """
        when = "while the dump ran"
        check_same_schemas(self.session, self._read, when=when)
        # Tables that pg_dump has read are not locked any more, and may be renamed.
        ranged = {(table.schema, table.name) for table in self.ranged}
        check_same_names(self.session, ranged.union(self.masks.read), when=when)

    def tool_environment(self, database: Database) -> dict[str, str]:
        """Return the environment variables of pg_dump or psql, with the encoding of the database.

        An encoding set by the connection or the worker would change the names of tables.
        """
        return {**tool_environment(database), "PGCLIENTENCODING": self.encoding}

    def check(self, toc: Toc) -> None:
        """Check the table of contents of pg_dump against the plan.

        Call this after pg_dump has locked all tables that it dumps.

        :raises BusyError: when a table was renamed, rewritten or replaced since the snapshot.
        :raises ArchiveError: when pg_dump would dump rows that it was told to leave out, or rows
            that masking did not examine.
        :raises InvalidInputError: when a foreign key refers to rows that are left out, or the user
            has left out everything.
        """
        self._check_not_empty(toc)
        in_skeleton = {entry.table for entry in toc.entries if entry.has_data}
        read = in_skeleton.union(self.named, self.masks.read)
        check_same_names(self.session, read, when="while the dump was starting")
        check_not_rewritten(self.session, read)
        self._read.update(read)
        self._check_left_out(toc)
        self._check_examined(toc)
        check_references(self.session, toc, self.ranged, self.masks.unreadable)

    def _check_not_empty(self, toc: Toc) -> None:
        """Refuse a selection that leaves nothing of a database with tables: it must be a slip."""
        if self.ranged or any(entry.namespace for entry in toc.entries):
            return
        given = [f"{name}={value}" for name, value in self.selection.as_dict().items() if value]
        if given and self.session.execute(_A_TABLE).fetchone():
            raise InvalidInputError(
                f"nothing of database {self.database.name!r} is left by {' and '.join(given)}, "
                "although it has tables",
                hint="Correct what is selected. A restore or copy would leave an empty database.",
            )

    def _check_left_out(self, toc: Toc) -> None:
        """Refuse to go on if pg_dump would dump rows that it was told to leave out."""
        left_out = self.excluded_names.union(self.named)
        for entry in toc.entries:
            if entry.has_data and entry.table in left_out:
                raise ArchiveError(
                    f"pg_dump would dump the data of {entry.display_name}, although it "
                    "was told to leave it out"
                )

    def _check_examined(self, toc: Toc) -> None:
        """Refuse to go on if pg_dump would dump rows that masking did not examine."""
        if self.masks.in_scope is None:
            return
        for entry in toc.entries:
            is_unknown = entry.table not in self.masks.in_scope
            if entry.description == "STATISTICS DATA" or (
                entry.description == "TABLE DATA" and is_unknown
            ):
                raise ArchiveError(
                    f"pg_dump would dump {entry.description} of {entry.display_name}, "
                    "which masking did not examine"
                )


def lock_wait(selection: Selection) -> str:
    """Return how long to wait for a lock of a table, as PostgreSQL writes it.

    Meanwhile the snapshot keeps VACUUM from removing dead rows. And pg_dump could wait for an ALTER
    TABLE that waits for our session.
    """
    value = f"{LOCK_WAIT_SECONDS}s"
    for argument in selection.pg_dump_args:
        name, _, given = argument.partition("=")
        if name.startswith(_SHORTEST_LOCK_WAIT) and _LOCK_WAIT.startswith(name):
            value = given
    return value


@contextmanager
def open_snapshot(
    database: Database,
    selection: Selection,
    masking: Masking,
    *,
    pg_bin_dir: str | None,
    cancellation: Cancellation,
    checksums: bool = False,
) -> Iterator[Snapshot]:
    """Hold the snapshot of a dump while the block runs.

    :param pg_bin_dir: the folder of the client programs; ``None`` searches for it.
    :param checksums: whether checksums of all tables will be taken in the snapshot.
    :raises InvalidInputError: when a pattern does not match anything, so that rows would be dumped
        that should be left out.
    :raises UnsupportedError: when all installed versions of pg_dump are older than the server.
    :raises BusyError: when another session has locked a table for too long.
    """
    with connect(masking.keyed(database), cancellation) as session:
        tools = tools_for_dump(session.major, pg_bin_dir)
        session.execute(SNAPSHOT_SESSION)
        with explaining_lock(session):
            _limit_wait(session, lock_wait(selection))
            held = _begin(session, selection, masking, all_too=checksums)
            snapshot = _take(session, database, tools, selection, masking, held)
            session.execute(NO_LOCK_TIMEOUT)
        with explaining_missing_rights(database, selection):
            yield snapshot
        snapshot.release()


def _limit_wait(session: Session, time: str) -> None:
    """Let the session wait for locks no longer than a time, as PostgreSQL writes it."""
    try:
        session.execute("SELECT set_config('lock_timeout', %s, false)", [time])
    except psycopg.errors.InvalidParameterValue as error:
        raise InvalidInputError(
            f"{_LOCK_WAIT} in pg_dump_args is {time!r}, which is not a time",
            hint="Write a number and its unit, such as 30s or 5min.",
        ) from error


def _take(
    session: Session,
    database: Database,
    tools: ClientTools,
    selection: Selection,
    masking: Masking,
    held: Held,
) -> Snapshot:
    """Export the snapshot of the open transaction, and choose in it how each table is read."""
    (name,) = session.fetch_row("SELECT pg_export_snapshot()")
    size_bytes, encoding, version = session.fetch_row(
        "SELECT pg_database_size(oid), pg_encoding_to_char(encoding), "
        "current_setting('server_version') FROM pg_database WHERE datname = %s",
        [database.name],
    )
    check_encodable(selection.patterns, encoding)
    check_schemas(session, [*selection.schemas, *selection.exclude_schemas])
    excluded = excluded_tables(session, selection.exclude)
    # We name the partitions, because pg_dump before 16 cannot exclude a partitioned table with
    # its partitions.
    partitions = _names(session, excluded, partitions=True)
    masks = plan_masking(session, selection, masking, encoding, held)
    room = room_for_ranged(tools, database, selection, partitions)
    ranged, small_bytes = choose_ranged(session, selection, excluded, encoding, room, masks)
    return Snapshot(
        session=session,
        database=database,
        tools=tools,
        selection=selection,
        version=version,
        encoding=encoding,
        size_bytes=size_bytes,
        name=name,
        excluded_names=frozenset(_names(session, excluded)),
        excluded_partitions=partitions,
        ranged=ranged,
        small_bytes=small_bytes,
        masks=masks,
    )


def _begin(session: Session, selection: Selection, masking: Masking, *, all_too: bool) -> Held:
    """Begin the transaction of the snapshot, and lock what it may query.

    :param all_too: whether it may query all of its tables; otherwise only those that are large, or
        many, and those that refer to excluded tables.
    """
    check_trusted_owners(session)
    excluded = excluded_tables(session, selection.exclude)
    # Excluded partitions are searched for rows that others refer to.
    compared = {oid for (oid,) in session.execute(_PARTITIONS_AMONG, [excluded])}
    found = tables_of_others(session)
    others = found if masking.may_read_any else selected_of_others(found, selection, excluded)
    needed, worth_it = {table.oid for table in others}, set[int]()
    if not all_too and not masking:
        worth_it = worth_locking(session, needed)
        needed &= {oid for (oid,) in session.execute(_REFERRING, [excluded])}
    needed |= compared
    wanted = [table for table in found if table.oid in needed | worth_it]
    is_for_speed = not masking and not any(table.oid in needed for table in wanted)
    return begin_holding(session, wanted, casts=bool(masking), for_speed=is_for_speed)


def _names(session: Session, oids: Sequence[int], *, partitions: bool = False) -> list[TableName]:
    """Return the names of tables as pg_dump writes them, in the encoding of the database.

    :param partitions: whether to return only partitions.
    """
    rows = session.execute(
        """
        SELECT convert_to(nspname, getdatabaseencoding()),
            convert_to(relname, getdatabaseencoding())
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE c.oid = ANY(%s) AND (relispartition OR NOT %s)
        ORDER BY nspname, relname
        """,
        [list(oids), partitions],
    )
    return [
        (schema.decode(errors="surrogateescape"), name.decode(errors="surrogateescape"))
        for schema, name in rows
    ]
